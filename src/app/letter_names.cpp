#include "app/letter_names.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <string_view>

#include <fmt/format.h>

#include "base/wording.h"
#include "event/dead_letter.h"

namespace streamobs::app {

namespace {

/// Of checks, streams and reasons together there may be many.
constexpr std::size_t kNamesMax = 20;

bool is_reason(std::string_view name, const Plan* plan) {
  if (std::find(std::begin(reason::kAll), std::end(reason::kAll), name) != std::end(reason::kAll)) {
    return true;
  }
  if (plan == nullptr) return false;
  for (const decode::StreamOptions& stream : plan->config.streams) {
    for (const decode::NamedExpression& check : stream.checks) {
      if (check.name.text == name) return true;
    }
  }
  return false;
}

/// "late (12) and not_json (3)".
std::string known_ones(const std::map<std::string, std::uint64_t>& known) {
  std::vector<std::string> names;
  for (const auto& [name, count] : known) {
    if (names.size() == kNamesMax) {
      names.push_back(fmt::format("{} more", known.size() - kNamesMax));
      break;
    }
    names.push_back(fmt::format("{} ({})", name, count));
  }
  return listed(names);
}

}  // namespace

std::string unknown_name(const store::ListQuery& filter,
                         const std::vector<store::DeadLetterCount>& counts, const Plan* plan) {
  for (const auto& [column, name] : filter.equal) {
    const bool of_reason = column == "reason";
    if (!of_reason && column != "stream") continue;
    if (of_reason ? is_reason(name, plan) : plan != nullptr && plan->stream_id(name).has_value()) {
      continue;
    }
    std::map<std::string, std::uint64_t> known;
    for (const store::DeadLetterCount& one : counts) {
      known[of_reason ? one.reason : one.stream] += one.count;
    }
    if (known.contains(name)) continue;
    const std::string what = of_reason
                                 ? fmt::format("no dead letter ever had the reason \"{}\"", name)
                                 : fmt::format("no dead letter was ever of a stream \"{}\"", name);
    if (known.empty()) return what + ": there have been none at all";
    return fmt::format("{}: there have been {}", what, known_ones(known));
  }
  return {};
}

}  // namespace streamobs::app
