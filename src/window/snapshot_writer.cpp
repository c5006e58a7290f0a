// encode_snapshot: what is open, and what is kept, as bytes. The other half is in snapshot.cpp.
#include <map>
#include <utility>

#include "base/bytes.h"
#include "window/key_order.h"
#include "window/snapshot.h"

namespace streamobs::window {

namespace {

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

/// What closed windows are corrected from.
void put_corrections(const Corrections* corrections, std::string& out) {
  put_u8(out, corrections != nullptr ? 1 : 0);
  if (corrections == nullptr) return;
  put_signed(out, corrections->forgotten());
  put_varint(out, corrections->panes().size());
  for (const auto& [start, pane] : corrections->panes()) put_instance(*pane, out);
  put_varint(out, corrections->revisions().size());
  for (const auto& [end, groups] : corrections->revisions()) {
    put_signed(out, end);
    put_varint(out, groups.size());
    for (const auto& [group, number] : groups) {
      put_varint(out, group.first ? 0 : group.second.size() + 1);
      out.append(group.second);
      put_varint(out, number);
    }
  }
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
  put_u8(out, kSnapshotVersion);
  put_text(out, plan.stream);
  put_varint(out, windows.size());
  for (auto& [name, open] : windows) {
    put_window(*open.plan, out);
    const KeptPanes& panes = kept[open.plan->index];
    put_signed(out, panes.closed_before);
    put_varint(out, panes.panes.size());
    for (const WindowInstance* pane : panes.panes) put_instance(*pane, out);
    if (!panes.panes.empty()) put_signed(out, panes.closed_to);
    put_corrections(panes.corrections, out);
    put_varint(out, open.instances.size());
    for (auto& [place, parts] : open.instances) {
      for (std::size_t i = 1; i < parts.size(); ++i) parts[0]->table.merge(parts[i]->table);
      put_instance(*parts[0], out);
    }
  }
}

}  // namespace streamobs::window
