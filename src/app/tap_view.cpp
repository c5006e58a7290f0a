#include "app/tap_view.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/hash.h"
#include "base/utf8.h"

namespace streamobs::app {

namespace {

namespace dom = simdjson::dom;

/// The header is shown again after so many rows: it has left the screen.
constexpr std::size_t kRowsPerHeader = 40;
/// A column gets no wider: one long text must not push the others off the screen.
constexpr std::size_t kColumnMax = 40;
constexpr std::string_view kBetween = "  ";
/// The column of what has none of its own.
constexpr std::string_view kOthers = "(others)";

bool is_time(std::string_view text) {
  constexpr std::size_t kShortest = std::string_view("2026-01-09T12:34:00Z").size();
  return text.size() >= kShortest && text[4] == '-' && text[7] == '-' && text[10] == 'T' &&
         text[13] == ':' && text.back() == 'Z';
}

/// As short as a row of figures needs it: "01-09 12:34:00", in UTC like all times.
std::string short_time(std::string_view text) {
  return fmt::format("{} {}", text.substr(5, 5), text.substr(11, 8));
}

std::string text_of(dom::element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) {
    return is_time(text) ? short_time(text) : printable(text);
  }
  if (value.is_null()) return "-";
  if (value.type() == dom::element_type::DOUBLE) {
    // Money in full; what is small needs no more digits than tell it apart.
    constexpr double kLarge = 1'000;
    constexpr double kTooLarge = 1e15;
    const double number = value;
    const bool large = std::abs(number) >= kLarge && std::abs(number) < kTooLarge;
    return large ? fmt::format("{:.2f}", number) : fmt::format("{:.6g}", number);
  }
  return printable(simdjson::minify(value));
}

/// As a person would write it on the command line.
std::string plain_text(dom::element value) {
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return std::string(text);
  return simdjson::minify(value);
}

/// "metadata.traceId" as a JSON pointer (RFC 6901).
std::string pointer_of(std::string_view path) {
  std::string pointer = "/";
  for (const char c : path) {
    if (c == '~') {
      pointer += "~0";
    } else if (c == '/') {
      pointer += "~1";
    } else {
      pointer += c == '.' ? '/' : c;
    }
  }
  return pointer;
}

std::string_view string_at(dom::object row, std::string_view name) {
  std::string_view text;
  [[maybe_unused]] const auto found = row[name].get(text);
  return text;
}

bool bool_at(dom::object row, std::string_view name) {
  bool value = false;
  [[maybe_unused]] const auto found = row[name].get(value);
  return value;
}

/// "service=checkout region=eu".
std::string keys_of(dom::object row) {
  std::string out;
  dom::object keys;
  if (row["keys"].get(keys) != simdjson::SUCCESS) return out;
  for (const auto& [name, value] : keys) {
    if (!out.empty()) out += ' ';
    out += printable(name) + '=' + text_of(value);
  }
  return out;
}

/// Words broken into lines that stand four columns in.
std::string wrapped(std::string_view text, std::size_t width) {
  constexpr std::string_view kIndent = "    ";
  const std::size_t most = std::max<std::size_t>(width, 60);
  std::string out;
  std::string line(kIndent);
  const std::string safe = printable(text);
  std::string_view rest = safe;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (word.empty()) continue;
    const bool first = line.size() == kIndent.size();
    if (!first && columns_of(line) + 1 + columns_of(word) > most) {
      out += '\n' + line;
      line = kIndent;
    } else if (!first) {
      line += ' ';
    }
    line += word;
  }
  return line.size() == kIndent.size() ? out : out + '\n' + line;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out = valid_utf8(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    if (byte < ' ' || byte == 0x7f) out[i] = ' ';
    // U+0080 to U+009F: some terminals take them for commands as well.
    const bool high_control =
        byte == 0xc2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xa0;
    if (high_control) out[i] = out[i + 1] = ' ';
  }
  return out;
}

std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

TapView::TapView(TapSubject subject, TapStyle style, TapFilter filter)
    : subject_(subject), style_(style), filter_(std::move(filter)) {
  if (subject == TapSubject::stream) return;
  // Wide enough for what comes later: "open" is what most rows begin as.
  const std::string_view state = subject == TapSubject::window ? "closed" : "resolved";
  columns_.push_back({"", state.size(), false});
}

bool TapView::wanted(dom::element row) const {
  return std::all_of(filter_.begin(), filter_.end(), [&](const auto& one) {
    dom::element value;
    if (row[one.first].get(value) != simdjson::SUCCESS &&
        row["keys"][one.first].get(value) != simdjson::SUCCESS &&
        row.at_pointer(pointer_of(one.first)).get(value) != simdjson::SUCCESS) {
      return false;
    }
    return plain_text(value) == one.second;
  });
}

