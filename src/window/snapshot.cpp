// decode_snapshot: a snapshot under the config of now. Its bytes are read in stored_window.cpp and
// written in snapshot_writer.cpp.
#include "window/snapshot.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "window/key_order.h"
#include "window/stored_window.h"

namespace streamobs::window {

namespace {

/// What of the plan's window is not as it was when the snapshot was made.
std::vector<std::string> differences(const StoredWindow& stored, const WindowPlan& plan) {
  std::map<std::string_view, std::string_view> then(stored.definition.begin(),
                                                    stored.definition.end());
  std::vector<std::string> altered;
  for (const auto& [what, text] : plan.definition) {
    const auto known = then.find(what);
    if (known == then.end() || known->second != text) altered.push_back(what);
    if (known != then.end()) then.erase(known);
  }
  // What is open stays open for as long as is said now. (Versions before 3 had it in there.)
  if (!plan.session()) then.erase("allowed_lateness");
  for (const auto& [what, text] : then) altered.emplace_back(what);
  if (!altered.empty()) return altered;
  // A time zone may have got new rules, and another midnight by them.
  const bool same = std::all_of(
      stored.instances.begin(), stored.instances.end(), [&](const StoredInstance& instance) {
        const Interval now = plan.assigner.at(instance.interval.start);
        return now.start == instance.interval.start && now.end == instance.interval.end;
      });
  if (!same) altered.emplace_back("timezone");
  return altered;
}

/// Whether panes and windows lie as this plan's do: the lanes have what no window has closed with,
/// the merger what the next window to close is made of as well.
bool in_place(const StoredWindow& stored, const WindowPlan& plan) {
  const Assigner& assigner = plan.assigner;
  const auto is_end = [&](Timestamp t) { return assigner.at(t).start == t; };
  for (const StoredInstance& instance : stored.instances) {
    if (plan.session() && instance.due > assigner.last_end(instance.interval)) return false;
    if (plan.session() || instance.due == instance.interval.end) continue;
    const bool revision = plan.corrects() && plan.revisions.at(instance.due).start == instance.due;
    if (instance.due < instance.interval.end || !(revision || is_end(instance.due))) return false;
  }
  if (stored.kept.empty()) return true;
  if (plan.session()) {
    return std::all_of(stored.kept.begin(), stored.kept.end(), [&](const StoredInstance& pane) {
      return is_end(pane.interval.start) && assigner.at(pane.interval.start).end == pane.due &&
             pane.interval.end == pane.due;
    });
  }
  if (!plan.hopping() || !is_end(stored.closed_to)) return false;
  const Timestamp next = assigner.ending(assigner.end_after(stored.closed_to)).start;
  const bool kept =
      std::all_of(stored.kept.begin(), stored.kept.end(), [&](const StoredInstance& pane) {
        return is_end(pane.interval.start) && assigner.at(pane.interval.start).end == pane.due &&
               pane.interval.end == pane.due && pane.due <= stored.closed_to &&
               pane.interval.start >= next;
      });
  return kept && (stored.instances.empty() || stored.instances[0].due > stored.closed_to);
}

/// For each accumulator of the snapshot the plan's that goes on with it, or null.
struct AccumulatorMap {
  std::vector<const AccumulatorPlan*> places;
  std::vector<std::string> missing;  ///< Definitions of those the snapshot has nothing for.
};

AccumulatorMap map_accumulators(const StoredWindow& stored, const WindowPlan& plan) {
  AccumulatorMap map;
  map.places.resize(stored.accumulators.size(), nullptr);
  for (const AccumulatorPlan& a : plan.accumulators) {
    bool found = false;
    for (std::size_t i = 0; i < stored.accumulators.size() && !found; ++i) {
      const StoredAccumulator& s = stored.accumulators[i];
      found = map.places[i] == nullptr && s.kind == a.kind && s.type == a.type &&
              s.definition == a.definition;
      if (found) map.places[i] = &a;
    }
    if (!found) map.missing.push_back(a.definition);
  }
  return map;
}

/// Whether the bytes are a key of these columns, in the one form append_key() gives it.
bool is_key(std::string_view bytes, const std::vector<DataType>& types) {
  ByteReader in(bytes);
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::uint8_t present = in.u8();
    if (!in.ok() || present > 1) return false;
    if (present == 0) continue;
    const Kind kind = types[i].kind;
    if (is_text(kind)) {
      in.text(i + 1 == types.size() ? in.left() : static_cast<std::size_t>(in.varint()));
    } else if (kind == Kind::boolean) {
      if (in.u8() > 1) return false;
    } else if (kind == Kind::floating) {
      const double x = in.number();
      if (!std::isfinite(x) || (x == 0 && std::signbit(x))) return false;
    } else {
      in.u64();
    }
  }
  return in.ok() && in.at_end();
}

bool read_accumulator(ByteReader& in, const AccumulatorPlan* a, std::byte* row, Arena& arena) {
  ByteReader payload(in.text(in.varint()));
  if (!in.ok()) return false;
  if (a == nullptr) return true;
  // first() and last() break ties of time by the place in the log, which states leave out: those
  // read back have place 0, and come before all that follows in the log, as they did.
  return a->ops->decode(row + a->offset, payload, arena) && payload.at_end();
}

bool read_groups(const StoredInstance& stored, const AccumulatorMap& accumulators,
                 GroupTable& table) {
  const std::vector<DataType>& types = table.plan().key_types;
  ByteReader in(stored.bytes);
  std::optional<GroupKey> before;
  for (std::uint64_t i = 0; i < stored.groups; ++i) {
    const std::uint64_t size = in.varint();
    GroupKey key = GroupKey::overflow();
    if (size != 0) {
      const std::string_view bytes = in.text(size - 1);
      if (!in.ok() || bytes.size() >= GroupKey::kOverflow || !is_key(bytes, types)) return false;
      key = GroupKey::of(bytes);
    } else if (!in.ok() || types.empty()) {
      return false;
    }
    if (before && !bytes_before(*before, key)) return false;
    before = key;
    const std::uint32_t slot =
        key.is_overflow() ? table.overflow_slot() : table.insert(key, key.hash());
    for (const AccumulatorPlan* a : accumulators.places) {
      if (!read_accumulator(in, a, table.row(slot), table.arena())) return false;
    }
  }
  return in.at_end();
}

/// Adds up the states of one accumulator, a count, over an instance's groups; none where the bytes
/// are damaged.
std::optional<std::uint64_t> sum_of_counts(const StoredWindow& stored,
                                           const StoredInstance& instance, std::size_t count) {
  std::uint64_t sum = 0;
  ByteReader in(instance.bytes);
  for (std::uint64_t group = 0; group < instance.groups; ++group) {
    if (const std::uint64_t size = in.varint(); size != 0) in.text(size - 1);
    for (std::size_t i = 0; i < stored.accumulators.size(); ++i) {
      ByteReader state(in.text(in.varint()));
      if (i == count) sum += state.varint();
      if (!state.ok()) return std::nullopt;
    }
  }
  return in.ok() ? std::optional(sum) : std::nullopt;
}

/// The events that the window's open instances have counted, where it has a count(*).
std::optional<std::uint64_t> events_of(const StoredWindow& stored) {
  const auto counts_all = [](const StoredAccumulator& a) {
    return a.kind == AccumulatorKind::count && a.definition == "count(*)";
  };
  const auto& all = stored.accumulators;
  const auto found = std::find_if(all.begin(), all.end(), counts_all);
  if (found == all.end()) return std::nullopt;
  std::uint64_t events = 0;
  for (const auto* instances : {&stored.kept, &stored.instances}) {
    for (const StoredInstance& instance : *instances) {
      const auto sum =
          sum_of_counts(stored, instance, static_cast<std::size_t>(found - all.begin()));
      if (!sum) return std::nullopt;
      events += *sum;
    }
  }
  return events;
}

/// It came late: of closed windows, or of a pane that some of them hold.
bool waits_for_revision(const StoredWindow& stored, const StoredInstance& instance) {
  return stored.corrects && instance.due != instance.interval.end;
}

LostWindow lost(const StoredWindow& stored, std::vector<std::string> altered) {
  LostWindow window;
  window.window = std::string(stored.name);
  window.events = events_of(stored);
  window.altered = std::move(altered);
  for (const auto* instances : {&stored.kept, &stored.instances}) {
    for (const StoredInstance& instance : *instances) {
      window.instances.push_back({instance.interval.start, instance.interval.end, instance.groups,
                                  waits_for_revision(stored, instance)});
    }
  }
  return window;
}

bool take_over(const std::vector<StoredInstance>& stored, const WindowPlan& plan,
               const AccumulatorMap& accumulators, std::vector<InstancePtr>& to,
               RestoredWindows& restored) {
  for (const StoredInstance& instance : stored) {
    auto taken = std::make_unique<WindowInstance>(plan, instance.interval, instance.due);
    if (!read_groups(instance, accumulators, taken->table)) return false;
    restored.rows += instance.groups;
    // What waited for two revisions waits for one close now.
    if (!to.empty() && place_of(*to.back()) == place_of(*taken)) {
      to.back()->table.merge(taken->table);
      continue;
    }
    to.push_back(std::move(taken));
    ++restored.instances;
  }
  return true;
}

/// Whether its rows go where those of before are.
bool same_rows(const std::vector<std::string>& altered) {
  constexpr std::string_view kIdentity[] = {"size", "hop", "gap", "cut_every", "timezone", "by"};
  return std::none_of(altered.begin(), altered.end(), [&](const std::string& what) {
    return std::find(std::begin(kIdentity), std::end(kIdentity), what) != std::end(kIdentity);
  });
}

/// Whether the panes that closed windows are corrected from lie as the plan's do; not where a time
/// zone has got new rules.
bool closed_in_place(const StoredWindow& stored, const WindowPlan& plan) {
  return std::all_of(stored.closed.begin(), stored.closed.end(), [&](const StoredInstance& pane) {
    const Interval now = plan.assigner.at(pane.interval.start);
    return now.start == pane.interval.start && now.end == pane.interval.end &&
           pane.due == now.end && plan.assigner.last_end(now) > stored.forgotten;
  });
}

/// A window of which nothing is taken over begins with those that end behind the watermark: of
/// others rows may be there, and nothing is known any more of what they were made of. (So with
/// sessions, each event taken as one of its own: what has been told had ended by then.)
void begin_anew(const WindowPlan& plan, Timestamp watermark, RetainedPanes& retained) {
  if (watermark != kMinTimestamp) {
    const Timestamp ended = plan.assigner.at(saturating_add(watermark, -plan.gap)).start;
    retained.closed_before = std::max(retained.closed_before, ended);
  }
  retained.forgotten = retained.closed_before;
}

/// Takes over what closed windows are corrected from, where they were and are. Where they are not
/// corrected any more, or not for as long, for what waits for its revision: that still comes.
/// False where it is damaged.
bool take_over_closed(StoredWindow& stored, const WindowPlan& plan, Timestamp watermark,
                      const AccumulatorMap& accumulators, RetainedPanes& retained) {
  // From windows that closed while nothing was kept of them, nothing can be corrected.
  retained.forgotten = stored.closed_before;
  if (stored.closed_before == kMinTimestamp && watermark != kMinTimestamp) {
    retained.forgotten = plan.assigner.at(saturating_add(watermark, -plan.wait())).start;
  }
  if (!stored.corrects || !closed_in_place(stored, plan)) return true;
  for (StoredInstance& instance : stored.instances) {
    if (!waits_for_revision(stored, instance)) continue;
    // Nothing is due between two ends of windows that are not corrected.
    if (!plan.corrects()) instance.due = plan.assigner.end_after(saturating_add(instance.due, -1));
    retained.owed = std::max(retained.owed, instance.due);
  }
  if (!plan.corrects() && retained.owed == kMinTimestamp) return true;
  std::sort(stored.instances.begin(), stored.instances.end(),
            [](const StoredInstance& a, const StoredInstance& b) {
              return std::pair(a.due, a.interval.start) < std::pair(b.due, b.interval.start);
            });
  retained.forgotten = stored.forgotten;
  retained.revisions = std::move(stored.revisions);
  RestoredWindows not_open;
  return take_over(stored.closed, plan, accumulators, retained.closed, not_open);
}

/// Takes out what came late for windows of which nothing is there to correct them from, which is
/// lost.
void take_out_late(StoredWindow& stored, const WindowPlan& plan, Timestamp forgotten,
                   RestoredWindows& restored) {
  StoredWindow late;
  late.name = stored.name;
  late.accumulators = stored.accumulators;
  late.corrects = stored.corrects;
  std::erase_if(stored.instances, [&](const StoredInstance& instance) {
    const Timestamp last = plan.assigner.last_end(instance.interval);
    if (instance.due <= last || last > forgotten) return false;
    late.instances.push_back(instance);
    return true;
  });
  if (!late.instances.empty()) restored.lost.push_back(lost(late, {"late"}));
}

/// False where the stored groups are damaged.
bool take_over(StoredWindow& stored, const WindowPlan& plan, Timestamp watermark,
               std::vector<InstancePtr>& open, RetainedPanes& retained, RestoredWindows& restored) {
  std::vector<std::string> altered = differences(stored, plan);
  AccumulatorMap accumulators = map_accumulators(stored, plan);
  std::move(accumulators.missing.begin(), accumulators.missing.end(), std::back_inserter(altered));
  if (!altered.empty()) {
    if (!plan.session() && same_rows(altered)) retained.closed_before = stored.closed_before;
    begin_anew(plan, watermark, retained);
    if (stored.is_open()) restored.lost.push_back(lost(stored, std::move(altered)));
    return true;
  }
  if (!plan.session() && !take_over_closed(stored, plan, watermark, accumulators, retained)) {
    return false;
  }
  if (!plan.session()) take_out_late(stored, plan, retained.forgotten, restored);
  if (!in_place(stored, plan)) return false;
  retained.closed_before = stored.closed_before;
  retained.closed_to = stored.closed_to;
  if (!take_over(stored.kept, plan, accumulators, retained.panes, restored) ||
      !take_over(stored.instances, plan, accumulators, open, restored)) {
    return false;
  }
  if (stored.max_keys != plan.max_keys) restored.recapped.emplace_back(stored.name);
  return true;
}

}  // namespace

