// The accumulator table: for each kind its update loop, merge and byte format.
#include <array>
#include <cmath>

#include "base/decimal.h"
#include "base/hash.h"
#include "window/aggregate/distinct.h"
#include "window/aggregate/exact_sum.h"
#include "window/aggregate/functions.h"
#include "window/aggregate/ordered_values.h"
#include "window/aggregate/sketch.h"

namespace streamobs::window {

namespace {

template <class State>
State& at(std::byte* group, std::size_t offset = 0) {
  return *reinterpret_cast<State*>(group + offset);
}
template <class State>
const State& at(const std::byte* group) {
  return *reinterpret_cast<const State*>(group);
}

// ---- count

struct CountState {
  std::uint64_t count;
};

void update_count(const UpdateSlice& s, std::size_t offset) {
  for (std::size_t i = 0; i < s.size; ++i) ++at<CountState>(s.groups[i], offset).count;
}
void merge_count(std::byte* into, const std::byte* from, Arena&) {
  at<CountState>(into).count += at<CountState>(from).count;
}
void encode_count(const std::byte* state, std::string& out) {
  put_varint(out, at<CountState>(state).count);
}
bool decode_count(std::byte* state, ByteReader& in, Arena&) {
  at<CountState>(state).count = in.varint();
  return in.ok();
}

// ---- sum

void update_sum_int(const UpdateSlice& s, std::size_t offset) {
  for (std::size_t i = 0; i < s.size; ++i) {
    at<IntSumState>(s.groups[i], offset).add(s.argument.ints[s.rows[i]]);
  }
}
void merge_sum_int(std::byte* into, const std::byte* from, Arena&) {
  at<IntSumState>(into).merge(at<IntSumState>(from));
}
void encode_sum_int(const std::byte* state, std::string& out) {
  at<IntSumState>(state).encode(out);
}
bool decode_sum_int(std::byte* state, ByteReader& in, Arena&) {
  return at<IntSumState>(state).decode(in);
}

void update_sum_float(const UpdateSlice& s, std::size_t offset) {
  for (std::size_t i = 0; i < s.size; ++i) {
    at<FloatSumState>(s.groups[i], offset).add(s.argument.floats[s.rows[i]], *s.arena);
  }
}
void merge_sum_float(std::byte* into, const std::byte* from, Arena& arena) {
  at<FloatSumState>(into).merge(at<FloatSumState>(from), arena);
}
void encode_sum_float(const std::byte* state, std::string& out) {
  at<FloatSumState>(state).encode(out);
}
bool decode_sum_float(std::byte* state, ByteReader& in, Arena& arena) {
  return at<FloatSumState>(state).decode(in, arena);
}

// ---- sketch

/// Below this much memory counts stay in the caches by themselves.
constexpr std::size_t kPrefetchBytes = 1 << 20;

void update_sketch(const UpdateSlice& s, std::size_t offset) {
  constexpr std::size_t kBlock = 128;
  std::array<double, kBlock> values;
  std::array<std::int32_t, kBlock> buckets;
  const double unit = static_cast<double>(power_of_ten(s.argument.type.scale));
  for (std::size_t begin = 0; begin < s.size; begin += kBlock) {
    const std::size_t n = std::min(kBlock, s.size - begin);
    const std::uint16_t* const rows = s.rows + begin;
    if (s.argument.type.kind == Kind::floating) {
      for (std::size_t i = 0; i < n; ++i) values[i] = s.argument.floats[rows[i]];
    } else if (s.argument.type.kind == Kind::decimal) {
      for (std::size_t i = 0; i < n; ++i) {
        values[i] = static_cast<double>(s.argument.ints[rows[i]]) / unit;
      }
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        values[i] = static_cast<double>(s.argument.ints[rows[i]]);
      }
    }
    for (std::size_t i = 0; i < n; ++i) buckets[i] = sketch::bucket_of(values[i]);
    if (s.arena->bytes() > kPrefetchBytes) {
      for (std::size_t i = 0; i < n; ++i) {
        at<SketchState>(s.groups[begin + i], offset).prefetch(buckets[i]);
      }
    }
    for (std::size_t i = 0; i < n; ++i) {
      at<SketchState>(s.groups[begin + i], offset).add(values[i], buckets[i], *s.arena);
    }
  }
}
void merge_sketch(std::byte* into, const std::byte* from, Arena& arena) {
  at<SketchState>(into).merge(at<SketchState>(from), arena);
}
void encode_sketch(const std::byte* state, std::string& out) {
  at<SketchState>(state).encode(out);
}
bool decode_sketch(std::byte* state, ByteReader& in, Arena& arena) {
  return at<SketchState>(state).decode(in, arena);
}

// ---- distinct

void update_distinct(const UpdateSlice& s, std::size_t offset) {
  const auto add = [&](std::size_t i, const void* bytes, std::size_t size) {
    at<DistinctState>(s.groups[i], offset)
        .add(hash_bytes({static_cast<const char*>(bytes), size}), *s.arena);
  };
  switch (s.argument.type.kind) {
    case Kind::floating:
      for (std::size_t i = 0; i < s.size; ++i) {
        const double x = s.argument.floats[s.rows[i]] + 0.0;  // −0 and 0 are one value.
        add(i, &x, sizeof x);
      }
      break;
    case Kind::boolean:
      for (std::size_t i = 0; i < s.size; ++i) add(i, &s.argument.bools[s.rows[i]], 1);
      break;
    case Kind::string:
    case Kind::map:
      for (std::size_t i = 0; i < s.size; ++i) {
        const std::string_view text = s.argument.string_at(s.rows[i]);
        add(i, text.data(), text.size());
      }
      break;
    default:
      for (std::size_t i = 0; i < s.size; ++i) add(i, &s.argument.ints[s.rows[i]], 8);
  }
}
void merge_distinct(std::byte* into, const std::byte* from, Arena& arena) {
  at<DistinctState>(into).merge(at<DistinctState>(from), arena);
}
void encode_distinct(const std::byte* state, std::string& out) {
  at<DistinctState>(state).encode(out);
}
bool decode_distinct(std::byte* state, ByteReader& in, Arena& arena) {
  return at<DistinctState>(state).decode(in, arena);
}

// ---- min, max

template <class T>
T scalar_at(const ColumnView& column, std::size_t row);
template <>
std::int64_t scalar_at(const ColumnView& column, std::size_t row) {
  return column.ints[row];
}
template <>
double scalar_at(const ColumnView& column, std::size_t row) {
  return column.floats[row] + 0.0;  // −0 becomes 0, so that the order of adding cannot show.
}

template <class T, bool kMax>
void take_extreme(ScalarState<T>& state, T x) {
  if (state.present == 0 || (kMax ? x > state.value : x < state.value)) state.value = x;
  state.present = 1;
}

template <class T, bool kMax>
void update_extreme(const UpdateSlice& s, std::size_t offset) {
  for (std::size_t i = 0; i < s.size; ++i) {
    take_extreme<T, kMax>(at<ScalarState<T>>(s.groups[i], offset),
                          scalar_at<T>(s.argument, s.rows[i]));
  }
}
template <class T, bool kMax>
void merge_extreme(std::byte* into, const std::byte* from, Arena&) {
  const auto& other = at<ScalarState<T>>(from);
  if (other.present != 0) take_extreme<T, kMax>(at<ScalarState<T>>(into), other.value);
}
template <class T>
void encode_scalar(const std::byte* state, std::string& out) {
  const auto& s = at<ScalarState<T>>(state);
  put_u8(out, s.present != 0 ? 1 : 0);
  if (s.present != 0) put_u64(out, std::bit_cast<std::uint64_t>(s.value));
}
template <class T>
bool decode_scalar(std::byte* state, ByteReader& in, Arena&) {
  auto& s = at<ScalarState<T>>(state);
  const std::uint8_t present = in.u8();
  s.present = present;
  if (present != 0) s.value = std::bit_cast<T>(in.u64());
  if constexpr (std::is_same_v<T, double>) {
    if (present != 0 && !std::isfinite(s.value)) return false;
  }
  return in.ok() && present <= 1;
}

template <bool kMax>
void take_extreme_text(TextState& state, std::string_view text, Arena& arena) {
  if (state.data == nullptr || (kMax ? text > state.view() : text < state.view())) {
    state.assign(text, arena);
  }
}
template <bool kMax>
void update_extreme_text(const UpdateSlice& s, std::size_t offset) {
  for (std::size_t i = 0; i < s.size; ++i) {
    take_extreme_text<kMax>(at<TextState>(s.groups[i], offset), s.argument.string_at(s.rows[i]),
                            *s.arena);
  }
}
template <bool kMax>
void merge_extreme_text(std::byte* into, const std::byte* from, Arena& arena) {
  const auto& other = at<TextState>(from);
  if (other.data != nullptr) take_extreme_text<kMax>(at<TextState>(into), other.view(), arena);
}

void encode_text_value(const TextState& text, std::string& out) {
  put_varint(out, text.size);
  out.append(text.view());
}
bool decode_text_value(TextState& text, ByteReader& in, Arena& arena) {
  const std::uint64_t size = in.varint();
  const std::string_view bytes = in.text(size);
  if (!in.ok() || size > 0xffffffff) return false;
  text.assign(bytes, arena);
  return true;
}
void encode_text(const std::byte* state, std::string& out) {
  const auto& text = at<TextState>(state);
  put_u8(out, text.data != nullptr ? 1 : 0);
  if (text.data != nullptr) encode_text_value(text, out);
}
bool decode_text(std::byte* state, ByteReader& in, Arena& arena) {
  const std::uint8_t present = in.u8();
  if (!in.ok() || present > 1) return false;
  return present == 0 || decode_text_value(at<TextState>(state), in, arena);
}

// ---- first, last

/// Whether a row at `moment` takes the place of the one held.
template <bool kLast>
bool takes_over(const Moment& held, const Moment& moment) {
  if (held.present == 0) return true;
  return kLast ? !moment.before(held) : moment.before(held);
}

Moment moment_of(const UpdateSlice& s, std::size_t i) {
  return {s.times[s.positions[i]], s.sequence, s.first_row + s.positions[i], 1};
}

template <class T>
T moment_value(const ColumnView& column, std::size_t row) {
  if constexpr (std::is_same_v<T, double>) {
    return column.floats[row];
  } else {
    return column.type.kind == Kind::boolean ? column.bools[row] : column.ints[row];
  }
}

template <class T, bool kLast>
void update_moment(const UpdateSlice& s, std::size_t offset) {
  for (std::size_t i = 0; i < s.size; ++i) {
    auto& state = at<MomentState<T>>(s.groups[i], offset);
    const Moment moment = moment_of(s, i);
    if (takes_over<kLast>(state.moment, moment)) {
      state = {moment, moment_value<T>(s.argument, s.rows[i])};
    }
  }
}
template <class T, bool kLast>
void merge_moment(std::byte* into, const std::byte* from, Arena&) {
  auto& state = at<MomentState<T>>(into);
  const auto& other = at<MomentState<T>>(from);
  if (other.moment.present != 0 && takes_over<kLast>(state.moment, other.moment)) state = other;
}
template <bool kLast>
void update_moment_text(const UpdateSlice& s, std::size_t offset) {
  for (std::size_t i = 0; i < s.size; ++i) {
    auto& state = at<MomentState<TextState>>(s.groups[i], offset);
    const Moment moment = moment_of(s, i);
    if (takes_over<kLast>(state.moment, moment)) {
      state.moment = moment;
      state.value.assign(s.argument.string_at(s.rows[i]), *s.arena);
    }
  }
}
template <bool kLast>
void merge_moment_text(std::byte* into, const std::byte* from, Arena& arena) {
  auto& state = at<MomentState<TextState>>(into);
  const auto& other = at<MomentState<TextState>>(from);
  if (other.moment.present != 0 && takes_over<kLast>(state.moment, other.moment)) {
    state.moment = other.moment;
    state.value.assign(other.value.view(), arena);
  }
}

/// The place in the log is not stored: it depends on how events were cut into batches, and stored
/// states are of different windows, whose times differ.
void encode_moment(const Moment& moment, std::string& out) {
  put_u8(out, moment.present != 0 ? 1 : 0);
  if (moment.present != 0) put_varint(out, zigzag(moment.time));
}
bool decode_moment(Moment& moment, ByteReader& in) {
  const std::uint8_t present = in.u8();
  moment = {};
  moment.present = present;
  if (present != 0) moment.time = unzigzag(in.varint());
  return in.ok() && present <= 1;
}
template <class T>
void encode_moment_scalar(const std::byte* state, std::string& out) {
  const auto& s = at<MomentState<T>>(state);
  encode_moment(s.moment, out);
  if (s.moment.present != 0) put_u64(out, std::bit_cast<std::uint64_t>(s.value));
}
template <class T>
bool decode_moment_scalar(std::byte* state, ByteReader& in, Arena&) {
  auto& s = at<MomentState<T>>(state);
  if (!decode_moment(s.moment, in)) return false;
  if (s.moment.present == 0) return true;
  s.value = std::bit_cast<T>(in.u64());
  if constexpr (std::is_same_v<T, double>) {
    if (!std::isfinite(s.value)) return false;
  }
  return in.ok();
}
void encode_moment_text(const std::byte* state, std::string& out) {
  const auto& s = at<MomentState<TextState>>(state);
  encode_moment(s.moment, out);
  if (s.moment.present != 0) encode_text_value(s.value, out);
}
bool decode_moment_text(std::byte* state, ByteReader& in, Arena& arena) {
  auto& s = at<MomentState<TextState>>(state);
  if (!decode_moment(s.moment, in)) return false;
  return s.moment.present == 0 || decode_text_value(s.value, in, arena);
}

// ---- the table

template <class T, bool kMax>
constexpr AccumulatorOps extreme(AccumulatorKind kind, std::string_view name) {
  return {kind,
          name,
          sizeof(ScalarState<T>),
          true,
          update_extreme<T, kMax>,
          merge_extreme<T, kMax>,
          encode_scalar<T>,
          decode_scalar<T>};
}
template <bool kMax>
constexpr AccumulatorOps extreme_text(AccumulatorKind kind, std::string_view name) {
  return {kind,
          name,
          sizeof(TextState),
          false,
          update_extreme_text<kMax>,
          merge_extreme_text<kMax>,
          encode_text,
          decode_text};
}
template <class T, bool kLast>
constexpr AccumulatorOps moment(AccumulatorKind kind, std::string_view name) {
  return {kind,
          name,
          sizeof(MomentState<T>),
          true,
          update_moment<T, kLast>,
          merge_moment<T, kLast>,
          encode_moment_scalar<T>,
          decode_moment_scalar<T>};
}
template <bool kLast>
constexpr AccumulatorOps moment_text(AccumulatorKind kind, std::string_view name) {
  return {kind,
          name,
          sizeof(MomentState<TextState>),
          false,
          update_moment_text<kLast>,
          merge_moment_text<kLast>,
          encode_moment_text,
          decode_moment_text};
}

using K = AccumulatorKind;
constexpr std::array kAccumulators = {
    AccumulatorOps{K::count, "count", sizeof(CountState), true, update_count, merge_count,
                   encode_count, decode_count},
    AccumulatorOps{K::sum_int, "sum_int", sizeof(IntSumState), true, update_sum_int, merge_sum_int,
                   encode_sum_int, decode_sum_int},
    AccumulatorOps{K::sum_float, "sum_float", sizeof(FloatSumState), false, update_sum_float,
                   merge_sum_float, encode_sum_float, decode_sum_float},
    AccumulatorOps{K::sketch, "sketch", sizeof(SketchState), false, update_sketch, merge_sketch,
                   encode_sketch, decode_sketch},
    AccumulatorOps{K::distinct, "distinct", sizeof(DistinctState), false, update_distinct,
                   merge_distinct, encode_distinct, decode_distinct},
    extreme<std::int64_t, false>(K::min_int, "min_int"),
    extreme<std::int64_t, true>(K::max_int, "max_int"),
    extreme<double, false>(K::min_float, "min_float"),
    extreme<double, true>(K::max_float, "max_float"),
    extreme_text<false>(K::min_text, "min_text"),
    extreme_text<true>(K::max_text, "max_text"),
    moment<std::int64_t, false>(K::first_int, "first_int"),
    moment<std::int64_t, true>(K::last_int, "last_int"),
    moment<double, false>(K::first_float, "first_float"),
    moment<double, true>(K::last_float, "last_float"),
    moment_text<false>(K::first_text, "first_text"),
    moment_text<true>(K::last_text, "last_text"),
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kAccumulators.size(); ++i) {
    if (static_cast<std::size_t>(kAccumulators[i].kind) != i + 1) return false;
    if (kAccumulators[i].size % 8 != 0) return false;
  }
  return true;
}
static_assert(in_order());

}  // namespace

const AccumulatorOps* find_accumulator(std::uint8_t kind) {
  if (kind == 0 || kind > kAccumulators.size()) return nullptr;
  return &kAccumulators[kind - 1];
}

const AccumulatorOps& ops_of(AccumulatorKind kind) {
  return kAccumulators[static_cast<std::size_t>(kind) - 1];
}

}  // namespace streamobs::window
