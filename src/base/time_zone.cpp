#include "base/time_zone.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <optional>

#include <fmt/format.h>

#include "base/time_format.h"

namespace streamobs {

namespace {

constexpr std::int64_t kDaySeconds = 86'400;
constexpr std::int64_t kCycleSeconds = 146'097 * kDaySeconds;  // 400 Gregorian years.
constexpr std::size_t kMaxFileBytes = 1 << 20;

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0);
}

/// One end of daylight saving time in a POSIX TZ string: ",M3.2.0/2".
struct RuleDate {
  enum class Form { month_week_day, julian, day_of_year };
  Form form = Form::month_week_day;
  int month = 0, week = 0, day = 0;
  std::int64_t time_seconds = 7'200;

  /// Local seconds since the epoch at which it falls in `year`, on the clock valid before it.
  std::int64_t in_year(std::int64_t year) const {
    const std::int64_t new_year = days_from_civil(year, 1, 1);
    std::int64_t days = 0;
    if (form == Form::julian) {
      const bool leap = days_from_civil(year + 1, 1, 1) - new_year == 366;
      days = new_year + day - 1 + (leap && day >= 60 ? 1 : 0);
    } else if (form == Form::day_of_year) {
      days = new_year + day;
    } else {
      const std::int64_t first = days_from_civil(year, static_cast<unsigned>(month), 1);
      const std::int64_t next = month == 12
                                    ? days_from_civil(year + 1, 1, 1)
                                    : days_from_civil(year, static_cast<unsigned>(month) + 1, 1);
      const std::int64_t weekday = ((first + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday.
      days = first + (day - weekday + 7) % 7 + (week - 1) * 7;
      while (days >= next) days -= 7;
    }
    return days * kDaySeconds + time_seconds;
  }
};

/// The footer of a TZif file: what holds after its last transition.
struct PosixRule {
  std::int64_t standard_seconds = 0;
  std::optional<std::int64_t> daylight_seconds;
  RuleDate begin, end;
};

/// Reads a POSIX TZ string as RFC 8536 extends it (hours of a rule from -167 to 167).
class PosixRuleReader {
 public:
  explicit PosixRuleReader(std::string_view text) : text_(text) {}

  std::optional<PosixRule> read() {
    PosixRule rule;
    if (!name()) return std::nullopt;
    const auto standard = time();
    if (!standard) return std::nullopt;
    rule.standard_seconds = -*standard;  // POSIX counts west of Greenwich.
    if (done()) return rule;
    if (!name()) return std::nullopt;
    rule.daylight_seconds = rule.standard_seconds + 3'600;
    if (!done() && peek() != ',') {
      const auto daylight = time();
      if (!daylight) return std::nullopt;
      rule.daylight_seconds = -*daylight;
    }
    if (!date(rule.begin) || !date(rule.end) || !done()) return std::nullopt;
    return rule;
  }

 private:
  bool done() const { return at_ == text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool name() {
    const std::size_t begin = at_;
    if (take('<')) {
      while (!done() && peek() != '>') ++at_;
      return take('>');
    }
    while ((peek() >= 'A' && peek() <= 'Z') || (peek() >= 'a' && peek() <= 'z')) ++at_;
    return at_ - begin >= 3;
  }
  std::optional<int> number(int least, int most) {
    int value = 0;
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9' && at_ - begin < 4)
      value = value * 10 + (text_[at_++] - '0');
    if (at_ == begin || value < least || value > most) return std::nullopt;
    return value;
  }
  std::optional<std::int64_t> time() {
    const bool negative = take('-');
    if (!negative) take('+');
    const auto hours = number(0, 167);
    if (!hours) return std::nullopt;
    std::int64_t seconds = *hours * 3'600;
    for (const int unit : {60, 1}) {
      if (!take(':')) break;
      const auto part = number(0, 59);
      if (!part) return std::nullopt;
      seconds += *part * unit;
    }
    return negative ? -seconds : seconds;
  }
  bool date(RuleDate& date) {
    if (!take(',')) return false;
    if (take('M')) {
      const auto month = number(1, 12);
      if (!month || !take('.')) return false;
      const auto week = number(1, 5);
      if (!week || !take('.')) return false;
      const auto day = number(0, 6);
      if (!day) return false;
      date.month = *month;
      date.week = *week;
      date.day = *day;
    } else {
      date.form = take('J') ? RuleDate::Form::julian : RuleDate::Form::day_of_year;
      const auto day = date.form == RuleDate::Form::julian ? number(1, 365) : number(0, 365);
      if (!day) return false;
      date.day = *day;
    }
    if (take('/')) {
      const auto seconds = time();
      if (!seconds) return false;
      date.time_seconds = *seconds;
    }
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::uint32_t read_u32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i)
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

std::int64_t read_i64(std::string_view bytes, std::size_t at) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(read_u32(bytes, at)) << 32 |
                                   read_u32(bytes, at + 4));
}

/// The counts in a TZif header and how many bytes of data follow it.
struct Header {
  static constexpr std::size_t kBytes = 44;
  std::uint32_t ut_indicators, standard_indicators, leap_seconds, transitions, types, name_bytes;

  static std::optional<Header> read(std::string_view bytes, std::size_t at) {
    if (bytes.size() < at + kBytes || bytes.substr(at, 4) != "TZif") return std::nullopt;
    return Header{read_u32(bytes, at + 20), read_u32(bytes, at + 24), read_u32(bytes, at + 28),
                  read_u32(bytes, at + 32), read_u32(bytes, at + 36), read_u32(bytes, at + 40)};
  }
  std::size_t data_bytes(std::size_t time_bytes) const {
    return std::size_t{transitions} * (time_bytes + 1) + std::size_t{types} * 6 + name_bytes +
           std::size_t{leap_seconds} * (time_bytes + 4) + standard_indicators + ut_indicators;
  }
};

bool is_utc_name(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {"UTC",      "Etc/UTC", "Zulu",
                                                      "Etc/Zulu", "Etc/UCT", "Z"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

/// Names are paths below the database's folder: nothing may lead out of it.
bool is_safe_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '/' || name.front() == '.') return false;
  if (name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' ||
           c == '_' || c == '-' || c == '+';
  });
}

}  // namespace

