#include "decode/wide_loops.h"

#include <algorithm>
#include <bit>

#include "decode/number_text.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace streamobs::decode::wide {

#if defined(__x86_64__)

#define STREAMOBS_WIDE gnu::target("avx2,bmi,bmi2")

bool supported() {
  static const bool yes = __builtin_cpu_supports("avx2") != 0 &&
                          __builtin_cpu_supports("bmi") != 0 && __builtin_cpu_supports("bmi2") != 0;
  return yes;
}

namespace {

/// How far ahead text is fetched, while lines are read: about as far as the next ones to be read
/// together, so that looking for their ends need not wait for memory.
constexpr std::size_t kAhead = 20 << 10;

[[STREAMOBS_WIDE, gnu::always_inline]] inline __m256i load_32(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
[[STREAMOBS_WIDE, gnu::always_inline]] inline __m128i load_16(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
[[STREAMOBS_WIDE, gnu::always_inline]] inline std::uint32_t equal_bytes(__m256i a, __m256i b) {
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b)));
}
[[STREAMOBS_WIDE, gnu::always_inline]] inline bool has_literal(const char* p, __m256i literal,
                                                               std::uint32_t wanted) {
  return (~equal_bytes(load_32(p), literal) & wanted) == 0;
}

/// For n digits: where each byte of eight comes from, so that they stand at the end, behind zeros.
struct Alignments {
  alignas(16) unsigned char from[9][16];
  constexpr Alignments() : from{} {
    for (unsigned n = 0; n <= 8; ++n) {
      for (unsigned i = 0; i < 16; ++i) {
        from[n][i] = static_cast<unsigned char>(i < 8 && i + n >= 8 ? i + n - 8 : 0x80);
      }
    }
  }
};
constexpr Alignments kAlignments;

struct Digits {
  unsigned count;       ///< Up to 16.
  std::uint32_t value;  ///< If they are at most 8.
};

