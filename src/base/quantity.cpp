#include "base/quantity.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/wording.h"

namespace streamobs {

namespace {

struct Ending {
  std::string_view text;
  Unit unit;
  bool part_of_name;
};
constexpr Ending kEndings[] = {
    {"_ms", Unit::milliseconds, false},
    {"_millis", Unit::milliseconds, false},
    {"_milliseconds", Unit::milliseconds, false},
    {"_us", Unit::microseconds, false},
    {"_micros", Unit::microseconds, false},
    {"_microseconds", Unit::microseconds, false},
    {"_ns", Unit::nanoseconds, false},
    {"_nanos", Unit::nanoseconds, false},
    {"_nanoseconds", Unit::nanoseconds, false},
    {"_per_second", Unit::per_second, false},
    {"_per_sec", Unit::per_second, false},
    {"_per_s", Unit::per_second, false},
    {"_per_minute", Unit::per_minute, false},
    {"_seconds", Unit::seconds, false},
    {"_secs", Unit::seconds, false},
    {"_sec", Unit::seconds, false},
    {"_bytes", Unit::bytes, false},
    {"_usd", Unit::usd, false},
    {"_eur", Unit::eur, false},
    {"_percent", Unit::percent, false},
    {"_pct", Unit::percent, false},
    {"_rate", Unit::share, true},
    {"_ratio", Unit::share, true},
    {"_share", Unit::share, true},
    {"_fraction", Unit::share, true},
};

constexpr double kManyTimes = 100;    // From here on a ratio says less than the two figures.
constexpr std::size_t kNameMax = 60;  // Bytes of a name in a sentence.

std::string without_zeros(std::string text) {
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// Two digits behind the point below ten percent, one above, and never rounded to all or nothing.
std::string percent_of_one(double v) {
  const double percent = v * 100;
  const double size = std::abs(percent);
  if (size != 0 && size < 0.01) return fmt::format("{:.1g}%", percent);
  if (size < 10) return without_zeros(fmt::format("{:.2f}", percent)) + "%";
  const bool nearly_all = size < 100 && size >= 99.95;
  return without_zeros(fmt::format("{:.{}f}", percent, nearly_all ? 3 : 1)) + "%";
}

struct TimeUnit {
  double seconds;
  std::string_view name;
};

// The unit follows the size: milliseconds up to ten seconds, as limits are written in them.
TimeUnit time_unit(double seconds) {
  const double size = std::abs(seconds);
  if (size == 0) return {1e-3, "ms"};
  if (size < 1e-6) return {1e-9, "ns"};
  if (size < 1e-3) return {1e-6, "µs"};
  if (size < 10) return {1e-3, "ms"};
  if (size < 600) return {1, "s"};
  return {60, "min"};
}

std::string time_span(double seconds, const TimeUnit& unit) {
  return fmt::format("{} {}", number_in_words(seconds / unit.seconds), unit.name);
}

std::string time_span(double seconds) {
  return time_span(seconds, time_unit(seconds));
}

// 0: it is no time.
double seconds_of(Unit unit) {
  switch (unit) {
    case Unit::nanoseconds:
      return 1e-9;
    case Unit::microseconds:
      return 1e-6;
    case Unit::milliseconds:
      return 1e-3;
    case Unit::seconds:
      return 1;
    default:
      return 0;
  }
}

std::string byte_size(double bytes) {
  double size = bytes;
  for (const char* const unit : {" bytes", " kB", " MB", " GB"}) {
    if (std::abs(size) < 1000) return number_in_words(size) + unit;
    size /= 1000;
  }
  return number_in_words(size) + " TB";
}

std::string percent(double ratio) {
  if (ratio > 0 && ratio < 0.01) return "less than 1%";
  return fmt::format("{:.0f}%", ratio * 100);
}

bool ratio_says_little(double value, double mean) {
  return mean <= 0 || value <= 0 || value / mean >= kManyTimes;
}

// Control characters become a space, and so do marks that turn the direction of writing (U+202A …
// U+202E, U+2066 … U+2069): they have no place in somebody else's sentence.
std::string without_controls(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto c = static_cast<unsigned char>(text[at]);
    const bool turns =
        c == 0xE2 && at + 2 < text.size() &&
        ((text[at + 1] == '\x80' && text[at + 2] >= '\xAA' && text[at + 2] <= '\xAE') ||
         (text[at + 1] == '\x81' && text[at + 2] >= '\xA6' && text[at + 2] <= '\xA9'));
    if (turns) at += 2;
    if (!turns && c >= 0x20 && c != 0x7F) {
      out += text[at];
    } else if (!out.ends_with(' ')) {
      out += ' ';
    }
  }
  return out;
}

// Between two characters of UTF-8.
std::string cut(std::string text, std::size_t longest) {
  if (text.size() <= longest) return text;
  while (longest > 0 && (static_cast<unsigned char>(text[longest]) & 0xC0) == 0x80) --longest;
  text.resize(longest);
  return text + "…";
}

}  // namespace

std::string plain(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

MetricWords metric_words(std::string_view column, double largest) {
  MetricWords words;
  for (const Ending& ending : kEndings) {
    if (column.size() <= ending.text.size() || !column.ends_with(ending.text)) continue;
    if (ending.unit == Unit::share && !(std::abs(largest) <= 1)) break;
    words.unit = ending.unit;
    if (!ending.part_of_name) column.remove_suffix(ending.text.size());
    break;
  }
  words.name = plain(column);
  if (words.name.starts_with("avg ")) words.name.replace(0, 3, "average");
  return words;
}

std::string quantity(double value, const MetricWords& metric) {
  if (!std::isfinite(value)) return "unknown";
  switch (metric.unit) {
    case Unit::none:
      break;
    case Unit::share:
      return percent_of_one(value);
    case Unit::percent:
      return percent_of_one(value / 100);
    case Unit::nanoseconds:
      return time_span(value / 1e9);
    case Unit::microseconds:
      return time_span(value / 1e6);
    case Unit::milliseconds:
      return time_span(value / 1e3);
    case Unit::seconds:
      return time_span(value);
    case Unit::bytes:
      return byte_size(value);
    case Unit::usd:
      return number_in_words(value) + " USD";
    case Unit::eur:
      return number_in_words(value) + " EUR";
    case Unit::per_second:
      return number_in_words(value) + "/s";
    case Unit::per_minute:
      return number_in_words(value) + "/min";
  }
  return number_in_words(value);
}

std::string usual_quantity(double mean, double value, const MetricWords& metric) {
  if (const double seconds = seconds_of(metric.unit); seconds != 0 && std::abs(value) > 0) {
    // In one unit, as far as the mean can be read in the value's.
    const TimeUnit unit = time_unit(value * seconds);
    const double size = std::abs(mean * seconds / unit.seconds);
    if (size >= 0.1 && size < 1e5) return time_span(mean * seconds, unit);
  }
  const bool whole = metric.unit == Unit::none && value == std::floor(value) && mean >= 10;
  return quantity(whole ? std::round(mean) : mean, metric);
}

std::string against_normal(double value, double mean, const MetricWords& metric) {
  const std::string usual = usual_quantity(mean, value, metric);
  if (ratio_says_little(value, mean)) return fmt::format("normally {}", usual);
  const double ratio = value / mean;
  if (std::abs(ratio - 1) < 0.05) return fmt::format("about its normal {}", usual);
  if (ratio >= 1.5) return fmt::format("{} times its normal {}", ratio_in_words(ratio), usual);
  if (ratio > 1) return fmt::format("{} above its normal {}", percent(ratio - 1), usual);
  if (ratio > 0.6) return fmt::format("{} below its normal {}", percent(1 - ratio), usual);
  return fmt::format("{} of its normal {}", percent(ratio), usual);
}

std::string against_normal_short(double value, double mean, const MetricWords& metric) {
  if (ratio_says_little(value, mean))
    return fmt::format("normally {}", usual_quantity(mean, value, metric));
  const double ratio = value / mean;
  if (ratio >= 1.5) return fmt::format("{}× normal", ratio_in_words(ratio));
  if (ratio >= 1) return fmt::format("{} above normal", percent(ratio - 1));
  if (ratio > 0.6) return fmt::format("{} below normal", percent(1 - ratio));
  return fmt::format("{} of normal", percent(ratio));
}

std::string on_one_line(std::string_view text, std::size_t longest) {
  return cut(without_controls(text), longest);
}

std::string name_in_words(std::string_view name) {
  std::string out = without_controls(name);
  bool quoted = name.empty() || name.front() == ' ' || name.back() == ' ' || out != name;
  for (std::size_t at = 0; at < out.size(); ++at) {
    const char c = out[at];
    const bool ends_something =
        (c == '.' || c == ':') && (at + 1 == out.size() || out[at + 1] == ' ');
    quoted = quoted || ends_something ||
             std::string_view("\"'`,;<>()").find(c) != std::string_view::npos;
    if (c == '"') out[at] = '\'';
  }
  out = cut(std::move(out), kNameMax);
  return quoted ? fmt::format("\"{}\"", out) : out;
}

}  // namespace streamobs
