// A TOML document as plain data: tables in the order of the file, every key and value with its
// place. The only part of the engine that knows toml++.
//
// Made once when a config is read; immutable afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/source_file.h"

namespace streamobs::config {

struct Entry;

struct Value {
  enum class Kind { string, integer, floating, boolean, time, array, table };

  Kind kind = Kind::table;
  std::string text;  ///< Of a string.
  std::int64_t integer = 0;
  double floating = 0;
  bool boolean = false;
  std::vector<Value> items;    ///< Of an array.
  std::vector<Entry> entries;  ///< Of a table, in the order in which the file first names them.
  Span span;                   ///< With quotes; of a table its header.
  SourcePlace inner;  ///< Of a string: where its first character stands, inside the quotes.

  /// The value of a key; null where the table has none.
  const Value* find(std::string_view key) const;
};

struct Entry {
  std::string key;
  Span key_span;
  Value value;
};

inline constexpr std::size_t kFileBytesMax = 1 << 20;
inline constexpr std::size_t kNestingMax = 32;  ///< Of brackets, and of the parts of a dotted key.

/// Parses `file`. TOML stops making sense at its first syntax error, so there is at most one.
std::optional<Value> parse_toml(const SourceFile& file, std::string_view text, Report& report);

/// "the text \"5\"", "the number 5", "a list": for messages.
std::string describe(const Value& value);

}  // namespace streamobs::config
