#include "narrate/words.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/wording.h"

namespace streamobs::narrate {

namespace {

struct Suffix {
  std::string_view ending;
  std::string_view unit;
};
constexpr Suffix kUnits[] = {{"_ms", " ms"},     {"_us", " µs"},       {"_ns", " ns"},
                             {"_seconds", " s"}, {"_bytes", " bytes"}, {"_usd", " USD"},
                             {"_eur", " EUR"},   {"_percent", "%"},    {"_pct", "%"}};

}  // namespace

std::string plain(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '_', ' ');
  return out;
}

MetricWords metric_words(std::string_view column) {
  MetricWords words;
  for (const Suffix& suffix : kUnits) {
    if (column.size() > suffix.ending.size() && column.ends_with(suffix.ending)) {
      column.remove_suffix(suffix.ending.size());
      words.unit = suffix.unit;
      break;
    }
  }
  words.name = plain(column);
  if (words.name.starts_with("avg ")) words.name.replace(0, 3, "average");
  return words;
}

std::string quantity(double value, const MetricWords& metric) {
  return number_in_words(value) + metric.unit;
}

std::string plural(std::string_view noun) {
  std::string out = plain(noun);
  const auto ends = [&](std::string_view ending) { return out.ends_with(ending); };
  const bool vowel_y = ends("ay") || ends("ey") || ends("oy") || ends("uy");
  if (ends("y") && !vowel_y) {
    out.back() = 'i';
    out += "es";
  } else if (ends("s") || ends("x") || ends("ch") || ends("sh")) {
    out += "es";
  } else {
    out += "s";
  }
  return out;
}

std::string listed(const std::vector<std::string>& items, std::size_t limit) {
  const std::size_t shown = std::min(items.size(), limit);
  const bool more = items.size() > shown;
  std::string out;
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) out += i + 1 == shown && !more ? " and " : ", ";
    out += items[i];
  }
  if (more) out += fmt::format(" and {} more", items.size() - shown);
  return out;
}

std::string capitalised(std::string text) {
  if (!text.empty()) {
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  }
  return text;
}

std::string label(const std::vector<NamedValue>& keys) {
  std::string out;
  for (const NamedValue& key : keys) {
    if (!out.empty()) out += " / ";
    const std::string text = key.value.to_string();
    out += text.empty() ? fmt::format("no {}", plain(key.name)) : text;
  }
  return out;
}

}  // namespace streamobs::narrate