/// After a crash an engine counts again what its log has behind the last checkpoint, and tells the
/// same results again, to the letter. What is open is told as often as it comes.
bool TapView::is_repeat(dom::element row, const std::string& text) {
  bool closed = true;
  [[maybe_unused]] const auto of_window = row["closed"].get(closed);
  if (!closed || subject_ == TapSubject::stream) return false;
  const std::uint64_t hash = hash_bytes(text);
  if (!remembered_.insert(hash).second) return true;
  remembered_order_.push_back(hash);
  if (remembered_order_.size() > kRememberedMax) {
    remembered_.erase(remembered_order_.front());
    remembered_order_.pop_front();
  }
  return false;
}

TapView::Paint TapView::of_severity(std::string_view severity) {
  if (severity == "critical") return Paint::critical;
  if (severity == "high") return Paint::high;
  return severity == "medium" ? Paint::medium : Paint::low;
}

void TapView::add_figures(dom::object members, const std::string& prefix, Line& line) const {
  for (const auto& [name, value] : members) {
    const bool told = name == "window_end" || name == "revision" || name == "closed";
    if (told && subject_ == TapSubject::window) continue;
    dom::object inner;
    if (value.get(inner) == simdjson::SUCCESS) {
      add_figures(inner, prefix + printable(name) + '.', line);
      continue;
    }
    const bool number = value.is_number();
    line.cells.push_back({prefix + printable(name), text_of(value), number, Paint::none});
  }
}

TapView::Line TapView::line_of(dom::object row) const {
  Line line;
  if (subject_ == TapSubject::window) {
    const bool closed = bool_at(row, "closed");
    line.dim = !closed;
    std::uint64_t revision = 0;
    [[maybe_unused]] const auto of_window = row["revision"].get(revision);
    if (closed && revision != 0) {
      line.cells.push_back({"", fmt::format("rev {}", revision), false, Paint::medium});
    } else {
      line.cells.push_back(
          {"", closed ? "closed" : "open", false, closed ? Paint::good : Paint::none});
    }
    add_figures(row, "", line);
    return line;
  }
  if (subject_ == TapSubject::stream) {
    add_figures(row, "", line);
    return line;
  }
  const bool of_incident = subject_ == TapSubject::incidents;
  const std::string_view severity = string_at(row, "severity");
  const std::string_view at = string_at(row, of_incident ? "last_seen_at" : "detected_at");
  const bool over = of_incident ? string_at(row, "status") == "resolved" : bool_at(row, "resolved");
  line.cells.push_back({"", over ? "resolved" : "open", false, over ? Paint::good : Paint::none});
  line.cells.push_back({of_incident ? "last_seen_at" : "detected_at",
                        is_time(at) ? short_time(at) : printable(at), false, Paint::none});
  line.cells.push_back(
      {"severity", printable(severity), false, over ? Paint::dim : of_severity(severity)});
  if (!of_incident) {
    line.cells.push_back({"rule", printable(string_at(row, "rule")), false, Paint::none});
  }
  line.cells.push_back({"keys", keys_of(row), false, Paint::none});
  if (of_incident) {
    line.behind = printable(string_at(row, "title"));
    line.behind += painted(wrapped(string_at(row, "explanation"), style_.width), Paint::dim);
  } else {
    line.behind = printable(string_at(row, "description"));
  }
  return line;
}

/// Columns for these lines. True: they have changed.
bool TapView::fit(std::vector<Line>& lines) {
  bool changed = false;
  for (Line& line : lines) {
    std::size_t others = 0;
    for (const Cell& cell : line.cells) {
      if (columns_.size() < kColumnsMax || column_of(cell) != columns_.end()) {
        changed = fit(cell) || changed;
      } else {
        ++others;
      }
    }
    if (others == 0) continue;
    line.cells.push_back({std::string(kOthers), fmt::format("+{}", others), true, Paint::none});
    changed = fit(line.cells.back()) || changed;
  }
  return changed;
}

bool TapView::fit(const Cell& cell) {
  bool changed = false;
  auto column = column_of(cell);
  if (column == columns_.end()) {
    columns_.push_back({cell.name, columns_of(cell.name), cell.number});
    column = columns_.end() - 1;
    changed = true;
  }
  const std::size_t width = std::min(columns_of(cell.text), kColumnMax);
  if (width > column->width) {
    column->width = width;
    changed = true;
  }
  // A column is one of numbers once it has had one: "-" may come before.
  column->number = column->number || cell.number;
  return changed;
}

