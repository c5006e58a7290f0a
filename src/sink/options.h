// [sink.NAME]: where results go besides the store.
#pragma once

#include <cstddef>
#include <vector>

#include "base/source_text.h"
#include "kafka/options.h"

namespace streamobs::sink {

struct SinkOptions {
  SourceText name;
  /// A window or a stream, or "anomalies", "incidents", "dead_letters".
  SourceText from;
  SourceText topic;
  bool key_given = false;
  /// Of a window: which of its keys; not given: all. Of a stream: which fields; not given: none.
  std::vector<SourceText> key;
  kafka::ProducerOptions kafka;
  SourceText markers =
      SourceText("streamobs-markers");  ///< The topic that says how far it has come.
  std::size_t outbox_bytes_max = 256 << 20;
  bool required = false;
};

}  // namespace streamobs::sink
