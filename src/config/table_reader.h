// Reads typed values out of one table of the config and says what is wrong with each.
//
// Made for one table and thrown away. A key that is absent leaves its target, the default, alone;
// so does a key whose value is wrong, after an error. Keys that the section does not know are
// reported on construction; one that is a slip for another is then read as that, so that what is
// wrong in its value is told as well, and nothing is called missing that is only misspelt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"
#include "config/document.h"
#include "config/keys.h"

namespace streamobs::config {

/// A word of the config and what it stands for.
template <class T>
struct Choice {
  std::string_view word;
  T value;
};

class TableReader {
 public:
  /// `title` is how messages call it: "[window.service_metrics]".
  TableReader(const Value& table, Span at, std::string title, const Section& section,
              Report& report);

  /// The value of a key of this section; null where it is absent.
  const Value* find(std::string_view key) const;
  /// The key of this section that an entry is read as; empty where it is none.
  std::string_view key_of(const Entry& entry) const;
  /// Whether a table or list stands under a key that is read as none: names may be lost with it.
  bool lost_names() const { return lost_names_; }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  const std::string& title() const { return title_; }
  Span at() const { return at_; }
  Report& report() const { return report_; }

  void text(std::string_view key, SourceText& out) const;
  void text(std::string_view key, std::string& out) const;
  /// A text that is an expression: a bare number or boolean gets a hint about quotes.
  void expression(std::string_view key, SourceText& out) const;
  void texts(std::string_view key, std::vector<SourceText>& out) const;
  void flag(std::string_view key, bool& out) const;
  void number(std::string_view key, double least, double most, double& out) const;
  void duration(std::string_view key, Duration least, Duration most, Duration& out) const;
  /// A number of bytes, or a text such as "8MiB" or "64KB".
  void bytes(std::string_view key, std::size_t least, std::size_t most, std::size_t& out) const;

  template <class T>
  void integer(std::string_view key, std::int64_t least, std::int64_t most, T& out) const {
    static_assert(std::is_integral_v<T>);
    std::int64_t value = 0;
    if (read_integer(key, least, most, value)) out = static_cast<T>(value);
  }

  /// True where a choice was read.
  template <class T, std::size_t N>
  bool choice(std::string_view key, const Choice<T> (&choices)[N], T& out) const {
    std::vector<std::string_view> words;
    for (const Choice<T>& c : choices) words.push_back(c.word);
    const auto index = read_choice(key, words);
    if (index) out = choices[*index].value;
    return index.has_value();
  }

  /// Reports that a key without which the table means nothing is not there.
  void missing(std::string_view key, std::string hint) const;
  /// Reports `key: message` at the value of the key.
  void error(std::string_view key, std::string_view message, std::string hint = {}) const;

 private:
  const Value* of_kind(std::string_view key, Value::Kind kind, std::string_view expected,
                       std::string_view hint) const;
  bool read_integer(std::string_view key, std::int64_t least, std::int64_t most,
                    std::int64_t& out) const;
  std::optional<std::size_t> read_choice(std::string_view key,
                                         const std::vector<std::string_view>& words) const;

  const Value& table_;
  Span at_;
  std::string title_;
  const Section& section_;
  Report& report_;
  struct Slip {
    const Entry* entry;
    std::string_view key;  ///< What it is read as.
  };
  std::vector<Slip> slips_;
  bool lost_names_ = false;
};

/// A text that is not blank, with its place; else an error and nothing. `what` names it in
/// messages.
std::optional<SourceText> text_of(const Value& value, std::string_view what, Report& report);
/// The same for an expression.
std::optional<SourceText> expression_of(const Value& value, std::string_view what, Report& report);

/// [A-Za-z_][A-Za-z0-9_]*: what SQL takes as a name without quotes.
bool is_identifier(std::string_view name);
/// [A-Za-z0-9_-]+: what stands in an address or a metric's label without escapes.
bool is_label(std::string_view name);

/// The name of a table such as [stream.NAME]; one that is no label is an error, `why` (with what
/// comes before it) says what for.
SourceText label_of(const Entry& entry, std::string_view what, std::string_view why,
                    Report& report);

/// The place of a piece of the config, for messages about it.
Span span_of(const SourceText& text);

}  // namespace streamobs::config
