#include "config/variables.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/utf8.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

constexpr std::string_view kOpening = "${";
constexpr std::string_view kDefault = ":-";

/// Names of tables and keys from the top level to a value.
using Path = std::vector<std::string_view>;

/// Where a config only says where a secret is.
bool is_place_of_secret(const Path& path) {
  if (path.size() == 2 && path[0] == "http" && path[1] == "token") return true;
  return path.size() == 4 && (path[0] == "source" || path[0] == "sink") && path[2] == "options" &&
         sounds_secret(path[3]);
}

/// What stands between the braces; false after an error.
bool put_variable(std::string_view inside, const Span& at, std::string& out, Report& report) {
  const std::size_t colon = std::min(inside.find(kDefault), inside.size());
  const std::string name(inside.substr(0, colon));
  if (!is_identifier(name)) {
    report.error(at, fmt::format("${{{}}}: \"{}\" is no name of a variable", inside, name),
                 "write ${NAME} or ${NAME:-default}; $${ stands for the characters ${");
    return false;
  }
  const char* const set = std::getenv(name.c_str());
  if (colon != inside.size() && (set == nullptr || *set == '\0')) {
    out += inside.substr(colon + kDefault.size());
    return true;
  }
  if (set == nullptr) {
    report.error(at, fmt::format("the environment variable {} is not set", name),
                 fmt::format("set it before the start: {0}=… streamobs …; or give it a default: "
                             "${{{0}:-…}}",
                             name));
    return false;
  }
  if (valid_utf8(set) != set) {
    report.error(at, fmt::format("the environment variable {} is no UTF-8", name));
    return false;
  }
  out += set;
  return true;
}

bool put_into_text(Value& value, Report& report) {
  const std::string_view text = value.text;
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t opening = text.find(kOpening, at);
    if (opening == std::string_view::npos) break;
    if (opening > at && text[opening - 1] == '$') {
      out += text.substr(at, opening - 1 - at);
      out += kOpening;
      at = opening + kOpening.size();
      continue;
    }
    out += text.substr(at, opening - at);
    const std::size_t closing = text.find('}', opening);
    if (closing == std::string_view::npos) {
      report.error(value.span, "${ has no }", "$${ stands for the characters ${");
      return false;
    }
    const std::string_view inside = text.substr(opening + 2, closing - opening - 2);
    if (!put_variable(inside, value.span, out, report)) return false;
    at = closing + 1;
  }
  out += text.substr(at);
  value.text = std::move(out);
  return true;
}

bool put_below(Value& value, Path& path, Report& report) {
  if (value.kind == Value::Kind::string) {
    if (value.text.find(kOpening) == std::string::npos) return true;
    if (!is_place_of_secret(path)) return put_into_text(value, report);
    report.error_without_excerpt(
        value.span, fmt::format("{}: a secret is not put in by ${{…}}", path.back()),
        "the config is written into the log with its variables put in, and secrets must not be: "
        "say where it is, \"env:NAME\" or \"file:PATH\"");
    return false;
  }
  bool good = true;
  for (Value& item : value.items) good = put_below(item, path, report) && good;
  for (Entry& entry : value.entries) {
    path.push_back(entry.key);
    good = put_below(entry.value, path, report) && good;
    path.pop_back();
  }
  return good;
}

}  // namespace

bool has_variables(const Value& value) {
  if (value.kind == Value::Kind::string) return value.text.find(kOpening) != std::string::npos;
  return std::any_of(value.items.begin(), value.items.end(), has_variables) ||
         std::any_of(value.entries.begin(), value.entries.end(),
                     [](const Entry& entry) { return has_variables(entry.value); });
}

bool put_variables(Value& value, Report& report) {
  Path path;
  return put_below(value, path, report);
}

}  // namespace streamobs::config
