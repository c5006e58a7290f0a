#include "narrate/words.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/wording.h"

namespace streamobs::narrate {

namespace {

// How something is summed up, not what.
constexpr std::string_view kSummaries[] = {
    "avg",    "average", "mean",   "median", "min",      "minimum", "max",   "maximum",
    "sum",    "total",   "count",  "num",    "number",   "rate",    "ratio", "per",
    "second", "sec",     "minute", "hour",   "distinct", "share"};

bool is_quantile(std::string_view word) {
  return word.size() >= 2 && word[0] == 'p' &&
         std::all_of(word.begin() + 1, word.end(), [](unsigned char c) { return std::isdigit(c); });
}

std::string percent(double ratio) {
  if (ratio > 0 && ratio < 0.01) return "less than 1%";
  return fmt::format("{:.0f}%", ratio * 100);
}

}  // namespace

std::string how_it_moved(double value, double mean, const MetricWords& metric) {
  const std::string_view was = is_plural(metric.name) ? "were" : "was";
  const std::string figures =
      fmt::format("{}, normally {}", quantity(value, metric), usual_quantity(mean, value, metric));
  if (mean <= 0 || value < 0) {
    return fmt::format("{} {} ({})", was, value > mean ? "up" : "down", figures);
  }
  if (value == 0)
    return fmt::format("had dropped to 0 (normally {})", usual_quantity(mean, value, metric));
  const double ratio = value / mean;
  if (ratio >= 2.15) {
    return fmt::format("{} {} times the normal level ({})", was, ratio_in_words(ratio), figures);
  }
  if (ratio >= 1.85) return fmt::format("had doubled ({})", figures);
  if (ratio > 1) return fmt::format("{} up by {} ({})", was, percent(ratio - 1), figures);
  if (ratio >= 0.55) return fmt::format("{} down by {} ({})", was, percent(1 - ratio), figures);
  if (ratio >= 0.45) return fmt::format("had halved ({})", figures);
  return fmt::format("{} down to {} of the normal level ({})", was, percent(ratio), figures);
}

std::string stem(std::string_view column) {
  const std::string name = metric_words(column, 0).name;
  std::string out;
  for (std::size_t at = 0; at < name.size();) {
    const std::size_t end = std::min(name.find(' ', at), name.size());
    const std::string_view word = std::string_view(name).substr(at, end - at);
    const bool summary =
        is_quantile(word) ||
        std::find(std::begin(kSummaries), std::end(kSummaries), word) != std::end(kSummaries);
    if (!summary && !word.empty()) out += (out.empty() ? "" : " ") + std::string(word);
    at = end + 1;
  }
  if (out.empty()) return name;
  // "errors" and "error rate" are about the same.
  if (is_plural(out)) out.pop_back();
  return out;
}

bool is_plural(std::string_view name) {
  return name.size() > 2 && name.ends_with('s') && !name.ends_with("ss") && !name.ends_with("us") &&
         !name.ends_with("is");
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

std::string counted(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}", count, count == 1 ? plain(noun) : plural(noun));
}

std::string listed(const std::vector<std::string>& items, std::size_t limit) {
  if (items.size() <= limit) return streamobs::listed(items);
  std::vector<std::string> shown(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(limit));
  shown.push_back(fmt::format("{} more", items.size() - limit));
  return streamobs::listed(shown);
}

std::string capitalised(std::string text) {
  if (!text.empty()) {
    text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  }
  return text;
}

}  // namespace streamobs::narrate