[[STREAMOBS_WIDE, gnu::always_inline]] inline Digits read_digits(const char* p) {
  const __m128i digits = _mm_sub_epi8(load_16(p), _mm_set1_epi8('0'));
  const __m128i is_digit = _mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits);
  const auto others = ~static_cast<std::uint32_t>(_mm_movemask_epi8(is_digit));  // Bit 16 is one.
  const auto count = static_cast<unsigned>(__builtin_ctz(others));
  const __m128i aligned = _mm_shuffle_epi8(digits, load_16(kAlignments.from[std::min(count, 8u)]));
  const __m128i pairs =
      _mm_maddubs_epi16(aligned, _mm_setr_epi8(10, 1, 10, 1, 10, 1, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m128i fours = _mm_madd_epi16(pairs, _mm_setr_epi16(100, 1, 100, 1, 0, 0, 0, 0));
  const __m128i packed = _mm_packus_epi32(fours, fours);
  const __m128i eight = _mm_madd_epi16(packed, _mm_setr_epi16(10'000, 1, 0, 0, 0, 0, 0, 0));
  return {count, static_cast<std::uint32_t>(_mm_cvtsi128_si32(eight))};
}

/// Digits with which a JSON number may begin, as many as read_digits() gives the value of.
[[gnu::always_inline]] inline bool begins_number(const char* p, unsigned count) {
  return count - 1 < 8 && (*p != '0' || count == 1);
}

}  // namespace

[[STREAMOBS_WIDE]] std::size_t read_texts(const Lines& lines, std::size_t first,
                                          const TextIds::View& known, Dictionary::Id* column) {
  const __m256i literal = load_32(lines.literal);
  const __m256i quote = _mm256_set1_epi8('"');
  const TextIds::View view = known;
  std::size_t i = first;
  for (; i < lines.count; ++i) {
    const std::size_t line = lines.lines[i];
    const char* p = lines.at[line];
    __builtin_prefetch(p + kAhead, 0, 2);
    if (!has_literal(p, literal, lines.wanted)) break;
    p += lines.size;
    const __m256i bytes = load_32(p);
    const std::uint32_t quotes = equal_bytes(bytes, quote);
    if (quotes == 0) break;
    const auto size = static_cast<unsigned>(__builtin_ctz(quotes));
    const __m256i text = _mm256_and_si256(bytes, load_32(ShortText::mask(size)));
    const __m128i high = _mm256_extracti128_si256(text, 1);
    const __m128i folded =
        _mm_xor_si128(_mm256_castsi256_si128(text), _mm_shuffle_epi32(high, 0x4e));
    const TextIds::Slot& slot = view.slot(static_cast<std::uint64_t>(_mm_cvtsi128_si64(folded)),
                                          static_cast<std::uint64_t>(_mm_extract_epi64(folded, 1)));
    const __m256i differs = _mm256_xor_si256(text, load_32(&slot.text));
    if (!_mm256_testz_si256(differs, differs)) break;
    column[line] = slot.id;
    lines.at[line] = p + size + 1;
  }
  return i;
}

[[STREAMOBS_WIDE]] std::size_t read_integers(const Lines& lines, std::size_t first,
                                             std::int64_t* column) {
  const __m256i literal = load_32(lines.literal);
  std::size_t i = first;
  for (; i < lines.count; ++i) {
    const std::size_t line = lines.lines[i];
    const char* p = lines.at[line];
    __builtin_prefetch(p + kAhead, 0, 2);
    if (!has_literal(p, literal, lines.wanted)) break;
    p += lines.size;
    const Digits digits = read_digits(p);
    const char* const behind = p + digits.count;
    if (!begins_number(p, digits.count) || (*behind != ',' && *behind != '}')) break;
    column[line] = digits.value;
    lines.at[line] = behind;
  }
  return i;
}

[[STREAMOBS_WIDE]] std::size_t read_floats(const Lines& lines, std::size_t first, double* column) {
  const __m256i literal = load_32(lines.literal);
  std::size_t i = first;
  for (; i < lines.count; ++i) {
    const std::size_t line = lines.lines[i];
    const char* p = lines.at[line];
    __builtin_prefetch(p + kAhead, 0, 2);
    if (!has_literal(p, literal, lines.wanted)) break;
    p += lines.size;
    const Digits whole = read_digits(p);
    const char* behind = p + whole.count;
    if (!begins_number(p, whole.count)) break;
    double value = static_cast<std::int32_t>(whole.value);
    if (*behind == '.') {
      const Digits places = read_digits(behind + 1);
      if (places.count - 1 >= 6) break;
      behind += 1 + places.count;
      // At most 14 digits: exact, and rounded once.
      value = (value * kExactPowersOfTen[places.count] + static_cast<std::int32_t>(places.value)) /
              kExactPowersOfTen[places.count];
    }
    if ((*behind | 0x20) == 'e') break;
    column[line] = value;
    lines.at[line] = behind;
  }
  return i;
}

[[STREAMOBS_WIDE]] std::size_t read_times(const Lines& lines, std::size_t first,
                                          const TimeParser::Minutes& minutes, Timestamp limit,
                                          Timestamp* column) {
  const __m256i literal = load_32(lines.literal);
  // ":SS.mmmZ": what differs from ":00.000Z" may only be digits.
  const __m128i zero_time = _mm_cvtsi64_si128(0x5a3030302e30303aLL);
  const __m128i most = _mm_setr_epi8(0, 5, 9, 0, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m128i tens = _mm_setr_epi8(0, 10, 1, 0, 100, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m128i thousands = _mm_setr_epi16(1000, 1000, 1, 1, 0, 0, 0, 0);
  std::size_t i = first;
  for (; i < lines.count; ++i) {
    const std::size_t line = lines.lines[i];
    const char* p = lines.at[line];
    __builtin_prefetch(p + kAhead, 0, 2);
    if (!has_literal(p, literal, lines.wanted)) break;
    p += lines.size;
    const TimeParser::Minute& minute = minutes[static_cast<unsigned char>(p[15]) & 15];
    const __m128i other = _mm_xor_si128(load_16(p), load_16(&minute.low));
    const __m128i word =
        _mm_xor_si128(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + 16)), zero_time);
    const __m128i wrong = _mm_or_si128(other, _mm_subs_epu8(word, most));
    if (!_mm_testz_si128(wrong, wrong) || p[24] != '"') break;
    const __m128i parts = _mm_madd_epi16(_mm_maddubs_epi16(word, tens), thousands);
    const auto both = static_cast<std::uint64_t>(_mm_cvtsi128_si64(parts));
    const std::uint64_t milliseconds = (both & 0xffffffff) + (both >> 32);
    const Timestamp time = minute.utc + static_cast<Duration>(milliseconds) * kMillisecond;
    if (time > limit) break;
    column[line] = time;
    lines.at[line] = p + 25;
  }
  return i;
}

[[STREAMOBS_WIDE]] std::size_t part(const Lines& lines, char never, std::uint16_t* having,
                                    std::uint16_t* others) {
  const __m256i literal = load_32(lines.literal);
  std::size_t taken = 0;
  std::size_t left = 0;
  for (std::size_t i = 0; i < lines.count; ++i) {
    const std::uint16_t line = lines.lines[i];
    const char* const p = lines.at[line];
    const std::uint32_t missing = ~equal_bytes(load_32(p), literal) & lines.wanted;
    const auto refused =
        static_cast<std::uint32_t>(never != 0) & static_cast<std::uint32_t>(p[lines.size] == never);
    const auto takes = static_cast<std::size_t>((missing | refused) == 0);
    others[left] = line;
    having[taken] = line;
    taken += takes;
    left += 1 - takes;
  }
  return taken;
}

[[STREAMOBS_WIDE]] std::size_t find_newlines(const char* p, const char* end, std::size_t most,
                                             const char** found) {
  const __m256i newline = _mm256_set1_epi8('\n');
  std::size_t count = 0;
  for (; p < end && count < most; p += 64) {
    std::uint64_t bits = equal_bytes(load_32(p), newline) |
                         static_cast<std::uint64_t>(equal_bytes(load_32(p + 32), newline)) << 32;
    // Mostly there is one or none: no branch for that, it would be hard to foresee.
    found[count] = p + __builtin_ctzll(bits | std::uint64_t{1} << 63);
    count += static_cast<std::size_t>(bits != 0);
    for (bits &= bits - 1; bits != 0; bits &= bits - 1) found[count++] = p + __builtin_ctzll(bits);
  }
  return count;
}

#else

// Never called; a loop that reads nothing would be right, too.
bool supported() {
  return false;
}
std::size_t read_texts(const Lines&, std::size_t first, const TextIds::View&, Dictionary::Id*) {
  return first;
}
std::size_t read_integers(const Lines&, std::size_t first, std::int64_t*) {
  return first;
}
std::size_t read_floats(const Lines&, std::size_t first, double*) {
  return first;
}
std::size_t read_times(const Lines&, std::size_t first, const TimeParser::Minutes&, Timestamp,
                       Timestamp*) {
  return first;
}
std::size_t part(const Lines&, char, std::uint16_t*, std::uint16_t*) {
  return 0;
}
std::size_t find_newlines(const char*, const char*, std::size_t, const char**) {
  return 0;
}

#endif

}  // namespace streamobs::decode::wide
