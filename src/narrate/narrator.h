// The narrate operator: groups anomalies to incidents and explains them from evidence.
//
// Synchronous and deterministic. One strand, lives as long as the engine; never in the way of
// ingest. Its state is not yet part of a checkpoint.
//
// An anomaly joins the open incident whose keys are among its own (the one with the most, then the
// newest), if less than `gap` of event time lies between them; else it opens one with its own keys.
// Incidents without keys only take anomalies without keys, of the same stream.
//
// An incident resolves when all its anomalies have resolved and event time has gone on for
// resolve_after since its last anomalous window. Event time here is how far everything has been
// judged: the start of the newest closed windows, since anomalies of those may still come, or the
// time at which its last anomaly resolved.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/source_text.h"
#include "event/record.h"
#include "narrate/options.h"

namespace streamobs::narrate {

/// Checks that the evidence windows exist and have keys the incidents can be matched by.
bool check(const IncidentOptions& options,
           const std::vector<std::shared_ptr<const WindowSchema>>& windows,
           Diagnostics& diagnostics);

class Narrator {
 public:
  /// Beyond this many the incident that has been quiet for longest is closed.
  static constexpr std::size_t kMaxOpen = 1'000;

  explicit Narrator(IncidentOptions options);
  ~Narrator();

  /// Takes one record: anomalies open or continue incidents, closed windows are evidence and, by
  /// their time, resolve incidents. Appends new and changed incidents to `out`.
  void process(const Record& record, Records& out);
  /// Incidents not resolved.
  std::size_t open_incidents() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::narrate
