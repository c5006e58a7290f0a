#include "app/view_columns.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "store/options.h"

namespace streamobs::app {

namespace {

constexpr std::string_view kHint =
    "a view shows the same columns of each window: give them the same by and select";

const ResultColumn* find(const std::vector<ResultColumn>& columns, std::string_view name) {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const ResultColumn& c) { return c.name == name; });
  return found == columns.end() ? nullptr : &*found;
}

/// A column of one that the other lacks or has of another type.
std::optional<Difference> difference_of(const WindowSchema& one, const WindowSchema& other,
                                        const std::vector<ResultColumn> WindowSchema::* columns,
                                        std::string_view what) {
  for (const ResultColumn& column : one.*columns) {
    const ResultColumn* const same = find(other.*columns, column.name);
    if (same == nullptr) {
      return Difference{fmt::format("{} has a {} {} and {} has none", one.window, what, column.name,
                                    other.window),
                        std::string(kHint)};
    }
    if (same->type == column.type || same->type.kind == Kind::null ||
        column.type.kind == Kind::null) {
      continue;
    }
    return Difference{
        fmt::format("the {} {} is {} in {} and {} in {}", what, column.name, to_text(column.type),
                    one.window, to_text(same->type), other.window),
        std::string(kHint)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Difference> difference_in_view(const WindowSchema& first,
                                             const WindowSchema& window) {
  for (const auto* columns : {&window.keys, &window.metrics}) {
    if (find(*columns, store::kViewColumn) == nullptr) continue;
    return Difference{fmt::format("{} has a column {}, which is what a view adds", window.window,
                                  store::kViewColumn),
                      "choose another name for it"};
  }
  // One without a stream has been told so.
  if (first.stream != window.stream && !first.stream.empty() && !window.stream.empty()) {
    return Difference{fmt::format("{} is over stream {} and {} over {}", first.window, first.stream,
                                  window.window, window.stream),
                      "a view shows windows of one stream"};
  }
  for (const auto& [columns, what] :
       {std::pair{&WindowSchema::keys, "key"}, std::pair{&WindowSchema::metrics, "metric"}}) {
    if (auto difference = difference_of(first, window, columns, what)) return difference;
    if (auto difference = difference_of(window, first, columns, what)) return difference;
  }
  const auto same_name = [](const ResultColumn& a, const ResultColumn& b) {
    return a.name == b.name;
  };
  if (!std::equal(first.keys.begin(), first.keys.end(), window.keys.begin(), same_name)) {
    return Difference{
        fmt::format("{} and {} have the same keys in another order", first.window, window.window),
        "rows are sorted by them: write them in the same order"};
  }
  return std::nullopt;
}

}  // namespace streamobs::app
