#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "expr/compiler.h"
#include "expr/lexer.h"
#include "expr/program.h"

namespace streamobs::expr {
namespace {

/// Insertions, deletions, replacements and swaps of neighbours that lead from one to the other
/// (optimal string alignment), letter case aside.
std::size_t edit_distance(std::string_view x, std::string_view y) {
  const std::string a = ascii_lower(x);
  const std::string b = ascii_lower(y);
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view name, std::span<const std::string_view> candidates) {
  constexpr std::size_t kLongest = 128;  // Nobody's typo is longer, and the distance is quadratic.
  if (name.size() > kLongest) return {};
  std::string_view best;
  std::size_t least = std::max<std::size_t>(name.size() / 3, 1) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kLongest) continue;
    const std::size_t distance = edit_distance(name, candidate);
    if (distance >= least || distance >= name.size()) continue;
    least = distance;
    best = candidate;
  }
  return best;
}

void Scope::add_column(std::string name, DataType type) {
  columns_.push_back({std::move(name), type, false});
}

void Scope::add_hidden_column(std::string name, DataType type) {
  columns_.push_back({std::move(name), type, true});
}

void Scope::add_definition(std::string name, NodePtr definition, SourceText source) {
  definitions_.push_back({std::move(name), std::move(definition), std::move(source)});
}

std::optional<std::size_t> Scope::column(std::string_view name) const {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].name == name) return i;
  }
  return std::nullopt;
}

const Scope::Definition* Scope::definition(std::string_view name) const {
  for (std::size_t i = definitions_.size(); i-- > 0;) {
    if (definitions_[i].name == name) return &definitions_[i];
  }
  return nullptr;
}

std::string Scope::suggestion(std::string_view name) const {
  std::vector<std::string_view> names;
  for (const Column& column : columns_) {
    if (!column.hidden) names.push_back(column.name);
  }
  for (const Definition& definition : definitions_) names.push_back(definition.name);
  const std::string_view best = nearest(name, names);
  if (!best.empty()) return fmt::format("did you mean {}?", best);
  if (names.empty()) return "no columns can be used here";
  constexpr std::size_t kShown = 12;
  std::string hint = "known here: ";
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i) {
    if (i > 0) hint += ", ";
    hint += names[i];
  }
  if (names.size() > kShown) hint += ", …";
  return hint;
}

}  // namespace streamobs::expr
