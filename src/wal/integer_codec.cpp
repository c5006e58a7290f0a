#include "wal/integer_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "wal/bit_packing.h"

namespace streamobs::wal {

namespace {

// The first byte: the method, the unit (kUnits) and whether there are upper halves. Frozen.
enum Method : std::uint8_t {
  kConstant = 0,
  kOffsets = 1,
  kSteps = 2,
  kChoice = 3,
};
constexpr std::uint8_t kMethodMask = 0x07;
constexpr unsigned kUnitShift = 3;
constexpr std::uint8_t kUnitMask = 0x03;
constexpr std::uint8_t kWide = 0x20;
constexpr std::uint8_t kKnownBits = 0x3f;
constexpr std::uint64_t kUnits[] = {1, 1'000, 1'000'000};

constexpr std::uint64_t kNarrowMax = std::numeric_limits<std::uint32_t>::max();
/// Numbers that are looked at to choose a method.
constexpr std::size_t kSample = 128;
/// Choices: more are not worth a table, and numbers further apart not looking for them.
constexpr std::size_t kChoicesMax = 64;
constexpr std::size_t kChoiceSpan = 4096;
constexpr std::size_t kChoiceSizeMin = 64;

struct Range {
  std::int64_t least;
  std::int64_t most;
  void add(std::int64_t value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
  std::uint64_t span() const {
    return static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least);
  }
};

Range range_of(const std::int64_t* values, std::size_t size) {
  // Four at a time: comparing one by one is a chain of dependent steps.
  Range ranges[4];
  std::fill_n(ranges, 4, Range{values[0], values[0]});
  std::size_t i = 0;
  for (; i + 4 <= size; i += 4) {
    for (std::size_t k = 0; k < 4; ++k) ranges[k].add(values[i + k]);
  }
  for (; i < size; ++i) ranges[0].add(values[i]);
  for (std::size_t k = 1; k < 4; ++k) {
    ranges[0].add(ranges[k].least);
    ranges[0].add(ranges[k].most);
  }
  return ranges[0];
}

std::int64_t difference(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

bool steps_pay(const std::int64_t* values, std::size_t size) {
  const std::size_t sample = std::min(size, kSample);
  if (sample < 8) return false;
  std::int64_t steps[kSample];
  for (std::size_t i = 1; i < sample; ++i) steps[i - 1] = difference(values[i], values[i - 1]);
  return bits_of(range_of(steps, sample - 1).span()) + 2 <=
         bits_of(range_of(values, sample).span());
}

/// Inverse of 125 modulo 2^bits, by Newton's iteration.
template <class Word>
constexpr Word inverse_of_125() {
  Word inverse = 125;
  for (int i = 0; i < 6; ++i) inverse = static_cast<Word>(inverse * (2 - 125 * inverse));
  return inverse;
}

/// Divides every number by 1,000 if all are multiples of it (Granlund and Montgomery, "Division by
/// invariant integers using multiplication", 1994, section 9); else false, and `to` is undefined.
template <class Word>
bool divide_by_thousand(const Word* from, std::size_t size, Word* to) {
  for (std::size_t i = 0; i < std::min<std::size_t>(size, 16); ++i) {
    if (from[i] % 1000 != 0) return false;
  }
  Word most = 0;
  for (std::size_t i = 0; i < size; ++i) {
    to[i] = std::rotr(static_cast<Word>(from[i] * inverse_of_125<Word>()), 3);
    most = std::max(most, to[i]);
  }
  return most <= std::numeric_limits<Word>::max() / 1000;
}

}  // namespace

std::int64_t IntegerEncoder::put(std::string& out, const std::int64_t* values, std::size_t size) {
  if (size == 0) return std::numeric_limits<std::int64_t>::min();
  const Range range = range_of(values, size);
  if (range.least == range.most) {
    put_u8(out, kConstant);
    put_signed(out, range.least);
  } else if (steps_pay(values, size)) {
    steps_.resize(size - 1);
    for (std::size_t i = 1; i < size; ++i) steps_[i - 1] = difference(values[i], values[i - 1]);
    const Range steps = range_of(steps_.data(), size - 1);
    put_offsets(out, kSteps, steps_.data(), size - 1, steps.least, steps.span(), values[0]);
  } else {
    put_offsets(out, kOffsets, values, size, range.least, range.span(), 0);
  }
  return range.most;
}

void IntegerEncoder::put_offsets(std::string& out, std::uint8_t method, const std::int64_t* values,
                                 std::size_t size, std::int64_t least, std::uint64_t span,
                                 std::int64_t first) {
  const auto base = static_cast<std::uint64_t>(least);
  unsigned unit = 0;
  narrow_.resize(size);
  spare_.resize(size);
  if (span > kNarrowMax) {
    wide_.resize(size);
    wide_spare_.resize(size);
    for (std::size_t i = 0; i < size; ++i) wide_[i] = static_cast<std::uint64_t>(values[i]) - base;
    for (; unit < 2 && divide_by_thousand(wide_.data(), size, wide_spare_.data()); ++unit) {
      wide_.swap(wide_spare_);
      span /= 1000;
    }
    for (std::size_t i = 0; i < size; ++i) narrow_[i] = static_cast<std::uint32_t>(wide_[i]);
  } else {
    for (std::size_t i = 0; i < size; ++i) {
      narrow_[i] = static_cast<std::uint32_t>(static_cast<std::uint64_t>(values[i]) - base);
    }
    for (; unit < 2 && divide_by_thousand(narrow_.data(), size, spare_.data()); ++unit) {
      narrow_.swap(spare_);
      span /= 1000;
    }
  }

  const auto head = static_cast<std::uint8_t>(method | unit << kUnitShift);
  if (span > kNarrowMax) {
    put_u8(out, head | kWide);
  } else if (method == kOffsets &&
             put_choice(out, unit, size, static_cast<std::uint32_t>(span), least)) {
    return;
  } else {
    put_u8(out, head);
  }
  if (method == kSteps) put_signed(out, first);
  put_signed(out, least);
  put_packed(out, narrow_.data(), size);
  if (span > kNarrowMax) {
    for (std::size_t i = 0; i < size; ++i) spare_[i] = static_cast<std::uint32_t>(wide_[i] >> 32);
    put_packed(out, spare_.data(), size);
  }
}

/// Writes narrow_ as a table and positions in it, if that is smaller.
bool IntegerEncoder::put_choice(std::string& out, unsigned unit, std::size_t size,
                                std::uint32_t span, std::int64_t least) {
  if (size < kChoiceSizeMin || span >= kChoiceSpan) return false;
  std::uint8_t seen[kChoiceSpan];
  std::memset(seen, 0, span + 1);
  std::uint32_t choices[kChoicesMax];
  const std::size_t count_max = std::min(kChoicesMax, size / 8);
  std::size_t count = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (seen[narrow_[i]] != 0) [[likely]]
      continue;
    if (count == count_max) return false;
    seen[narrow_[i]] = 1;
    choices[count++] = narrow_[i];
  }
  std::sort(choices, choices + count);
  const std::size_t saved_bits = bits_of(span) - bits_of(count - 1);
  if (saved_bits * size < 8 * (2 * count + 1)) return false;

  put_u8(out, static_cast<std::uint8_t>(kChoice | unit << kUnitShift));
  put_signed(out, least);
  put_varint(out, count);
  for (std::size_t i = 1; i < count; ++i) put_varint(out, choices[i] - choices[i - 1]);
  for (std::size_t i = 0; i < count; ++i) seen[choices[i]] = static_cast<std::uint8_t>(i);
  for (std::size_t i = 0; i < size; ++i) spare_[i] = seen[narrow_[i]];
  put_packed(out, spare_.data(), size);
  return true;
}

bool IntegerDecoder::get(ByteReader& in, std::size_t size, std::int64_t* values) {
  if (size == 0) return true;
  const std::uint8_t head = in.u8();
  const unsigned unit_index = head >> kUnitShift & kUnitMask;
  if ((head & ~kKnownBits) != 0 || unit_index >= std::size(kUnits)) return false;
  const std::uint64_t unit = kUnits[unit_index];
  const std::uint8_t method = head & kMethodMask;
  if (method == kConstant) {
    std::fill_n(values, size, in.signed_varint());
    return in.ok();
  }
  if (method == kChoice) return get_choice(in, size, unit, values);
  if (method != kOffsets && method != kSteps) return false;

  std::uint64_t value = 0;
  if (method == kSteps) {
    value = static_cast<std::uint64_t>(in.signed_varint());
    *values++ = static_cast<std::int64_t>(value);
    --size;
  }
  const auto least = static_cast<std::uint64_t>(in.signed_varint());
  narrow_.resize(size);
  if (!get_packed(in, size, narrow_.data())) return false;
  if ((head & kWide) != 0) {
    upper_.resize(size);
    if (!get_packed(in, size, upper_.data())) return false;
  }
  for (std::size_t i = 0; i < size; ++i) {
    values[i] = static_cast<std::int64_t>(least + narrow_[i] * unit);
  }
  if ((head & kWide) != 0) {
    for (std::size_t i = 0; i < size; ++i) {
      values[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(values[i]) +
                                            (std::uint64_t{upper_[i]} << 32) * unit);
    }
  }
  if (method == kSteps) {
    for (std::size_t i = 0; i < size; ++i) {
      value += static_cast<std::uint64_t>(values[i]);
      values[i] = static_cast<std::int64_t>(value);
    }
  }
  return true;
}

bool IntegerDecoder::get_choice(ByteReader& in, std::size_t size, std::uint64_t unit,
                                std::int64_t* values) {
  std::uint64_t value = static_cast<std::uint64_t>(in.signed_varint());
  const std::uint64_t count = in.varint();
  if (!in.ok() || count == 0 || count > kChoicesMax) return false;
  std::int64_t table[kChoicesMax];
  table[0] = static_cast<std::int64_t>(value);
  for (std::size_t i = 1; i < count; ++i) {
    value += in.varint() * unit;
    table[i] = static_cast<std::int64_t>(value);
  }
  narrow_.resize(size);
  if (!in.ok() || !get_packed(in, size, narrow_.data())) return false;
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < size; ++i) most = std::max(most, narrow_[i]);
  if (most >= count) return false;
  for (std::size_t i = 0; i < size; ++i) values[i] = table[narrow_[i]];
  return true;
}

namespace {

// How doubles are written. Frozen.
constexpr std::uint8_t kAsTheyAre = 0xff;  ///< Else the number of decimal digits.
constexpr int kDigitsMax = 6;
constexpr double kPowers[kDigitsMax + 1] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
/// Adding this to a double of less than 2^51 rounds it to a whole number, whose bits then stand in
/// the sum's mantissa.
constexpr double kRounder = 0x1.8p52;

std::uint64_t bits(double v) {
  return std::bit_cast<std::uint64_t>(v);
}

/// `v` times `power`, rounded, with kRounder in it.
double shifted_of(double v, double power) {
  return v * power + kRounder;
}

std::int64_t scaled_of(double shifted) {
  return static_cast<std::int64_t>(bits(shifted) - bits(kRounder));
}

/// 0 if `v` is, bit for bit, the whole number in `shifted` divided by `power`.
std::uint64_t difference_of(double v, double shifted, double power) {
  // Beyond 2^51 the sum has another exponent, and its mantissa is not the number.
  const std::uint64_t too_large = (bits(shifted) ^ bits(kRounder)) >> 52;
  return too_large | (bits((shifted - kRounder) / power) ^ bits(v));
}

bool is_decimal(double v, double power) {
  return difference_of(v, shifted_of(v, power), power) == 0;
}

/// The least number of digits with which most of a sample is exact; more than kDigitsMax: none.
int digits_of(const double* values, std::size_t size) {
  const std::size_t sample = std::min<std::size_t>(size, 32);
  // Odd, so that what repeats every few rows is not met at the same place each time.
  const std::size_t stride = size == sample ? 1 : (size / sample - 1) | 1;
  int digits = 0;
  for (; digits <= kDigitsMax; ++digits) {
    std::size_t exact = 0;
    for (std::size_t i = 0; i < sample; ++i) {
      exact += is_decimal(values[i * stride], kPowers[digits]) ? 1 : 0;
    }
    if (exact * 16 >= sample * 15) break;
  }
  return digits;
}

}  // namespace

void FloatEncoder::put(std::string& out, const double* values, std::size_t size) {
  if (size == 0) return;
  // The sample may have missed the longer ones.
  for (int digits = digits_of(values, size); digits <= kDigitsMax; ++digits) {
    if (put_decimals(out, values, size, digits)) return;
  }
  put_u8(out, kAsTheyAre);
  out.append(reinterpret_cast<const char*>(values), size * sizeof *values);
}

bool FloatEncoder::put_decimals(std::string& out, const double* values, std::size_t size,
                                int digits) {
  const double power = kPowers[digits];
  scaled_.resize(size);
  std::uint64_t wrong = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const double shifted = shifted_of(values[i], power);
    scaled_[i] = scaled_of(shifted);
    wrong |= difference_of(values[i], shifted, power);
  }
  places_.clear();
  if (wrong != 0) {
    std::int64_t last = 0;
    for (std::size_t i = 0; i < size; ++i) {
      if (is_decimal(values[i], power)) {
        last = scaled_[i];
        continue;
      }
      places_.push_back(static_cast<std::int64_t>(i));
      scaled_[i] = last;  // Its neighbour's value costs least.
      if (places_.size() * 8 > size) return false;
    }
  }
  put_u8(out, static_cast<std::uint8_t>(digits));
  put_varint(out, places_.size());
  integers_.put(out, places_.data(), places_.size());
  for (const std::int64_t place : places_) {
    put_double(out, values[static_cast<std::size_t>(place)]);
  }
  integers_.put(out, scaled_.data(), size);
  return true;
}

