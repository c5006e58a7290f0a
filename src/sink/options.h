// [sink.NAME]: where results go besides the store.
#pragma once

#include <cstddef>
#include <vector>

#include "base/source_text.h"
#include "kafka/options.h"

namespace streamobs::sink {

struct SinkOptions {
  SourceText name;
  /// A window, or "anomalies", "incidents", "dead_letters".
  SourceText from;
  SourceText topic;
  bool key_given = false;
  std::vector<SourceText> key;  ///< Of a window: which of its keys; not given: all.
  kafka::ProducerOptions kafka;
  SourceText markers =
      SourceText("streamobs-markers");  ///< The topic that says how far it has come.
  std::size_t outbox_bytes_max = 256 << 20;
  bool required = false;
};

}  // namespace streamobs::sink
