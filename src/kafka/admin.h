// Topics of a cluster, looked at and made: for sinks before they begin, and for `streamobs kafka
// topics`. And the newest message of a key, for those who left a note in a topic.
//
// Every call blocks, at most for the patience it is given. One thread at a time; short-lived.
#pragma once

#include <cstdint>
#include <functional>
#include <librdkafka/rdkafka.h>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kafka/options.h"

namespace streamobs::kafka {

/// A topic that there is.
struct TopicFound {
  std::string name;
  std::int32_t partitions = 0;
  std::int32_t replication = 0;
};

class Admin {
 public:
  static Result<Admin> make(const ClientOptions& options);

  /// The topic, or none if there is no such topic. `unavailable`: the brokers cannot be asked, or
  /// do not answer this; it names them and says what librdkafka has heard of them.
  Result<std::optional<TopicFound>> find(const std::string& topic, Duration patience);
  /// False: there was such a topic already. `invalid`: the brokers refuse it.
  Result<bool> create(const TopicOptions& topic, Duration patience);
  /// What a person can do about what went wrong last; empty: it is not known.
  std::string_view advice() const { return advice_; }

 private:
  struct Destroy {
    void operator()(rd_kafka_t* client) const { rd_kafka_destroy(client); }
  };
  /// What librdkafka complains of by the way: that which says most, of those the newest.
  struct Complaint {
    rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
    std::string text;
  };
  Admin(std::string brokers, rd_kafka_t* client, std::unique_ptr<Complaint> complaint)
      : brokers_(std::move(brokers)), complaint_(std::move(complaint)), client_(client) {}
  static void on_error(rd_kafka_t* client, int error, const char* text, void* complaint);
  Error unavailable(std::string_view doing, rd_kafka_resp_err_t error, std::string_view words);

  std::string brokers_;
  std::string_view advice_;
  std::unique_ptr<Complaint> complaint_;  ///< Written by on_error() within rd_kafka_poll().
  std::unique_ptr<rd_kafka_t, Destroy> client_;
};

/// The newest committed message with that key in partition 0 of a topic, up to the end it has now;
/// none if there is none. Others' transactions that are open there are waited for. `stopping` ends
/// it early, as `unavailable`.
Result<std::optional<std::string>> newest_of(const ClientOptions& options, const std::string& topic,
                                             std::string_view key, Duration patience,
                                             const std::function<bool()>& stopping);

}  // namespace streamobs::kafka
