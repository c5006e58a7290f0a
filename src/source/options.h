// [source.NAME]: where events come from. HTTP needs none: every stream can be posted to.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"
#include "event/block.h"

namespace streamobs::source {

enum class Type { file, standard_input, demo };

struct SourceOptions {
  SourceText name;
  Type type = Type::file;
  SourceText stream;
  Format format = Format::json;

  // file
  /// Files, in order; `*` and `?` match within one folder. `.gz` is inflated.
  std::vector<SourceText> paths;
  bool follow = false;  ///< Go on reading as the file grows, through rotation and truncation.

  // demo
  SourceText scenario = SourceText("services");
  double rate = 10;  ///< Events per second.
  std::uint64_t seed = 1;
  double anomaly_share = 0.05;  ///< Share of the events that belong to injected anomalies.
  Duration history = 0;         ///< Start with this much of the past, at once.
};

}  // namespace streamobs::source
