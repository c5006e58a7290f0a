// What compile_windows makes: see window_plan.h. Private to this folder; immutable once made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "event/schema.h"
#include "event/window_result.h"
#include "expr/program.h"
#include "window/aggregate/functions.h"
#include "window/assigner.h"
#include "window/options.h"

namespace streamobs::window {

inline constexpr int kNoOutput = -1;
/// An argument that is no output of the program: the event's time.
inline constexpr int kEventTime = -2;

/// Where a key's header stands in a group's row; the accumulators follow.
inline constexpr std::size_t kKeyBytes = 16;

/// One accumulator of a group's row.
struct AccumulatorPlan {
  AccumulatorKind kind{};
  DataType type;             ///< Of the argument; null for count(*).
  int argument = kNoOutput;  ///< Output of the stream's program.
  int filter = kNoOutput;
  std::size_t offset = 0;  ///< In the row.
  const AccumulatorOps* ops = nullptr;
  std::string text;        ///< "sketch(latency_ms) filter (where …)": names it in the schema.
  std::string definition;  ///< The same and what its names mean: names it in snapshots.
};

/// One aggregate call of the select list: a result read from an accumulator.
struct AggregatePlan {
  std::size_t accumulator = 0;
  Finish finish{};
  double parameter = 0;
  DataType type;
};

struct WindowPlan {
  std::size_t index = 0;  ///< In the config, among the windows of its stream.
  std::string name;
  Assigner assigner;
  Duration allowed_lateness = 0;
  Duration gap = 0;        ///< Of sessions; else 0.
  Duration cut_every = 0;  ///< Of sessions: none goes beyond a multiple of it, nor does a pane.
  /// So long behind its close a window takes late events; a multiple of what `revisions` steps by.
  /// 0: never.
  Duration correct_for = 0;
  /// Late events are waited for up to the next end of these, and make one revision there.
  Assigner revisions;
  std::size_t max_keys = 0;
  std::vector<int> keys;  ///< Outputs of the stream's program.
  std::vector<DataType> key_types;
  int where = kNoOutput;
  std::vector<AccumulatorPlan> accumulators;
  std::vector<AggregatePlan> aggregates;
  std::vector<std::string_view> metric_aggregates;  ///< As metric_aggregates() has them.
  std::size_t row_bytes = 0;
  /// Of sessions: where a group's row has the times of its first and last event (ScalarState).
  std::size_t first_time = 0;
  std::size_t last_time = 0;
  /// What decides which events it counts and how they are grouped: what it is called in the
  /// config, and as text. A snapshot is taken over only where all of it is the same.
  std::vector<std::pair<std::string, std::string>> definition;
  /// Of all that its accumulators count, and in which order: WindowState::definition.
  std::uint64_t state_definition = 0;
  bool flat = true;  ///< No accumulator keeps anything outside the row.
  std::shared_ptr<const WindowSchema> schema;
  /// The select list over the columns (keys, then aggregates); its outputs are the metrics.
  std::shared_ptr<const expr::Program> select;

  bool hopping() const { return assigner.panes() > 1; }
  /// Sessions are put together from panes, each an eighth of the gap or less: all that a key has in
  /// one is of one session, since it is closer together than the gap.
  bool session() const { return gap != 0; }
  bool corrects() const { return correct_for != 0; }
  /// How long after the end of a window (or of the last pane of a session) it closes.
  Duration wait() const { return allowed_lateness + gap; }
  /// The watermark that closes the window (or the sessions whose last pane) that ends at `end`.
  Timestamp closes_at(Timestamp end) const { return saturating_add(end, wait()); }
  /// When what comes for `pane` at this watermark first counts: at the end of the first window that
  /// is still open; of sessions, which may be extended up to their close, at the next close of any;
  /// of windows that are corrected, at the next revision. Nothing: all that would hold it have
  /// closed for good, it is late.
  std::optional<Timestamp> due(const Interval& pane, Timestamp watermark) const {
    if (!session()) {
      if (closes_at(pane.end) > watermark) return pane.end;
      if (!hopping() && !corrects()) return std::nullopt;
    }
    const Assigner& ends = corrects() ? revisions : assigner;
    const Timestamp next = ends.end_after(saturating_add(watermark, -wait()));
    if (next > saturating_add(assigner.last_end(pane), correct_for)) return std::nullopt;
    return next;
  }
};

struct StreamWindowsPlan {
  std::string stream;
  std::shared_ptr<const expr::Program> program;  ///< Keys, arguments and filters of all windows.
  int filter = kNoOutput;                        ///< The stream's own.
  std::vector<WindowPlan> windows;
};

}  // namespace streamobs::window
