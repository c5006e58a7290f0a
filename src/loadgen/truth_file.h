// Writes a scenario's truth to a JSON file while the run goes on, so that it need not fit in
// memory.
//
// {"scenario", "seed", "windows": [one object a minute and key], "anomalies": [...],
//  "generated": {stream: n}, "delivery": {...}}; docs/loadgen.md says what is in them.
#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "loadgen/report.h"
#include "loadgen/scenario.h"

namespace streamobs::loadgen {

class TruthFile {
 public:
  static Result<std::unique_ptr<TruthFile>> create(const std::string& path,
                                                   const std::string& scenario_name,
                                                   std::uint64_t seed);
  ~TruthFile();
  TruthFile(const TruthFile&) = delete;
  TruthFile& operator=(const TruthFile&) = delete;

  /// Writes the minutes that have closed. Write errors are kept and come out of finish().
  void drain(Truth& truth);
  /// After the run, whether it came to its end or was broken off. The file is complete when this
  /// succeeds.
  Result<> finish(Scenario& scenario, const Report& report);

 private:
  TruthFile(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  void write(const std::string& text);

  std::FILE* file_;
  std::string path_;
  std::string held_;  ///< The last row, whose comma depends on whether another one follows.
};

}  // namespace streamobs::loadgen
