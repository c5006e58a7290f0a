// How `streamobs tap` shows live messages: as columns for a person, or a JSON object a line.
//
// Synchronous, no terminal of its own: text comes out. One thread; for the command line only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <simdjson.h>

namespace streamobs::app {

enum class TapSubject : std::uint8_t { window, stream, anomalies, incidents };

struct TapStyle {
  bool json = false;      ///< One object a line, as the API has it.
  bool colour = false;    ///< By ANSI escapes: severities, and what is still open.
  std::size_t width = 0;  ///< Of the terminal: rows of figures end there. 0: there is none.
};

/// Only what has each of these values, written as JSON does. A name may be a path of members joined
/// by dots; of incidents and anomalies a key may be meant.
using TapFilter = std::vector<std::pair<std::string, std::string>>;

class TapView {
 public:
  TapView(TapSubject subject, TapStyle style, TapFilter filter);

  /// What a message's data (JSON) look like, line by line with their ends, up to `most` rows;
  /// nothing for one that cannot be read.
  std::string show(std::string_view data, std::uint64_t most);
  /// Rows shown so far: of windows, events of a stream, anomalies, incidents.
  std::uint64_t shown() const { return shown_; }
  /// Events of the stream that the engine has not told us of, since this was last asked.
  std::uint64_t take_left_out() { return std::exchange(left_out_, 0); }

 private:
  enum class Paint : std::uint8_t { none, dim, low, medium, high, critical, good };
  struct Cell {
    std::string name;
    std::string text;
    bool number = false;
    Paint paint = Paint::none;
  };
  struct Line {
    std::vector<Cell> cells;
    std::string behind;  ///< Free text after the columns; may have further lines.
    bool dim = false;
  };
  struct Column {
    std::string name;
    std::size_t width = 0;
    bool number = false;
  };

  /// Results remembered as shown: more than an engine has to tell when it is back.
  static constexpr std::size_t kRememberedMax = 10'000;
  /// Members with a column of their own, those that come first; of the others a last column says
  /// how many there are.
  static constexpr std::size_t kColumnsMax = 100;

  bool wanted(simdjson::dom::element row) const;
  bool is_repeat(simdjson::dom::element row, const std::string& text);
  Line line_of(simdjson::dom::object row) const;
  void add_figures(simdjson::dom::object members, const std::string& prefix, Line& line) const;
  bool fit(std::vector<Line>& lines);
  bool fit(const Cell& cell);
  std::vector<Column>::iterator column_of(const Cell& cell);
  std::string header() const;
  std::string painted(std::string text, Paint paint) const;
  std::string to_text(const Line& line) const;
  static Paint of_severity(std::string_view severity);

  const TapSubject subject_;
  const TapStyle style_;
  const TapFilter filter_;
  simdjson::dom::parser parser_;
  std::vector<Column> columns_;
  std::size_t since_header_ = 0;
  std::unordered_set<std::uint64_t> remembered_;  ///< Hashes of results that have been shown.
  std::deque<std::uint64_t> remembered_order_;
  std::uint64_t shown_ = 0;
  std::uint64_t left_out_ = 0;
};

/// On one line of a terminal: what could steer it is replaced.
std::string printable(std::string_view text);
/// How many columns a text takes, at one a character.
std::size_t columns_of(std::string_view text);

}  // namespace streamobs::app
