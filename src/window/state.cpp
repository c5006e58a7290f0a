#include "window/state.h"

#include <algorithm>

#include <fmt/format.h>

#include "window/aggregate/distinct.h"
#include "window/plan.h"
#include "window/row_finisher.h"

namespace streamobs::window {

namespace {

void encode_entry(const AccumulatorOps& ops, DataType type, const std::byte* state,
                  std::string& out, std::string& scratch) {
  put_u8(out, static_cast<std::uint8_t>(ops.kind));
  put_u8(out, static_cast<std::uint8_t>(type.kind));
  put_u8(out, type.scale);
  scratch.clear();
  ops.encode(state, scratch);
  put_varint(out, scratch.size());
  out.append(scratch);
}

bool gives(AccumulatorKind kind, Finish how) {
  switch (how) {
    case Finish::count:
    case Finish::rate_count:
      return kind == AccumulatorKind::count;
    case Finish::distinct:
      return kind == AccumulatorKind::distinct;
    case Finish::sum:
    case Finish::average:
    case Finish::rate_sum:
      return kind == AccumulatorKind::sum_int || kind == AccumulatorKind::sum_float;
    case Finish::quantile:
      return kind == AccumulatorKind::sketch;
    case Finish::value:
      return kind >= AccumulatorKind::min_int;
  }
  return false;
}

/// The argument's type must be one the accumulator can have been fed with.
bool fits(AccumulatorKind kind, DataType type) {
  if (type.scale > 18 || (type.scale != 0 && type.kind != Kind::decimal)) return false;
  switch (kind) {
    case AccumulatorKind::count:
    case AccumulatorKind::distinct:
      return static_cast<std::uint8_t>(type.kind) <= 8;
    case AccumulatorKind::sum_int:
      return type.kind == Kind::integer || type.kind == Kind::decimal;
    case AccumulatorKind::sum_float:
    case AccumulatorKind::min_float:
    case AccumulatorKind::max_float:
    case AccumulatorKind::first_float:
    case AccumulatorKind::last_float:
      return type.kind == Kind::floating;
    case AccumulatorKind::sketch:
      return is_numeric(type.kind);
    case AccumulatorKind::min_int:
    case AccumulatorKind::max_int:
      return is_integral(type.kind);
    case AccumulatorKind::first_int:
    case AccumulatorKind::last_int:
      return is_integral(type.kind) || type.kind == Kind::boolean;
    case AccumulatorKind::min_text:
    case AccumulatorKind::max_text:
    case AccumulatorKind::first_text:
    case AccumulatorKind::last_text:
      return is_text(type.kind);
  }
  return false;
}

}  // namespace

void encode_state(const WindowPlan& plan, const std::byte* row, std::string& out) {
  put_u8(out, WindowState::kVersion);
  put_u64(out, plan.state_definition);
  put_varint(out, plan.accumulators.size());
  std::string scratch;
  for (const AccumulatorPlan& a : plan.accumulators) {
    encode_entry(*a.ops, a.type, row + a.offset, out, scratch);
  }
}

bool select_reads_key(const StreamWindowsPlan& plan, std::size_t window, std::size_t key) {
  // The keys are the first columns of the select list's program.
  const std::vector<std::size_t>& used = plan.windows.at(window).select->inputs_used();
  return std::find(used.begin(), used.end(), key) != used.end();
}

Result<WindowState> WindowState::decode(std::string_view bytes) {
  const auto corrupt = [](std::string_view what) {
    return fail(ErrorCode::corrupt, fmt::format("stored accumulators: {}", what));
  };
  ByteReader in(bytes);
  const std::uint8_t version = in.u8();
  if (!in.ok()) return corrupt("empty");
  if (version == 0 || version > kVersion) {
    return corrupt(fmt::format("version {} is not known", version));
  }
  const std::uint64_t definition = version == 1 ? 0 : in.u64();
  const std::uint64_t count = in.varint();
  if (!in.ok() || count > kAccumulatorsMax) return corrupt("bad number of accumulators");

  WindowState state;
  state.definition_ = definition;
  state.arena_ = std::make_unique<Arena>();
  std::vector<std::string_view> payloads;
  std::size_t offset = kKeyBytes;
  for (std::uint64_t i = 0; i < count; ++i) {
    const AccumulatorOps* const ops = find_accumulator(in.u8());
    const DataType type{static_cast<Kind>(in.u8()), in.u8()};
    const std::uint64_t size = in.varint();
    payloads.push_back(in.text(size));
    if (!in.ok()) return corrupt("cut short");
    if (ops == nullptr || !fits(ops->kind, type)) {
      return corrupt(fmt::format("accumulator {} is of no known kind", i));
    }
    state.entries_.push_back({ops, type, offset});
    offset += ops->size;
  }
  if (!in.at_end()) return corrupt("bytes left over");
  state.words_.assign(offset / 8, 0);
  for (std::size_t i = 0; i < payloads.size(); ++i) {
    const Entry& entry = state.entries_[i];
    ByteReader payload(payloads[i]);
    if (!entry.ops->decode(state.row() + entry.offset, payload, *state.arena_) ||
        !payload.at_end()) {
      return corrupt(fmt::format("accumulator {} ({}) is damaged", i, entry.ops->name));
    }
  }
  return state;
}

std::string WindowState::encode() const {
  std::string out;
  std::string scratch;
  put_u8(out, kVersion);
  put_u64(out, definition_);
  put_varint(out, entries_.size());
  for (const Entry& e : entries_) encode_entry(*e.ops, e.type, row() + e.offset, out, scratch);
  return out;
}

Result<> WindowState::merge(const WindowState& other) {
  bool same = definition_ == other.definition_ && entries_.size() == other.entries_.size();
  for (std::size_t i = 0; same && i < entries_.size(); ++i) {
    same = entries_[i].ops == other.entries_[i].ops && entries_[i].type == other.entries_[i].type;
  }
  if (!same) {
    return fail(ErrorCode::invalid,
                "these accumulators are of different windows or versions of one");
  }
  for (const Entry& e : entries_) {
    e.ops->merge(row() + e.offset, other.row() + e.offset, *arena_);
  }
  return {};
}

bool WindowState::approximate(std::size_t i) const {
  return kind(i) == AccumulatorKind::distinct &&
         reinterpret_cast<const DistinctState*>(row() + entries_[i].offset)->approximate();
}

Result<Value> WindowState::finish(std::size_t i, Finish how, double parameter,
                                  Duration length) const {
  if (i >= entries_.size() || !gives(kind(i), how) || !(parameter >= 0 && parameter <= 1)) {
    return fail(ErrorCode::invalid, "the stored accumulator does not give this result");
  }
  std::uint64_t overflows = 0;
  return window::finish(how, kind(i), type(i), row() + entries_[i].offset, parameter, length,
                        overflows);
}

Result<std::vector<Value>> WindowState::metrics(const StreamWindowsPlan& plan, std::size_t window,
                                                const std::vector<Value>& keys, Timestamp start,
                                                Timestamp end) const {
  const WindowPlan& w = plan.windows.at(window);
  bool same = definition_ == w.state_definition && w.accumulators.size() == entries_.size() &&
              keys.size() == w.key_types.size();
  for (std::size_t i = 0; same && i < entries_.size(); ++i) {
    same = w.accumulators[i].ops == entries_[i].ops && w.accumulators[i].type == entries_[i].type;
  }
  if (!same) {
    return fail(ErrorCode::invalid,
                fmt::format("the stored accumulators are not those of window {}", w.name));
  }
  RowFinisher finisher(w);
  std::vector<WindowRow> rows(1);
  rows[0].start = start;
  rows[0].end = end;
  rows[0].keys = keys;
  const std::byte* const group = row();
  finisher.finish(rows, {&group, 1}, end);
  return std::move(rows[0].metrics);
}

}  // namespace streamobs::window