std::shared_ptr<const TimeZone> TimeZone::utc() {
  static const std::shared_ptr<const TimeZone> zone = [] {
    std::shared_ptr<TimeZone> z(new TimeZone());
    z->name_ = "UTC";
    return z;
  }();
  return zone;
}

Result<std::shared_ptr<const TimeZone>> TimeZone::load(std::string_view name) {
  if (is_utc_name(name)) return utc();
  if (!is_safe_name(name)) {
    return fail(ErrorCode::invalid, fmt::format("\"{}\" is not the name of a time zone; IANA names "
                                                "look like \"Europe/Berlin\"",
                                                name));
  }
  const char* const folder = std::getenv("TZDIR");
  const std::string path = fmt::format(
      "{}/{}", folder != nullptr && *folder != '\0' ? folder : "/usr/share/zoneinfo", name);
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  if (file) {
    bytes.resize(kMaxFileBytes);
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  }
  if (bytes.empty()) {
    return fail(ErrorCode::invalid,
                fmt::format("unknown time zone \"{}\": there is no {} (IANA names look like "
                            "\"Europe/Berlin\"; the package tzdata brings them)",
                            name, path));
  }
  return parse(name, bytes);
}

Result<std::shared_ptr<const TimeZone>> TimeZone::parse(std::string_view name,
                                                        std::string_view tzif) {
  const auto damaged = [&] {
    return fail(ErrorCode::invalid, fmt::format("the tz database's file for \"{}\" is damaged, or "
                                                "older than TZif version 2",
                                                name));
  };
  const auto first = Header::read(tzif, 0);
  if (!first) return damaged();
  const std::size_t second_at = Header::kBytes + first->data_bytes(4);
  const auto header = Header::read(tzif, second_at);
  if (!header || header->types == 0) return damaged();
  const std::size_t times_at = second_at + Header::kBytes;
  const std::size_t footer_at = times_at + header->data_bytes(8);
  if (tzif.size() < footer_at + 2 || tzif[footer_at] != '\n') return damaged();

  const std::size_t indices_at = times_at + std::size_t{header->transitions} * 8;
  const std::size_t types_at = indices_at + header->transitions;
  const auto type_offset = [&](std::size_t type) {
    return static_cast<std::int64_t>(
        static_cast<std::int32_t>(read_u32(tzif, types_at + type * 6)));
  };
  std::shared_ptr<TimeZone> zone(new TimeZone());
  zone->name_ = std::string(name);
  zone->first_offset_seconds_ = type_offset(0);
  for (std::size_t i = 0; i < header->transitions; ++i) {
    const std::size_t type = static_cast<unsigned char>(tzif[indices_at + i]);
    const std::int64_t at = read_i64(tzif, times_at + i * 8);
    if (type >= header->types) return damaged();
    if (!zone->starts_.empty() && at <= zone->starts_.back()) return damaged();
    zone->starts_.push_back(at);
    zone->offsets_.push_back(type_offset(type));
  }

  const std::string_view footer = tzif.substr(footer_at + 1);
  const std::size_t footer_end = footer.find('\n');
  if (footer_end == std::string_view::npos) return damaged();
  if (footer_end == 0) return std::shared_ptr<const TimeZone>(std::move(zone));
  const auto rule = PosixRuleReader(footer.substr(0, footer_end)).read();
  if (!rule) return damaged();
  if (!rule->daylight_seconds) return std::shared_ptr<const TimeZone>(std::move(zone));

  // The rule is written out for one Gregorian cycle; later moments are folded back into it.
  const std::int64_t last = zone->starts_.empty() ? 0 : zone->starts_.back();
  const std::int64_t year = civil_from_days(floor_div(last, kDaySeconds)).year;
  for (std::int64_t y = year; y <= year + 401; ++y) {
    std::array<std::pair<std::int64_t, std::int64_t>, 2> changes = {{
        {rule->begin.in_year(y) - rule->standard_seconds, *rule->daylight_seconds},
        {rule->end.in_year(y) - *rule->daylight_seconds, rule->standard_seconds},
    }};
    std::sort(changes.begin(), changes.end());
    for (const auto& [at, offset] : changes) {
      if (!zone->starts_.empty() && at <= zone->starts_.back()) continue;
      zone->starts_.push_back(at);
      zone->offsets_.push_back(offset);
    }
  }
  zone->repeats_from_ = days_from_civil(year + 401, 1, 1) * kDaySeconds;
  return std::shared_ptr<const TimeZone>(std::move(zone));
}