bool FloatDecoder::get(ByteReader& in, std::size_t size, double* values) {
  if (size == 0) return true;
  const std::uint8_t digits = in.u8();
  if (digits == kAsTheyAre) {
    const std::string_view bytes = in.text(size * sizeof *values);
    if (!in.ok()) return false;
    std::memcpy(values, bytes.data(), bytes.size());
    return true;
  }
  if (digits > kDigitsMax) return false;
  const std::size_t exceptions = in.count();
  if (!in.ok() || exceptions > size) return false;
  scaled_.resize(size);
  if (!integers_.get(in, exceptions, scaled_.data())) return false;
  places_.resize(exceptions);
  for (std::size_t i = 0; i < exceptions; ++i) {
    if (scaled_[i] < 0 || static_cast<std::uint64_t>(scaled_[i]) >= size) return false;
    places_[i] = {static_cast<std::size_t>(scaled_[i]), in.number()};
  }
  if (!in.ok() || !integers_.get(in, size, scaled_.data())) return false;
  const double power = kPowers[digits];
  for (std::size_t i = 0; i < size; ++i) {
    values[i] = static_cast<double>(scaled_[i]) / power;
  }
  for (const Exception& exception : places_) values[exception.place] = exception.value;
  return true;
}

}  // namespace streamobs::wal
