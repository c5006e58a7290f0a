#include "window/aggregate/sketch.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>

namespace streamobs::window {

namespace sketch {

namespace {

/// The mantissas (in units of 2^-32) at which each bucket of an octave begins.
struct Bounds {
  std::array<double, kBucketsPerOctave + 1> lower;

  Bounds() {
    for (int r = 0; r < kBucketsPerOctave; ++r) {
      std::uint64_t low = 0;
      std::uint64_t high = std::uint64_t{1} << 32;
      while (low < high) {  // The smallest mantissa in bucket r: bucket_of never falls.
        const std::uint64_t middle = (low + high) / 2;
        const double x = std::bit_cast<double>((std::uint64_t{1023} << 52) | (middle << 20));
        if (bucket_of(x) >= r) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      lower[static_cast<std::size_t>(r)] = 1 + static_cast<double>(low) * 0x1p-32;
    }
    lower[kBucketsPerOctave] = 2;
  }
};

}  // namespace

double value_of(std::int32_t bucket) {
  static const Bounds bounds;
  std::int32_t octave = bucket / kBucketsPerOctave;
  std::int32_t within = bucket % kBucketsPerOctave;
  if (within < 0) {
    within += kBucketsPerOctave;
    --octave;
  }
  const double lower = bounds.lower[static_cast<std::size_t>(within)];
  const double upper = bounds.lower[static_cast<std::size_t>(within) + 1];
  return std::ldexp(2 * lower * upper / (lower + upper), octave);
}

}  // namespace sketch

namespace {

template <class T>
T* counts_as(std::byte* counts) {
  return reinterpret_cast<T*>(counts);
}

/// f of the counts as what they are.
template <class F>
auto with_counts(const std::byte* counts, std::uint8_t width, F&& f) {
  if (width == 1) return f(reinterpret_cast<const std::uint8_t*>(counts));
  if (width == 4) return f(reinterpret_cast<const std::uint32_t*>(counts));
  return f(reinterpret_cast<const std::uint64_t*>(counts));
}

std::uint64_t count_at(const std::byte* counts, std::uint8_t width, std::uint32_t i) {
  return with_counts(counts, width, [i](const auto* n) { return std::uint64_t{n[i]}; });
}

void set_count(std::byte* counts, std::uint8_t width, std::uint32_t i, std::uint64_t n) {
  if (width == 1) {
    counts[i] = static_cast<std::byte>(n);
  } else if (width == 4) {
    counts_as<std::uint32_t>(counts)[i] = static_cast<std::uint32_t>(n);
  } else {
    counts_as<std::uint64_t>(counts)[i] = n;
  }
}

std::uint8_t width_for(std::uint64_t n) {
  if (n <= 0xff) return 1;
  return n <= 0xffffffff ? 4 : 8;
}

/// The lowest bucket that is kept apart when `top` is the highest.
std::int32_t floor_of(std::int32_t top) {
  return top - (sketch::kMaxBuckets - 1);
}

}  // namespace

std::uint64_t BucketStore::at(std::uint32_t i) const {
  return count_at(counts, width, i);
}

std::uint64_t BucketStore::total() const {
  return with_counts(counts, width, [this](const auto* values) {
    std::uint64_t n = 0;
    for (std::uint32_t i = 0; i < length; ++i) n += values[i];
    return n;
  });
}

std::int32_t BucketStore::bucket_at(std::uint64_t rank, std::int32_t top) const {
  const std::uint32_t at = with_counts(counts, width, [this, rank](const auto* values) {
    std::uint32_t i = 0;
    for (std::uint64_t n = values[0]; n <= rank && i + 1 < length; n += values[i]) ++i;
    return i;
  });
  return std::max(base + static_cast<std::int32_t>(at), floor_of(top));
}

void BucketStore::widen(std::uint8_t width_wanted, Arena& arena) {
  auto* const wider =
      static_cast<std::byte*>(arena.allocate_cleared(std::size_t{length} * width_wanted));
  for (std::uint32_t i = 0; i < length; ++i) set_count(wider, width_wanted, i, at(i));
  arena.release(counts, std::size_t{length} * width);
  counts = wider;
  width = width_wanted;
}

void BucketStore::make_room(std::int32_t first, std::int32_t last, std::int32_t top, Arena& arena) {
  const bool fresh = length == 0;
  const std::int32_t old_low = fresh ? first : base;
  const std::int32_t old_high = fresh ? last : base + length - 1;
  const std::int32_t slack = 4 + length / 4;
  std::int32_t low = std::min(old_low, first);
  std::int32_t high = std::max(old_high, last);
  if (fresh || low < old_low) low -= slack;
  if (fresh || high > old_high) high += slack;
  // Never below the lowest bucket kept; and what lies beyond the greatest value is only slack.
  low = std::max(low, floor_of(top));
  high = std::min(high, low + sketch::kMaxBuckets - 1);

  std::uint64_t folded = 0;  // What the buckets below `low` hold goes to `low`.
  const auto kept_from =
      static_cast<std::uint32_t>(std::max(0, std::min(low - old_low, int{length})));
  for (std::uint32_t i = 0; i < kept_from; ++i) folded += at(i);

  const auto new_length = static_cast<std::uint16_t>(high - low + 1);
  const std::uint8_t new_width = std::max<std::uint8_t>(width, 1);
  auto* const room =
      static_cast<std::byte*>(arena.allocate_cleared(std::size_t{new_length} * new_width));
  if (!fresh) {
    const std::int32_t from = std::max(old_low, low);
    const std::int32_t kept = std::min(old_high, high) - from + 1;
    if (kept > 0) {
      std::memcpy(room + std::size_t{new_width} * static_cast<std::size_t>(from - low),
                  counts + std::size_t{width} * static_cast<std::size_t>(from - old_low),
                  std::size_t{width} * static_cast<std::size_t>(kept));
    }
    arena.release(counts, std::size_t{length} * width);
  }
  counts = room;
  base = low;
  length = new_length;
  width = new_width;
  if (folded != 0) add(low, folded, top, arena);
}

void BucketStore::add(std::int32_t bucket, std::uint64_t n, std::int32_t top, Arena& arena) {
  bucket = std::max(bucket, floor_of(top));
  if (length == 0 || bucket < base || bucket >= base + length) {
    make_room(bucket, bucket, top, arena);
  }
  const auto i = static_cast<std::uint32_t>(bucket - base);
  const std::uint64_t sum = at(i) + n;
  if (width_for(sum) > width) widen(width_for(sum), arena);
  set_count(counts, width, i, sum);
}

void BucketStore::merge(const BucketStore& other, std::int32_t top, Arena& arena) {
  std::uint32_t begin = 0;  // Without what is only slack.
  std::uint32_t end = other.length;
  with_counts(other.counts, other.width, [&](const auto* values) {
    while (begin < end && values[begin] == 0) ++begin;
    while (begin < end && values[end - 1] == 0) --end;
  });
  if (begin == end) return;
  const std::int32_t floor = floor_of(top);
  const std::int32_t first = std::max(other.base + static_cast<std::int32_t>(begin), floor);
  const std::int32_t last = std::max(other.base + static_cast<std::int32_t>(end) - 1, floor);
  if (length == 0 || first < base || last >= base + length) make_room(first, last, top, arena);
  for (; begin < end && other.base + static_cast<std::int32_t>(begin) < floor; ++begin) {
    add(floor, other.at(begin), top, arena);
  }
  auto i = static_cast<std::uint32_t>(other.base + static_cast<std::int32_t>(begin) - base);
  if (width == 1 && other.width == 1) {
    // The usual case by far: one pass to see that it fits, one to add.
    auto* const into = counts_as<std::uint8_t>(counts) + i;
    const auto* const from = counts_as<std::uint8_t>(other.counts) + begin;
    const std::uint32_t n = end - begin;
    unsigned overflowing = 0;
    for (std::uint32_t k = 0; k < n; ++k) overflowing |= unsigned{into[k]} + unsigned{from[k]};
    if (overflowing <= 0xff) {
      for (std::uint32_t k = 0; k < n; ++k) into[k] = static_cast<std::uint8_t>(into[k] + from[k]);
      return;
    }
  }
  for (; begin < end; ++begin, ++i) {
    const std::uint64_t n = other.at(begin);
    if (n == 0) continue;
    const std::uint64_t sum = at(i) + n;
    if (width_for(sum) > width) widen(width_for(sum), arena);
    set_count(counts, width, i, sum);
  }
}

BucketStore SketchState::positive() const {
  BucketStore store;
  store.counts = payload.spilled.counts;
  store.base = base;
  store.length = length;
  store.width = width;
  return store;
}

void SketchState::set_positive(const BucketStore& store) {
  payload.spilled.counts = store.counts;
  base = store.base;
  length = store.length;
  width = store.width;
}

void SketchState::add_positive(std::int32_t bucket, std::uint64_t n, Arena& arena) {
  BucketStore store = positive();
  store.add(bucket, n, top(), arena);
  set_positive(store);
}

BucketStore& SketchState::negative(Arena& arena) {
  if (payload.spilled.negative == nullptr) {
    payload.spilled.negative = new (arena.allocate(sizeof(BucketStore))) BucketStore;
  }
  return *payload.spilled.negative;
}

void SketchState::add_negative(std::int32_t bucket, std::uint64_t n, Arena& arena) {
  negative(arena).add(bucket, n, sketch::bucket_of(-min), arena);
}

void SketchState::spill(Arena& arena) {
  const auto buckets = payload.buckets;
  const std::size_t used = inline_used;
  payload.spilled = Spilled{nullptr, nullptr, 0};
  inline_used = 0;
  width = 1;  // From here on the counts are spilled, even while there are none.
  length = 0;
  for (std::size_t i = 0; i < used; ++i) {
    if (buckets[i] == kZeroBucket) {
      ++payload.spilled.zeros;
    } else {
      add_positive(buckets[i], 1, arena);
    }
  }
}

void SketchState::add_slowly(double x, std::int32_t bucket, Arena& arena) {
  if (empty()) {
    min = max = x;
  } else {
    min = x < min ? x : min;
    max = x > max ? x : max;
  }
  const bool zero = std::fabs(x) < sketch::kSmallest;
  if (width == 0) {
    const bool fits = zero || (x > 0 && bucket > INT16_MIN && bucket <= INT16_MAX);
    if (fits && inline_used < kInline) {
      payload.buckets[inline_used++] = zero ? kZeroBucket : static_cast<std::int16_t>(bucket);
      return;
    }
    spill(arena);
  }
  if (zero) {
    ++payload.spilled.zeros;
  } else if (x > 0) {
    add_positive(bucket, 1, arena);
  } else {
    add_negative(sketch::bucket_of(-x), 1, arena);
  }
}

template <class Count, class F>
void SketchState::each_of(const Count* counts, const BucketStore& store, std::int32_t top, F&& f) {
  const std::int32_t floor = floor_of(top);
  std::uint32_t i = 0;
  if (store.base <= floor) {
    std::uint64_t folded = 0;
    for (; i < store.length && store.base + static_cast<std::int32_t>(i) <= floor; ++i) {
      folded += counts[i];
    }
    if (folded != 0) f(floor, folded);
  }
  for (; i < store.length; ++i) {
    if (counts[i] != 0) f(store.base + static_cast<std::int32_t>(i), std::uint64_t{counts[i]});
  }
}

template <class F>
void SketchState::each(const BucketStore& store, std::int32_t top, F&& f) {
  with_counts(store.counts, store.width,
              [&](const auto* counts) { each_of(counts, store, top, f); });
}

template <class F>
void SketchState::each_positive(F&& f) const {
  if (width != 0) {
    if (length != 0) each(positive(), top(), f);
    return;
  }
  auto buckets = payload.buckets;
  std::sort(buckets.begin(), buckets.begin() + inline_used);
  // The spread of inline numbers may exceed kMaxBuckets too: the same floor holds.
  std::int32_t open = 0;
  std::uint64_t n = 0;
  for (std::size_t i = 0; i < inline_used; ++i) {
    if (buckets[i] == kZeroBucket) continue;
    const std::int32_t bucket = std::max<std::int32_t>(buckets[i], floor_of(top()));
    if (n != 0 && bucket != open) {
      f(open, n);
      n = 0;
    }
    open = bucket;
    ++n;
  }
  if (n != 0) f(open, n);
}

template <class F>
void SketchState::each_negative(F&& f) const {
  if (width == 0 || payload.spilled.negative == nullptr) return;
  each(*payload.spilled.negative, sketch::bucket_of(-min), f);
}

std::uint64_t SketchState::zeros() const {
  if (width != 0) return payload.spilled.zeros;
  return static_cast<std::uint64_t>(
      std::count(payload.buckets.begin(), payload.buckets.begin() + inline_used, kZeroBucket));
}

std::uint64_t SketchState::count() const {
  if (width == 0) return inline_used;
  std::uint64_t n = zeros() + positive().total();
  if (payload.spilled.negative != nullptr) n += payload.spilled.negative->total();
  return n;
}

void SketchState::merge(const SketchState& other, Arena& arena) {
  if (other.empty()) return;
  if (empty()) {
    min = other.min;
    max = other.max;
  } else {
    min = std::min(min, other.min);
    max = std::max(max, other.max);
  }
  if (other.width == 0) {
    const std::size_t used = other.inline_used;
    if (width == 0 && inline_used + used <= kInline) {
      for (std::size_t i = 0; i < used; ++i) {
        payload.buckets[inline_used++] = other.payload.buckets[i];
      }
      return;
    }
  }
  if (width == 0) spill(arena);
  payload.spilled.zeros += other.zeros();
  if (other.width == 0) {
    other.each_positive(
        [&](std::int32_t bucket, std::uint64_t n) { add_positive(bucket, n, arena); });
    return;
  }
  BucketStore store = positive();
  store.merge(other.positive(), top(), arena);
  set_positive(store);
  if (other.payload.spilled.negative != nullptr) {
    negative(arena).merge(*other.payload.spilled.negative, sketch::bucket_of(-min), arena);
  }
}

double SketchState::quantile(double p) const {
  const bool has_negatives = width != 0 && payload.spilled.negative != nullptr;
  const std::uint64_t negatives = has_negatives ? payload.spilled.negative->total() : 0;
  const std::uint64_t not_positive = negatives + zeros();
  const std::uint64_t n = width == 0 ? inline_used : not_positive + positive().total();
  const auto rank = static_cast<std::uint64_t>(p * static_cast<double>(n - 1));
  if (rank == 0) return min;
  if (rank >= n - 1) return max;
  double value = 0;
  if (rank < negatives) {
    // Negative buckets run upwards in size, so from the greatest value down.
    const std::int32_t largest = sketch::bucket_of(-min);
    value = -sketch::value_of(payload.spilled.negative->bucket_at(negatives - 1 - rank, largest));
  } else if (rank >= not_positive) {
    std::uint64_t before = not_positive;
    if (width != 0) {
      value = sketch::value_of(positive().bucket_at(rank - before, top()));
    } else {
      each_positive([&](std::int32_t bucket, std::uint64_t count) {
        if (before <= rank) value = sketch::value_of(bucket);
        before += count;
      });
    }
  }
  return std::clamp(value, min, max);
}

void SketchState::encode(std::string& out) const {
  put_u8(out, empty() ? 0 : 1);
  if (empty()) return;
  put_double(out, min);
  put_double(out, max);
  put_varint(out, zeros());
  const auto put_buckets = [&out](auto&& each_bucket) {
    std::uint64_t n = 0;
    each_bucket([&](std::int32_t, std::uint64_t) { ++n; });
    put_varint(out, n);
    std::int32_t last = 0;
    each_bucket([&](std::int32_t bucket, std::uint64_t count) {
      put_varint(out, zigzag(std::int64_t{bucket} - last));
      put_varint(out, count);
      last = bucket;
    });
  };
  put_buckets([this](auto&& f) { each_positive(f); });
  put_buckets([this](auto&& f) { each_negative(f); });
}

bool SketchState::decode(ByteReader& in, Arena& arena) {
  const std::uint8_t form = in.u8();
  if (!in.ok() || form > 1) return false;
  if (form == 0) return true;
  const double least = in.number();
  const double greatest = in.number();
  if (!in.ok() || !std::isfinite(least) || !std::isfinite(greatest) || least > greatest)
    return false;
  spill(arena);
  min = least;
  max = greatest;
  payload.spilled.zeros = in.varint();
  for (const bool positive_sign : {true, false}) {
    const std::uint64_t n = in.varint();
    const double largest = positive_sign ? max : -min;
    if (!in.ok() || n > sketch::kMaxBuckets || (n != 0 && largest < sketch::kSmallest))
      return false;
    const std::int64_t highest = n == 0 ? 0 : sketch::bucket_of(largest);
    std::int64_t bucket = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      const std::int64_t step = unzigzag(in.varint());
      const std::uint64_t count = in.varint();
      if (!in.ok() || count == 0 || (i != 0 && step <= 0) || step > 1'000'000 ||
          step < -1'000'000) {
        return false;
      }
      bucket += step;
      if (bucket > highest || bucket < highest - (sketch::kMaxBuckets - 1)) return false;
      if (positive_sign) {
        add_positive(static_cast<std::int32_t>(bucket), count, arena);
      } else {
        add_negative(static_cast<std::int32_t>(bucket), count, arena);
      }
    }
  }
  return in.ok() && count() != 0;
}

}  // namespace streamobs::window
