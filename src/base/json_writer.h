// Writes JSON text piece by piece into a string: API answers, SSE messages, log lines.
//
// Only writing; JSON is read with simdjson. A streaming writer is here because answers can be long
// and because decimals must come out digit for digit. Values live as long as the call.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace streamobs {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& null();
  JsonWriter& value(bool v);
  JsonWriter& value(std::int64_t v);
  JsonWriter& value(std::uint64_t v);
  JsonWriter& value(int v) { return value(static_cast<std::int64_t>(v)); }
  JsonWriter& value(double v);  ///< Shortest form that reads back the same; NaN and infinity: null.
  JsonWriter& value(std::string_view v);
  JsonWriter& value(const char* v) { return value(std::string_view(v)); }
  JsonWriter& value(const std::string& v) { return value(std::string_view(v)); }
  JsonWriter& decimal(std::int64_t unscaled, int scale);  ///< 1234, 2 → 12.34
  JsonWriter& time(Timestamp t);  ///< RFC 3339 in UTC; a fraction only where there is one.
  JsonWriter& raw(std::string_view json);  ///< Already JSON.

  template <class T>
  JsonWriter& field(std::string_view name, const T& v) {
    key(name);
    return value(v);
  }

 private:
  void separate();
  std::string& out_;
  bool first_ = true;      ///< Nothing yet in the innermost object or array.
  bool after_key_ = false;
};

/// Appends `text` with JSON's escapes, without the quotes. `text` must be UTF-8.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace streamobs
