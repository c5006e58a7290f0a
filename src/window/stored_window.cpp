#include "window/stored_window.h"

#include <limits>
#include <string>

#include "window/snapshot.h"

namespace streamobs::window {

namespace {

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

/// The groups of one closed window, in rising order; none has come again never.
bool read_revisions(ByteReader& in, RevisionNumbers::mapped_type& out) {
  const std::size_t groups = in.count();
  for (std::size_t i = 0; i < groups; ++i) {
    const std::uint64_t size = in.varint();
    std::string bytes(size == 0 ? std::string_view() : in.text(size - 1));
    const std::uint64_t number = in.varint();
    if (!in.ok() || number == 0 || number > std::numeric_limits<std::uint32_t>::max()) return false;
    std::pair<bool, std::string> group(size == 0, std::move(bytes));
    if (!out.empty() && group <= out.rbegin()->first) return false;
    out.emplace_hint(out.end(), std::move(group), static_cast<std::uint32_t>(number));
  }
  return in.ok() && groups != 0;
}

/// False where the bytes are not what put_corrections() writes.
bool read_corrections(ByteReader& in, StoredWindow& out) {
  const std::uint8_t corrects = in.u8();
  out.corrects = corrects == 1;
  if (!in.ok() || corrects > 1) return false;
  if (!out.corrects) return true;
  out.forgotten = in.signed_varint();
  if (!read_instances(in, kSnapshotVersion, out.closed)) return false;
  const std::size_t windows = in.count();
  for (std::size_t i = 0; i < windows; ++i) {
    const Timestamp end = in.signed_varint();
    if (!in.ok() || (!out.revisions.empty() && end <= out.revisions.rbegin()->first)) return false;
    if (!read_revisions(in, out.revisions[end])) return false;
  }
  return in.ok();
}

}  // namespace

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
  if (version >= 4 && !read_corrections(in, out)) return false;
  if (!read_instances(in, version, out.instances)) return false;
  return out.closed_before != kMinTimestamp || out.is_open();
}

}  // namespace streamobs::window
