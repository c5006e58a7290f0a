// librdkafka's configuration properties: which the user may set, and a client's as we set them.
//
// Used when a config is checked and when a client is made; no state.
#pragma once

#include <librdkafka/rdkafka.h>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/source_text.h"
#include "kafka/options.h"

namespace streamobs::kafka {

struct ConfDeleter {
  void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
};
using Conf = std::unique_ptr<rd_kafka_conf_t, ConfDeleter>;

/// Tries every property on librdkafka; what it refuses, and what is ours to set, is told at its
/// place. No broker is asked. True: nothing is wrong.
bool check(const ClientOptions& options, Diagnostics& diagnostics);
bool check(const ProducerOptions& options, Diagnostics& diagnostics);

/// The configuration of a consumer without a group, whose places are in our log.
Result<Conf> consumer_conf(const ClientOptions& options);
/// The configuration of a member of that consumer group, whose offsets are committed by hand.
Result<Conf> group_conf(const ClientOptions& options, const std::string& group);
/// The configuration of a producer that never sends a message twice.
Result<Conf> producer_conf(const ProducerOptions& options);

}  // namespace streamobs::kafka
