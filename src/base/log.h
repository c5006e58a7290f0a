// Structured log lines on stderr: text on a terminal, one JSON object a line otherwise.
//
// Lives for the whole process; may be called from any thread. A line says what happened, to which
// thing, and what to do; fields carry the numbers.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace streamobs::log {

enum class Level { debug, info, warn, error };
enum class Format { automatic, text, json };

struct Field {
  std::string_view key;
  std::string value;
  template <class T>
  Field(std::string_view k, const T& v) : key(k), value(fmt::format("{}", v)) {}
};

/// Sets what is printed from now on. `automatic` is text on a terminal and JSON otherwise.
void configure(Level least, Format format);

void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::debug, m, f); }
inline void info(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::info, m, f); }
inline void warn(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::warn, m, f); }
inline void error(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::error, m, f); }

}  // namespace streamobs::log
