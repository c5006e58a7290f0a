#include "window/snapshot.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/bytes.h"
#include "window/key_order.h"

namespace streamobs::window {

namespace {

/// 1: there were only tumbling windows, so nothing was kept at the merger, and each instance was
/// due at its end. 2: only windows with something open were there, and nothing said what had
/// closed.
constexpr std::uint8_t kVersion = 3;
/// What no config reaches; so that damaged bytes cannot ask for much memory.
constexpr std::uint64_t kMaxItems = 1 << 16;

// ---- writing

void put_accumulator(const AccumulatorPlan& a, const std::byte* state, std::string& out) {
  const std::size_t size_at = out.size();
  put_u8(out, 0);
  a.ops->encode(state, out);
  const std::size_t size = out.size() - size_at - 1;
  if (size < 0x80) {
    out[size_at] = static_cast<char>(size);
    return;
  }
  std::string bytes;
  put_varint(bytes, size);
  out.replace(size_at, 1, bytes);
}

void put_groups(const GroupTable& table, std::string& out) {
  const WindowPlan& plan = table.plan();
  for (const std::uint32_t slot : slots_by_bytes(table)) {
    const GroupKey& key = table.key(slot);
    if (key.is_overflow()) {
      put_u8(out, 0);
    } else {
      put_varint(out, std::uint64_t{key.size} + 1);
      out.append(key.bytes());
    }
    for (const AccumulatorPlan& a : plan.accumulators) {
      put_accumulator(a, table.row(slot) + a.offset, out);
    }
  }
}

void put_instance(const WindowInstance& instance, std::string& out) {
  put_signed(out, instance.interval.start);
  put_signed(out, instance.interval.end);
  put_signed(out, instance.due);
  put_varint(out, instance.table.size());
  const std::size_t size_at = out.size();
  put_u64(out, 0);
  const std::size_t begin = out.size();
  put_groups(instance.table, out);
  std::string size;
  put_u64(size, out.size() - begin);
  out.replace(size_at, size.size(), size);
}

void put_window(const WindowPlan& plan, std::string& out) {
  put_text(out, plan.name);
  put_varint(out, plan.definition.size());
  for (const auto& [what, text] : plan.definition) {
    put_text(out, what);
    put_text(out, text);
  }
  put_varint(out, plan.max_keys);
  put_varint(out, plan.accumulators.size());
  for (const AccumulatorPlan& a : plan.accumulators) {
    put_u8(out, static_cast<std::uint8_t>(a.kind));
    put_u8(out, static_cast<std::uint8_t>(a.type.kind));
    put_u8(out, a.type.scale);
    put_text(out, a.definition);
  }
}

// ---- reading

struct StoredInstance {
  Interval interval;
  Timestamp due = 0;
  std::uint64_t groups = 0;
  std::string_view bytes;
};

struct StoredAccumulator {
  AccumulatorKind kind{};
  DataType type;
  std::string_view definition;
};

struct StoredWindow {
  bool is_open() const { return !kept.empty() || !instances.empty(); }

