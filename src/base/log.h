// Structured log lines on stderr: text on a terminal, one JSON object a line otherwise.
//
// Lives for the whole process; may be called from any thread. A line says what happened, to which
// thing, and what to do; fields carry the numbers.
#pragma once

#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>

#include "base/clock.h"

namespace streamobs::log {

enum class Level { debug, info, warn, error };
enum class Format { automatic, text, json };

struct Field {
  std::string_view key;
  std::string value;
  bool bare = false;  ///< A number or a boolean: JSON takes it as it is.
  template <class T>
  Field(std::string_view k, const T& v) : key(k), value(fmt::format("{}", v)) {
    if constexpr (std::is_floating_point_v<T>) {
      bare = std::isfinite(v);
    } else {
      bare = std::is_arithmetic_v<T> && !std::is_same_v<T, char>;
    }
  }
};

/// The line that write() prints, with its end: one JSON object or, with `json` false, plain text.
std::string line_of(Level level, std::string_view message, std::initializer_list<Field> fields,
                    Timestamp now, bool json, bool colour);

/// Sets what is printed from now on. `automatic` is text on a terminal and JSON otherwise.
void configure(Level least, Format format);

void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::debug, m, f); }
inline void info(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::info, m, f); }
inline void warn(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::warn, m, f); }
inline void error(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::error, m, f); }

}  // namespace streamobs::log
