// WHERE and its text parameters, built from what a caller may ask of a table of records. Private to
// this folder; lives for one query.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "store/query.h"
#include "store/sqlite.h"

namespace streamobs::store {

/// A member of a JSON object, for SQLite's functions.
inline std::string json_path(const std::string& name) {
  return "$." + quoted(name);
}

struct Where {
  std::string sql = "1";
  std::vector<std::string> parameters;

  void time(const ListQuery& query, const char* column) {
    if (query.from) sql += fmt::format(" AND {} >= {}", column, *query.from);
    if (query.to) sql += fmt::format(" AND {} < {}", column, *query.to);
  }
  void equal(const std::string& expression, const std::string& value) {
    parameters.push_back(value);
    sql += fmt::format(" AND {} = ?{}", expression, parameters.size());
  }
  /// A member of the keys' object, as text.
  void key_equal(const std::string& name, const std::string& value) {
    parameters.push_back(json_path(name));
    const std::size_t path = parameters.size();
    // `->` gives numbers and booleans as they were written: 12.30 stays 12.30.
    equal(fmt::format("CASE json_type(keys, ?{0}) WHEN 'text' THEN json_extract(keys, ?{0}) "
                      "WHEN 'null' THEN NULL ELSE keys -> ?{0} END",
                      path),
          value);
  }
  void bind(Statement& statement) const {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      statement.bind(static_cast<int>(i) + 1, std::string_view(parameters[i]));
    }
  }
};

}  // namespace streamobs::store
