#include "config/document.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

// toml++ 3.3 states as assertions what broken input can make false ("[" at the end of a file, ".."
// in a header) and handles the case right afterwards. So its assertions are switched off here; and
// with NDEBUG it would turn them into promises to the optimiser, which is worse.
#undef NDEBUG
#define TOML_ASSERT(expr) static_assert(true)
#include <toml++/toml.h>

#include "config/syntax.h"

namespace streamobs::config {

namespace {

constexpr std::size_t kDescribedBytesMax = 80;

Span span_of(const toml::source_region& region) {
  Span span{region.begin.line, region.begin.column, 1};
  if (region.end.line == region.begin.line && region.end.column > region.begin.column) {
    span.length = region.end.column - region.begin.column;
  }
  return span;
}

/// Where the first character of a string stands: behind its quotes, and behind the newline that
/// TOML drops after three quotes.
SourcePlace inside_quotes(const SourceFile& file, Span span) {
  const std::string_view rest = file.from(span.line, span.column);
  SourcePlace place = file.place(span);
  for (const std::string_view quotes : {std::string_view("\"\"\""), std::string_view("'''")}) {
    if (!rest.starts_with(quotes)) continue;
    if (rest.size() == quotes.size()) return {place.file, place.line + 1, 1};
    place.column += 3;
    return place;
  }
  if (rest.starts_with('"') || rest.starts_with('\'')) ++place.column;
  return place;
}

/// Depth is bounded by find_hazard().
Value convert(const toml::node& node, const SourceFile& file) {
  Value value;
  value.span = span_of(node.source());
  switch (node.type()) {
    case toml::node_type::string:
      value.kind = Value::Kind::string;
      value.text = node.as_string()->get();
      value.inner = inside_quotes(file, value.span);
      break;
    case toml::node_type::integer:
      value.kind = Value::Kind::integer;
      value.integer = node.as_integer()->get();
      break;
    case toml::node_type::floating_point:
      value.kind = Value::Kind::floating;
      value.floating = node.as_floating_point()->get();
      break;
    case toml::node_type::boolean:
      value.kind = Value::Kind::boolean;
      value.boolean = node.as_boolean()->get();
      break;
    case toml::node_type::array:
      value.kind = Value::Kind::array;
      for (const toml::node& item : *node.as_array()) value.items.push_back(convert(item, file));
      break;
    case toml::node_type::table:
      value.kind = Value::Kind::table;
      for (const auto& [key, child] : *node.as_table()) {
        value.entries.push_back(
            {std::string(key.str()), span_of(key.source()), convert(child, file)});
      }
      // toml++ sorts keys; people expect their own order.
      std::sort(value.entries.begin(), value.entries.end(), [](const Entry& a, const Entry& b) {
        return std::pair(a.key_span.line, a.key_span.column) <
               std::pair(b.key_span.line, b.key_span.column);
      });
      break;
    default:
      value.kind = Value::Kind::time;
      break;
  }
  return value;
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::optional<Value> parse_toml(const SourceFile& file, std::string_view text, Report& report) {
  if (text.size() > kFileBytesMax) {
    report.error({1, 1, 0},
                 fmt::format("the file has {} bytes, more than the {} a config may have",
                             text.size(), kFileBytesMax),
                 "is this really a config? Events go in through [source.NAME] or HTTP");
    return std::nullopt;
  }
  if (const auto hazard = find_hazard(text)) {
    report.error(hazard->at, hazard->message, hazard->hint);
    return std::nullopt;
  }
  const toml::parse_result result = toml::parse(text, std::string_view(file.name()));
  if (!result) {
    const toml::parse_error& error = result.error();
    Span at{error.source().begin.line, error.source().begin.column, 1};
    at.line = std::max(at.line, 1u);
    at.column = std::max(at.column, 1u);
    const SyntaxError plain = explain_syntax_error(file, at, error.description());
    report.error(plain.at, plain.message, plain.hint);
    return std::nullopt;
  }
  return convert(result.table(), file);
}

std::string describe(const Value& value) {
  switch (value.kind) {
    case Value::Kind::string:
      return value.text.size() <= kDescribedBytesMax ? fmt::format("the text \"{}\"", value.text)
                                                     : std::string("a long text");
    case Value::Kind::integer:
      return fmt::format("the number {}", value.integer);
    case Value::Kind::floating:
      return fmt::format("the number {}", value.floating);
    case Value::Kind::boolean:
      return value.boolean ? "true" : "false";
    case Value::Kind::time:
      return "a date";
    case Value::Kind::array:
      return "a list";
    case Value::Kind::table:
      return "a table";
  }
  return "?";
}

}  // namespace streamobs::config