Result<RestoredWindows> decode_snapshot(std::optional<std::string_view> bytes,
                                        const StreamWindowsPlan& plan, Timestamp watermark,
                                        OpenInstances& open, std::vector<RetainedPanes>& retained) {
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorCode::corrupt,
                fmt::format("snapshot of the windows of stream {}: {}", plan.stream, what));
  };
  RestoredWindows restored;
  std::vector<bool> known(plan.windows.size(), false);
  if (bytes) {
    ByteReader in(*bytes);
    const std::uint8_t version = in.u8();
    if (!in.ok()) return corrupt("empty");
    if (version == 0 || version > kSnapshotVersion)
      return corrupt(fmt::format("version {} is not known", version));
    const std::string_view stream = in.text();
    if (!in.ok() || stream != plan.stream) return corrupt("it is of another stream");
    const std::uint64_t windows = in.varint();
    if (!in.ok() || windows > kMaxItems) return corrupt("bad number of windows");

    std::string_view before;
    for (std::uint64_t i = 0; i < windows; ++i) {
      StoredWindow stored;
      if (!read_window(in, version, stored)) return corrupt(fmt::format("window {} is damaged", i));
      if (i != 0 && stored.name <= before) return corrupt("its windows are not in order");
      before = stored.name;
      const auto window =
          std::find_if(plan.windows.begin(), plan.windows.end(),
                       [&](const WindowPlan& candidate) { return candidate.name == stored.name; });
      if (window == plan.windows.end()) {
        if (stored.is_open()) restored.lost.push_back(lost(stored, {}));
        continue;
      }
      known[window->index] = true;
      if (!take_over(stored, *window, watermark, open[window->index], retained[window->index],
                     restored)) {
        return corrupt(fmt::format("the groups of window {} are damaged", stored.name));
      }
    }
    if (!in.at_end()) return corrupt("bytes left over");
  }
  // Those that are new, or were away.
  for (const WindowPlan& window : plan.windows) {
    if (!known[window.index]) begin_anew(window, watermark, retained[window.index]);
  }
  return restored;
}

Result<std::vector<LostWindow>> open_in_snapshot(const std::string& stream,
                                                 std::string_view bytes) {
  StreamWindowsPlan none;
  none.stream = stream;
  OpenInstances open;
  std::vector<RetainedPanes> retained;
  Result<RestoredWindows> restored = decode_snapshot(bytes, none, kMinTimestamp, open, retained);
  if (restored.has_error()) return restored.error();
  return std::move(restored->lost);
}

}  // namespace streamobs::window
