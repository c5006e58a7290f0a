// Times as people and programs write them, to microseconds since the epoch.
//
//   ISO 8601      2024-01-09, 2024-01-09T12:34, 2024-01-09 12:34:56.789Z, …+02:00, …+0200, …+02
//   access log    17/May/2015:10:05:03 +0000
//   by month      Jan  9 12:34:56, Jan  9 12:34:56.789, Tue Jan 09 12:34:56 2024 (syslog, ctime)
//   with slashes  2024/01/09 12:34:56 (nginx's error log, Go)
//   epoch         1704803696.789 as number or text: s, ms, µs or ns by magnitude
//
// All but the last are base/time_reading.h's; a time without zone is local to the stream's time
// zone. One without a year is of the latest year in which it is no more than a day ahead of its
// arrival: so December's lines that come in January are of the year before.
// Epoch numbers: below 10^11 seconds, below 10^14 milliseconds, below 10^17 microseconds, else
// nanoseconds; digits beyond microseconds are cut off there too.
//
// A TimeParser belongs to one decoder and is used on its strand: it remembers the minutes it saw
// last, as neighbouring events mostly share them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/time_reading.h"
#include "base/time_zone.h"
#include "decode/text_scan.h"

namespace streamobs::decode {

class TimeParser {
 public:
  /// `zone`: of times that name none; null is UTC.
  explicit TimeParser(std::shared_ptr<const TimeZone> zone);

  /// When what is parsed next came.
  void set_arrival(Timestamp arrival) { arrival_ = arrival; }

  /// Any of the forms above; null if it is none of them or there is no such time.
  std::optional<Timestamp> parse(std::string_view text) const;

  /// An epoch number.
  static std::optional<Timestamp> parse_epoch(std::string_view text);

  /// The hot path: reads the commonest forms (date, time with seconds, up to six digits of a
  /// fraction; Z, +00:00 or no zone) and returns the closing quote behind them; null for all
  /// others. Agrees with parse() on all it takes. Reads up to 48 bytes from `p`.
  const char* parse_quoted(const char* p, Timestamp& time);
  /// The same, but only for a minute it remembers.
  const char* parse_known_minute(const char* p, Timestamp& time) const {
    const Minute& m = minutes_[place_of(p)];
    return holds(m, p) ? parse_seconds(m, p + 16, time) : nullptr;
  }

  /// "2024-01-09T12:34" and the microseconds it stands for.
  struct Minute {
    std::uint64_t low = 0, high = 0;
    Timestamp utc = 0;       ///< If the time is UTC.
    Timestamp local = 0;     ///< If it is local to zone_.
    bool has_local = false;  ///< False where the clocks change within the minute.
  };
  using Minutes = std::array<Minute, 16>;  ///< By the minute's last digit.
  const Minutes& minutes() const { return minutes_; }

 private:
  static std::size_t place_of(const char* p) { return static_cast<unsigned char>(p[15]) & 15; }
  static bool holds(const Minute& m, const char* p) {
    return load_word(p) == m.low && load_word(p + 8) == m.high;
  }
  /// What follows the minute.
  static const char* parse_seconds(const Minute& m, const char* p, Timestamp& time);
  std::optional<Timestamp> parse_by_month(std::string_view text) const;
  Timestamp to_utc(const TimeReading& reading) const;
  bool learn_minute(const char* p, Minute& minute) const;

  std::shared_ptr<const TimeZone> zone_;
  Timestamp arrival_ = 0;
  Minutes minutes_;
};

inline const char* TimeParser::parse_quoted(const char* p, Timestamp& time) {
  Minute& m = minutes_[place_of(p)];
  if (!holds(m, p)) [[unlikely]] {
    if (!learn_minute(p, m)) return nullptr;
  }
  return parse_seconds(m, p + 16, time);
}

inline const char* TimeParser::parse_seconds(const Minute& m, const char* p, Timestamp& time) {
  if (p[8] == '"') {
    // ":SS.mmmZ" at once: what differs from ":00.000Z" may only be digits.
    const std::uint64_t word = load_word(p) ^ 0x5a3030302e30303aULL;
    constexpr std::uint64_t kDigits = 0x000f0f0f000f0f00ULL;
    // Digits above 9 overflow their four bits, and so do tens of seconds above 5.
    const bool fits = ((word + 0x0006060600060a00ULL) & 0x00f0f0f000f0f000ULL) == 0;
    if ((word & ~kDigits) == 0 && fits) [[likely]] {
      // In each byte ten times its digit and the next one: seconds, and the first two of three.
      const std::uint64_t pairs = word * 10 + (word >> 8);
      const auto seconds = static_cast<Duration>(pairs >> 8 & 0xff);
      const auto milliseconds =
          static_cast<Duration>((pairs >> 32 & 0xff) * 10 + (word >> 48 & 0xff));
      time = m.utc + seconds * kSecond + milliseconds * kMillisecond;
      return p + 8;
    }
  }
  const unsigned tens = static_cast<unsigned char>(p[1] - '0');
  const unsigned ones = static_cast<unsigned char>(p[2] - '0');
  if (p[0] != ':' || tens > 5 || ones > 9) return nullptr;
  Duration within = (tens * 10 + ones) * kSecond;
  p += 3;
  if (*p == '.') {
    static constexpr std::int64_t kUnits[] = {0, 100'000, 10'000, 1'000, 100, 10, 1};
    const DigitRun run = scan_few_digits(p + 1);
    if (run.count == 0 || run.count > 6) return nullptr;
    within += static_cast<std::int64_t>(run.value) * kUnits[run.count];
    p += 1 + run.count;
  }
  if (p[0] == 'Z' && p[1] == '"') {
    time = m.utc + within;
    return p + 1;
  }
  if (p[0] == '"' && m.has_local) {
    time = m.local + within;
    return p;
  }
  if (equal_16(p, "+00:00\"\0\0\0\0\0\0\0\0", ~std::uint32_t{0x7f})) {
    time = m.utc + within;
    return p + 6;
  }
  return nullptr;
}

}  // namespace streamobs::decode