/// Moves a moment beyond the written-out transitions back by whole cycles.
std::int64_t TimeZone::fold_seconds(std::int64_t seconds) const {
  if (repeats_from_ == 0 || seconds < repeats_from_) return 0;
  return (floor_div(seconds - repeats_from_, kCycleSeconds) + 1) * kCycleSeconds;
}

std::int64_t TimeZone::offset_seconds(std::int64_t utc_seconds) const {
  utc_seconds -= fold_seconds(utc_seconds);
  const auto after = std::upper_bound(starts_.begin(), starts_.end(), utc_seconds);
  if (after == starts_.begin()) return first_offset_seconds_;
  return offsets_[static_cast<std::size_t>(after - starts_.begin()) - 1];
}

std::int64_t TimeZone::to_utc_seconds(std::int64_t local_seconds) const {
  const std::int64_t fold = fold_seconds(local_seconds);
  const std::int64_t local = local_seconds - fold;
  // Offsets are within 26 hours, so only the periods about then can show this time.
  constexpr std::int64_t kReach = 26 * 3'600;
  auto period = std::upper_bound(starts_.begin(), starts_.end(), local - kReach);
  std::int64_t offset = period == starts_.begin()
                            ? first_offset_seconds_
                            : offsets_[static_cast<std::size_t>(period - starts_.begin()) - 1];
  // The first period that has not ended by then: it shows the time, or it is the one before a gap.
  for (; period != starts_.end() && local - offset >= *period; ++period) {
    const std::int64_t next = offsets_[static_cast<std::size_t>(period - starts_.begin())];
    if (local - next < *period) break;
    offset = next;
  }
  return local - offset + fold;
}

Duration TimeZone::offset_at(Timestamp utc) const {
  if (starts_.empty()) return first_offset_seconds_ * kSecond;
  return offset_seconds(floor_div(utc, kSecond)) * kSecond;
}

Timestamp TimeZone::to_utc(Timestamp local) const {
  if (starts_.empty()) return local - first_offset_seconds_ * kSecond;
  const std::int64_t seconds = floor_div(local, kSecond);
  return to_utc_seconds(seconds) * kSecond + (local - seconds * kSecond);
}

Timestamp TimeZone::day_start(Timestamp utc) const {
  return to_utc(floor_div(utc + offset_at(utc), kDay) * kDay);
}

Timestamp TimeZone::next_day_start(Timestamp utc) const {
  const std::int64_t day = floor_div(utc + offset_at(utc), kDay);
  return to_utc((day + 1) * kDay);
}

}  // namespace streamobs