  std::string_view name;
  std::vector<std::pair<std::string_view, std::string_view>> definition;
  std::uint64_t max_keys = 0;
  std::vector<StoredAccumulator> accumulators;
  Timestamp closed_before = kMinTimestamp;
  Timestamp closed_to = kMinTimestamp;
  std::vector<StoredInstance> kept;
  std::vector<StoredInstance> instances;
};

bool read_instance(ByteReader& in, std::uint8_t version, StoredInstance& out) {
  out.interval.start = in.signed_varint();
  out.interval.end = in.signed_varint();
  out.due = out.interval.end;
  if (version >= 2) out.due = in.signed_varint();
  out.groups = in.varint();
  out.bytes = in.text(in.u64());
  return in.ok() && out.interval.start < out.interval.end && out.groups != 0 &&
         out.groups <= out.bytes.size();
}

/// Instances in rising order of due and start.
bool read_instances(ByteReader& in, std::uint8_t version, std::vector<StoredInstance>& out) {
  const std::size_t instances = in.count();
  for (std::size_t i = 0; i < instances; ++i) {
    StoredInstance instance;
    if (!read_instance(in, version, instance)) return false;
    if (i != 0 && std::pair(out.back().due, out.back().interval.start) >=
                      std::pair(instance.due, instance.interval.start)) {
      return false;
    }
    out.push_back(instance);
  }
  return in.ok();
}

/// False where the bytes are not what put_window() and put_instance() write.
bool read_window(ByteReader& in, std::uint8_t version, StoredWindow& out) {
  out.name = in.text();
  const std::uint64_t parts = in.varint();
  if (!in.ok() || parts > kMaxItems) return false;
  for (std::uint64_t i = 0; i < parts && in.ok(); ++i) {
    const std::string_view what = in.text();
    out.definition.emplace_back(what, in.text());
  }
  out.max_keys = in.varint();
  const std::uint64_t accumulators = in.varint();
  if (!in.ok() || accumulators > kMaxItems) return false;
  for (std::uint64_t i = 0; i < accumulators && in.ok(); ++i) {
    StoredAccumulator a;
    a.kind = static_cast<AccumulatorKind>(in.u8());
    a.type.kind = static_cast<Kind>(in.u8());
    a.type.scale = in.u8();
    a.definition = in.text();
    out.accumulators.push_back(a);
  }
  if (version >= 3) out.closed_before = in.signed_varint();
  if (version >= 2) {
    if (!read_instances(in, version, out.kept)) return false;
    if (!out.kept.empty()) out.closed_to = in.signed_varint();
  }
  if (!read_instances(in, version, out.instances)) return false;
  return out.closed_before != kMinTimestamp || out.is_open();
}

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
  // It need not be an end any more where a time zone has got new rules.
  if (plan.session() && stored.closed_before != kMinTimestamp) return false;
  for (const StoredInstance& instance : stored.instances) {
    if (instance.due > assigner.last_end(instance.interval)) return false;
    if (plan.session() || instance.due == instance.interval.end) continue;
    if (instance.due < instance.interval.end || !is_end(instance.due)) return false;
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

LostWindow lost(const StoredWindow& stored, std::vector<std::string> altered) {
  LostWindow window;
  window.window = std::string(stored.name);
  window.altered = std::move(altered);
  for (const auto* instances : {&stored.kept, &stored.instances}) {
    for (const StoredInstance& instance : *instances) {
      window.instances.push_back({instance.interval.start, instance.interval.end, instance.groups});
    }
  }
  return window;
}

bool take_over(const std::vector<StoredInstance>& stored, const WindowPlan& plan,
               const AccumulatorMap& accumulators, std::vector<InstancePtr>& to,
               RestoredWindows& restored) {
  for (const StoredInstance& instance : stored) {
    to.push_back(std::make_unique<WindowInstance>(plan, instance.interval, instance.due));
    if (!read_groups(instance, accumulators, to.back()->table)) return false;
    ++restored.instances;
    restored.rows += instance.groups;
  }
  return true;
}

/// Whether its rows go where those of before are.
bool same_rows(const std::vector<std::string>& altered) {
  constexpr std::string_view kIdentity[] = {"size", "hop", "gap", "timezone", "by"};
  return std::none_of(altered.begin(), altered.end(), [&](const std::string& what) {
    return std::find(std::begin(kIdentity), std::end(kIdentity), what) != std::end(kIdentity);
  });
}

/// False where the stored groups are damaged.
bool take_over(const StoredWindow& stored, const WindowPlan& plan, std::vector<InstancePtr>& open,
               RetainedPanes& retained, RestoredWindows& restored) {
  std::vector<std::string> altered = differences(stored, plan);
  AccumulatorMap accumulators = map_accumulators(stored, plan);
  std::move(accumulators.missing.begin(), accumulators.missing.end(), std::back_inserter(altered));
  if (!altered.empty()) {
    // A late event must not begin a window anew whose row is stored.
    if (!plan.session() && same_rows(altered)) retained.closed_before = stored.closed_before;
    if (stored.is_open()) restored.lost.push_back(lost(stored, std::move(altered)));
    return true;
  }
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

void encode_snapshot(const StreamWindowsPlan& plan, const std::vector<WindowInstance*>& instances,
                     const std::vector<KeptPanes>& kept, std::string& out) {
  struct Open {
    const WindowPlan* plan = nullptr;
    std::map<InstancePlace, std::vector<WindowInstance*>> instances;
  };
  std::map<std::string_view, Open> windows;
  for (WindowInstance* const instance : instances) {
    if (instance->table.size() == 0) continue;
    const WindowPlan& window = plan.windows[instance->table.plan().index];
    windows[window.name].plan = &window;
    windows[window.name].instances[place_of(*instance)].push_back(instance);
  }
  for (const WindowPlan& window : plan.windows) {
    const KeptPanes& of_window = kept[window.index];
    const bool any = !of_window.panes.empty() || of_window.closed_before != kMinTimestamp;
    if (any) windows[window.name].plan = &window;
  }
  put_u8(out, kVersion);
  put_text(out, plan.stream);
  put_varint(out, windows.size());
  for (auto& [name, open] : windows) {
    put_window(*open.plan, out);
    const KeptPanes& panes = kept[open.plan->index];
    put_signed(out, panes.closed_before);
    put_varint(out, panes.panes.size());
    for (const WindowInstance* pane : panes.panes) put_instance(*pane, out);
    if (!panes.panes.empty()) put_signed(out, panes.closed_to);
    put_varint(out, open.instances.size());
    for (auto& [place, parts] : open.instances) {
      for (std::size_t i = 1; i < parts.size(); ++i) parts[0]->table.merge(parts[i]->table);
      put_instance(*parts[0], out);
    }
  }
}

Result<RestoredWindows> decode_snapshot(std::string_view bytes, const StreamWindowsPlan& plan,
                                        OpenInstances& open, std::vector<RetainedPanes>& retained) {
  const auto corrupt = [&](std::string_view what) {
    return fail(ErrorCode::corrupt,
                fmt::format("snapshot of the windows of stream {}: {}", plan.stream, what));
  };
  ByteReader in(bytes);
  const std::uint8_t version = in.u8();
  if (!in.ok()) return corrupt("empty");
  if (version == 0 || version > kVersion)
    return corrupt(fmt::format("version {} is not known", version));
  const std::string_view stream = in.text();
  if (!in.ok() || stream != plan.stream) return corrupt("it is of another stream");
  const std::uint64_t windows = in.varint();
  if (!in.ok() || windows > kMaxItems) return corrupt("bad number of windows");

  RestoredWindows restored;
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
    } else if (!take_over(stored, *window, open[window->index], retained[window->index],
                          restored)) {
      return corrupt(fmt::format("the groups of window {} are damaged", stored.name));
    }
  }
  if (!in.at_end()) return corrupt("bytes left over");
  return restored;
}

}  // namespace streamobs::window
