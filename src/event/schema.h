// What a stream's events look like once decoded: the columns of its batches.
//
// Made from the config once, shared and never changed; any strand may read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/data_type.h"

namespace streamobs {

struct Field {
  std::string name;  ///< How expressions name it: "latency_ms", "metadata.traceId", "tags".
  std::string path;  ///< Where it stands in the event: keys joined by dots; usually the name.
  DataType type;
  bool required = false;  ///< An event without it (or with null) is refused.
  /// Further paths that are tried in order where `path` is absent.
  std::vector<std::string> aliases;
};

struct StreamSchema {
  std::string stream;           ///< The stream's name in the config.
  std::uint32_t stream_id = 0;  ///< Its index in the plan.
  std::string time_field;       ///< The name of the field that bears the event time.
  bool joined = false;        ///< A join makes its events; they are in no log and nobody sends any.
  std::vector<Field> fields;  ///< In the config's order; the time field, if undeclared, comes last.

  std::optional<std::size_t> index_of(std::string_view name) const {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      if (fields[i].name == name) return i;
    }
    return std::nullopt;
  }
};

}  // namespace streamobs
