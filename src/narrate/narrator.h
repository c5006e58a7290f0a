// The narrate operator: groups anomalies to incidents and explains them from evidence.
//
// Synchronous and deterministic. One strand, lives as long as the engine; never in the way of
// ingest.
#pragma once

#include <memory>
#include <vector>

#include "base/source_text.h"
#include "event/record.h"
#include "narrate/options.h"

namespace streamobs::narrate {

/// Checks that the evidence windows exist and have keys the incidents can be matched by.
bool check(const IncidentOptions& options,
           const std::vector<std::shared_ptr<const WindowSchema>>& windows, Diagnostics& diagnostics);

class Narrator {
 public:
  explicit Narrator(IncidentOptions options);
  ~Narrator();

  /// Takes one record: anomalies open or continue incidents, closed windows are evidence and, by
  /// their time, resolve incidents. Appends new and changed incidents to `out`.
  void process(const Record& record, Records& out);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::narrate