std::vector<TapView::Column>::iterator TapView::column_of(const Cell& cell) {
  return std::find_if(columns_.begin(), columns_.end(),
                      [&](const Column& c) { return c.name == cell.name; });
}

std::string TapView::painted(std::string text, Paint paint) const {
  if (!style_.colour || paint == Paint::none || text.empty()) return text;
  std::string_view code;
  switch (paint) {
    case Paint::none:
      break;
    case Paint::dim:
      code = "2";
      break;
    case Paint::low:
      code = "36";
      break;
    case Paint::medium:
      code = "33";
      break;
    case Paint::high:
      code = "31";
      break;
    case Paint::critical:
      code = "1;31";
      break;
    case Paint::good:
      code = "32";
      break;
  }
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

namespace {

/// Filled up to its column, or cut.
std::string padded(std::string_view text, std::size_t width, bool number) {
  const std::size_t columns = columns_of(text);
  if (columns > width) {
    std::size_t end = 0;
    for (std::size_t count = 0; end < text.size(); ++end) {
      const bool begins = (static_cast<unsigned char>(text[end]) & 0xc0) != 0x80;
      if (begins && ++count == width) break;
    }
    return std::string(text.substr(0, end)) + "…";
  }
  const std::string fill(width - columns, ' ');
  return number ? fill + std::string(text) : std::string(text) + fill;
}

}  // namespace

std::string TapView::header() const {
  std::string out;
  for (const Column& column : columns_) {
    if (!out.empty()) out += kBetween;
    out += padded(column.name, column.width, column.number);
  }
  if (subject_ == TapSubject::anomalies) out += "  description";
  if (subject_ == TapSubject::incidents) out += "  title";
  while (out.ends_with(' ')) out.pop_back();
  if (style_.width != 0 && columns_of(out) > style_.width) out = padded(out, style_.width, false);
  return style_.colour ? fmt::format("\x1b[1m{}\x1b[0m\n", out) : out + '\n';
}

std::string TapView::to_text(const Line& line) const {
  std::string out;
  std::size_t used = 0;
  for (const Column& column : columns_) {
    const auto cell = std::find_if(line.cells.begin(), line.cells.end(),
                                   [&](const Cell& c) { return c.name == column.name; });
    const std::string_view value = cell == line.cells.end() ? std::string_view() : cell->text;
    const std::size_t gap = used == 0 ? 0 : kBetween.size();
    // Figures end where the terminal does; free text goes on in its next line.
    if (line.behind.empty() && style_.width != 0 && used + gap + column.width > style_.width) {
      if (style_.width > used + gap) {
        out += kBetween.substr(0, gap);
        out += padded(value, style_.width - used - gap, false);
      }
      break;
    }
    out += kBetween.substr(0, gap);
    used += gap + column.width;
    const Paint paint = line.dim || cell == line.cells.end() ? Paint::none : cell->paint;
    out += painted(padded(value, column.width, column.number), paint);
  }
  if (!line.behind.empty()) {
    out += kBetween;
    out += line.behind;
  }
  while (out.ends_with(' ')) out.pop_back();
  return (line.dim ? painted(std::move(out), Paint::dim) : out) + '\n';
}

std::string TapView::show(std::string_view data, std::uint64_t most) {
  dom::element message;
  if (parser_.parse(data.data(), data.size()).get(message) != simdjson::SUCCESS) return {};
  std::vector<dom::element> rows;
  dom::array listed;
  const bool of_stream = subject_ == TapSubject::stream;
  if (message[of_stream ? "events" : "rows"].get(listed) == simdjson::SUCCESS) {
    for (const dom::element row : listed) rows.push_back(row);
  } else {
    rows.push_back(message);
  }
  std::uint64_t left_out = 0;
  if (message["left_out"].get(left_out) == simdjson::SUCCESS) left_out_ += left_out;
  std::string out;
  std::vector<Line> lines;
  for (const dom::element row : rows) {
    dom::object members;
    if (most == 0 || row.get(members) != simdjson::SUCCESS || !wanted(row)) continue;
    const std::string text = simdjson::minify(row);
    if (is_repeat(row, text)) continue;
    --most;
    ++shown_;
    if (style_.json) {
      out += text;
      out += '\n';
    } else {
      lines.push_back(line_of(members));
    }
  }
  const bool changed = fit(lines);
  for (const Line& line : lines) {
    if (since_header_ == 0 || (changed && &line == &lines.front())) {
      out += header();
      since_header_ = kRowsPerHeader;
    }
    --since_header_;
    out += to_text(line);
  }
  return out;
}

}  // namespace streamobs::app
