// The narrate operator: groups anomalies to incidents and explains them from evidence.
//
// Synchronous and deterministic. One strand, lives as long as the engine; never in the way of
// ingest. All of its state is in snapshot(): a narrator restored from it goes on as if nothing had
// happened.
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
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/source_text.h"
#include "event/record.h"
#include "narrate/options.h"

namespace streamobs::narrate {

/// Checks that the evidence windows exist and have keys the incidents can be matched by.
bool check(const IncidentOptions& options,
           const std::vector<std::shared_ptr<const WindowSchema>>& windows,
           Diagnostics& diagnostics);

/// What of a snapshot has no place among the windows of now.
struct RestoredIncidents {
  /// Windows that are gone or about something else: their rows are no longer evidence.
  std::vector<std::string> forgotten_windows;
  /// Open incidents of streams of which no window is left, so that no event time would ever resolve
  /// them: already resolved, and forgotten by the narrator.
  std::vector<IncidentPtr> closed;

  /// `closed` as records to be sent on to the store; `position` is that of the record by which the
  /// config of now took effect.
  Records records(std::uint64_t position) const;
};

class Narrator {
 public:
  /// Beyond this many the incident that has been quiet for longest is closed.
  static constexpr std::size_t kMaxOpen = 1'000;

  /// `described`: rules with a description of their own, which their incidents are called by.
  explicit Narrator(IncidentOptions options, std::set<std::string> described = {});
  ~Narrator();

  /// Takes one record: anomalies open or continue incidents, closed windows are evidence and, by
  /// their time, resolve incidents. Appends new and changed incidents to `out`, each with the
  /// record's position.
  void process(const Record& record, Records& out);
  /// Incidents not resolved.
  std::size_t open_incidents() const;

  /// Appends everything that decides what will be said: open incidents and the rows kept as
  /// evidence. Between two records; canonical, as the detector's. The format is in state.h.
  void snapshot(std::string& out) const;
  /// Takes the place of what the narrator knew. `windows`: all there are now; rows are matched by
  /// the window's name and definition, metrics by theirs. Incidents stay open: what
  /// RestoredRules::withdrawn() says of rules that are gone resolves them by and by. On an error
  /// the narrator is as it was.
  Result<RestoredIncidents> restore(
      std::string_view bytes, const std::vector<std::shared_ptr<const WindowSchema>>& windows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::narrate
