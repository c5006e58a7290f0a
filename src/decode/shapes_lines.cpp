// Walking the graph with many lines at once: the hot path of decoding whole blocks.
#include <algorithm>
#include <bit>
#include <numeric>

#include "decode/shape_values.h"
#include "decode/shapes.h"
#include "decode/text_scan.h"

namespace streamobs::decode {

namespace {

/// As wide::find_newlines().
std::size_t find_newlines(const char* p, const char* end, std::size_t most, const char** found) {
  std::size_t count = 0;
  for (; p < end && count < most; p += 64) {
    for (std::uint64_t bits = newlines_in(p); bits != 0; bits &= bits - 1) {
      found[count++] = p + std::countr_zero(bits);
    }
  }
  return count;
}

}  // namespace

/// Reads the next lines. `p` becomes what is behind those that have become rows; false: the line
/// there could not be read.
bool Shapes::read_together(const char*& p, const char* end, std::size_t most_bytes) {
  Lines& lines = lines_;
  const std::size_t count = split_lines(p, end, most_bytes);
  if (count == 0) return false;
  writer_.reserve_rows(count);
  lines.first_row = writer_.row();
  lines.first_refused = count;
  lines.walked_singly = 0;
  std::iota(lines.order.begin(), lines.order.begin() + static_cast<std::ptrdiff_t>(count),
            LineIndex{0});
  follow(nodes_.front(), lines.order.data(), count);
  const std::size_t good = lines.first_refused;
  writer_.commit_rows(lines.first_row, good);
  if (std::string_view* const raw = writer_.raw(lines.first_row)) [[unlikely]]
    keep_texts(p, good, raw);
  reads_ += good;
  if (good != 0) p = std::min(lines.end[good - 1] + 1, end);
  // Shapes without number, such as keys in random order: hardly any lines go together.
  if (lines.walked_singly * 2 > count && count > kFewLines) lines_singly_ = kManyLinesSingly;
  if (good == count) {
    lines_together_ = std::min(lines_together_ * 2, kMaxLines);
    return true;
  }
  // What was read behind the line has been in vain: look less far ahead where that happens often.
  lines_together_ = std::max(good, kLinesSingly);
  if (good < kLinesSingly) lines_singly_ = std::max(lines_singly_, kLinesSingly);
  return false;
}

/// Finds the ends of the next lines, and returns how many there are before one that is too long.
std::size_t Shapes::split_lines(const char* p, const char* end, std::size_t most_bytes) {
  const std::size_t most_lines = lines_together_;
  const char** const ends = lines_.end.data();
  std::size_t count = use_wide_loops_ ? wide::find_newlines(p, end, most_lines, ends)
                                      : find_newlines(p, end, most_lines, ends);
  if (count < most_lines && (count == 0 ? p < end : ends[count - 1] + 1 < end)) {
    ends[count++] = end;  // The block ends without a newline.
  }
  count = std::min(count, most_lines);
  const char** const begins = lines_.at.data();
  begins[0] = p;
  for (std::size_t i = 1; i < count; ++i) begins[i] = ends[i - 1] + 1;
  for (std::size_t i = 0; i < count; ++i) {
    if (static_cast<std::size_t>(ends[i] - begins[i]) > most_bytes) [[unlikely]]
      return i;
  }
  return count;
}

/// The first `count` lines, of which the first is at `p`, without their ends.
[[gnu::noinline]] void Shapes::keep_texts(const char* p, std::size_t count,
                                          std::string_view* raw) const {
  for (std::size_t i = 0; i < count; ++i) {
    const char* const line_end = lines_.end[i];
    raw[i] = {p, static_cast<std::size_t>(line_end - p)};
    if (line_end[-1] == '\r') raw[i].remove_suffix(1);
    p = line_end + 1;
  }
}

inline bool Shapes::at_end(LineIndex line, const char* p) const {
  const char* const line_end = lines_.end[line];
  return p == line_end || (p + 1 == line_end && *p == '\r');
}

/// From here on no edge matches the line.
inline void Shapes::refuse(LineIndex line) {
  static constexpr char kNothing[64] = {};
  lines_.at[line] = kNothing;
  lines_.first_refused = std::min<std::size_t>(lines_.first_refused, line);
}

/// Reads `count` lines that stand at `from` to their ends.
void Shapes::follow(Node& from, LineIndex* lines, std::size_t count) {
  for (Node* node = &from; count != 0;) {
    if (count < kFewLines) {
      follow_singly(*node, lines, count);
      return;
    }
    Edge* const edge = node->first;
    if (node->edges != nullptr && node->edges->next != nullptr) {
      // Several edges: each of the others takes its lines to their ends first.
      const std::size_t along = take_matching(*edge, lines, count);
      for (std::size_t done = along; done < count;) {
        Edge* const other = find_other(*node, lines_.at[lines[done]], edge);
        if (other == nullptr) {
          refuse(lines[done++]);
          continue;
        }
        const std::size_t more = take_matching(*other, lines + done, count - done);
        read_values(*other, lines + done, more);
        if (other->target != nullptr) follow(*other->target, lines + done, more);
        done += more;
      }
      count = along;
      node->first = edge;
    }
    read_values(*edge, lines, count);
    node = edge->target;
    if (node == nullptr) return;
  }
}

void Shapes::follow_singly(Node& node, const LineIndex* lines, std::size_t count) {
  lines_.walked_singly += count;
  for (std::size_t i = 0; i < count; ++i) {
    const LineIndex line = lines[i];
    const char* const behind =
        read_rest(node, lines_.at[line], lines_.end[line], lines_.first_row.behind(line));
    if (behind == nullptr || !at_end(line, behind)) refuse(line);
  }
}

/// The lines for wide::…; false where the edge is not for them.
inline bool Shapes::wide_lines(const Edge& edge, const LineIndex* lines, std::size_t count,
                               bool quoted, wide::Lines& out) {
  const std::size_t size = edge.size + std::size_t{quoted};  // The quote stands behind the literal.
  if (!use_wide_loops_ || size > wide::Lines::kMaxLiteral) return false;
  const auto wanted = static_cast<std::uint32_t>((std::uint64_t{1} << size) - 1);
  out = {lines_.at.data(), lines, count, edge.literal, size, wanted};
  return true;
}

/// Moves the lines that go along `edge` to the front; returns how many do.
std::size_t Shapes::take_matching(const Edge& edge, LineIndex* lines, std::size_t count) {
  std::size_t taken = 0;
  if (wide::Lines all; wide_lines(edge, lines, count, false, all)) {
    taken = wide::part(all, edge.never, lines, lines_.others.data());
  } else {
    std::size_t left = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const LineIndex line = lines[i];
      const auto takes = static_cast<std::size_t>(fits(lines_.at[line], edge));
      lines_.others[left] = line;
      lines[taken] = line;
      taken += takes;
      left += 1 - takes;
    }
  }
  std::copy_n(lines_.others.begin(), count - taken, lines + taken);
  return taken;
}

/// Reads each line by `read_wide()`, and those that this leaves slowly.
template <class ReadWide>
inline void Shapes::read_widely(const Edge& edge, const wide::Lines& lines, ReadWide read_wide) {
  for (std::size_t i = 0; (i = read_wide(i)) < lines.count; ++i) {
    read_slowly(edge, lines.lines[i]);
  }
}

/// Reads the literal and the value of each line. `prepare()` gives what reads a value the short
/// way, (p, line) to what is behind it, or null; a line for which it gives that is read slowly, and
/// then `prepare()` is called anew. So the loop itself has no calls in it, and keeps what it needs
/// in registers.
template <class Prepare>
[[gnu::always_inline]] inline void Shapes::read_each(const Edge& edge, const LineIndex* lines,
                                                     std::size_t count, Prepare prepare) {
  const char** const at = lines_.at.data();
  const std::size_t size = edge.size;
  const bool is_long = size > 16;
  for (std::size_t i = 0;;) {
    const auto read_value = prepare();
    const LiteralStart literal(edge.literal, edge.ignore);
    for (; i < count; ++i) {
      const LineIndex line = lines[i];
      const char* const p = at[line];
      if (!literal.is_at(p)) [[unlikely]]
        break;
      if (is_long && !matches_behind(p, edge)) [[unlikely]]
        break;
      const char* const behind = read_value(p + size, line);
      if (behind == nullptr) [[unlikely]]
        break;
      at[line] = behind;
    }
    if (i == count) return;
    read_slowly(edge, lines[i++]);
  }
}

/// Along one edge: its literal, and the value behind it.
void Shapes::read_values(const Edge& edge, const LineIndex* lines, std::size_t count) {
  switch (edge.value_op) {
    case Op::end:
      finish(edge, lines, count);
      return;
    case Op::time:
      read_times(edge, lines, count);
      return;
    case Op::text:
      read_texts(edge, lines, count);
      return;
    case Op::integer:
      read_integers(edge, lines, count);
      return;
    case Op::floating:
      read_floats(edge, lines, count);
      return;
    case Op::skip:
      read_skipped_texts(edge, lines, count);
      return;
    default:
      for (std::size_t i = 0; i < count; ++i) read_slowly(edge, lines[i]);
  }
}

void Shapes::read_times(const Edge& edge, const LineIndex* lines, std::size_t count) {
  if (wide::Lines all; wide_lines(edge, lines, count, true, all)) {
    read_widely(edge, all, [&](std::size_t i) {
      return wide::read_times(all, i, times_.minutes(), rows_.time_limit(),
                              lines_.first_row.time());
    });
    return;
  }
  read_each(edge, lines, count, [&] {
    return [times = &times_, limit = rows_.time_limit(), column = lines_.first_row.time()](
               const char* p, std::size_t line) -> const char* {
      Timestamp time = 0;
      if (*p != '"') return nullptr;
      const char* const close = times->parse_known_minute(p + 1, time);
      if (close == nullptr || time > limit) return nullptr;
      column[line] = time;
      return close + 1;
    };
  });
}

void Shapes::read_texts(const Edge& edge, const LineIndex* lines, std::size_t count) {
  const BatchWriter::Place& place = *edge.place;
  const std::size_t first = lines_.first_row.index();
  if (place.ids == nullptr) {
    read_each(edge, lines, count, [&] {
      return [column = place.strings + first](const char* p, std::size_t line) -> const char* {
        const char* const close = scan_plain_string(p + 1);
        if (*p != '"' || *close != '"') return nullptr;
        column[line] = {p + 1, static_cast<std::size_t>(close - p - 1)};
        return close + 1;
      };
    });
    return;
  }
  // A string that is read slowly may end the dictionary: then none is known.
  const auto known_texts = [&] {
    return place.ids != nullptr ? text_ids_[edge.column].view() : TextIds::View();
  };
  const auto column_ids = [&] { return place.ids != nullptr ? place.ids + first : nullptr; };
  if (wide::Lines all; wide_lines(edge, lines, count, true, all)) {
    read_widely(edge, all, [&](std::size_t i) {
      return wide::read_texts(all, i, known_texts(), column_ids());
    });
    return;
  }
  read_each(edge, lines, count, [&] {
    const TextIds::View known = known_texts();
    return [known, column = column_ids()](const char* p, std::size_t line) -> const char* {
      const unsigned size = bytes_before_quote(p + 1);
      if (*p != '"' || size > TextIds::kMaxText) return nullptr;
      const Dictionary::Id id = known.find(p + 1, size);
      if (id == Dictionary::kNone) return nullptr;
      column[line] = id;
      return p + 1 + size + 1;
    };
  });
}

void Shapes::read_integers(const Edge& edge, const LineIndex* lines, std::size_t count) {
  if (wide::Lines all; wide_lines(edge, lines, count, false, all)) {
    read_widely(edge, all, [&](std::size_t i) {
      return wide::read_integers(all, i, edge.place->ints + lines_.first_row.index());
    });
    return;
  }
  read_each(edge, lines, count, [&] {
    return [column = edge.place->ints + lines_.first_row.index()](const char* p,
                                                                  std::size_t line) -> const char* {
      std::int64_t value = 0;
      const char* const behind = read_few_digits(p, value);
      column[line] = value;
      return behind;
    };
  });
}

void Shapes::read_floats(const Edge& edge, const LineIndex* lines, std::size_t count) {
  if (wide::Lines all; wide_lines(edge, lines, count, false, all)) {
    read_widely(edge, all, [&](std::size_t i) {
      return wide::read_floats(all, i, edge.place->floats + lines_.first_row.index());
    });
    return;
  }
  read_each(edge, lines, count, [&] {
    return [column = edge.place->floats + lines_.first_row.index()](
               const char* p, std::size_t line) -> const char* {
      double value = 0;
      const char* const behind = read_short_float(p, value);
      column[line] = value;
      return behind;
    };
  });
}

/// Undeclared values, of which texts are the commonest.
void Shapes::read_skipped_texts(const Edge& edge, const LineIndex* lines, std::size_t count) {
  read_each(edge, lines, count, [] {
    return [](const char* p, std::size_t) -> const char* {
      const char* const close = scan_plain_string(p + 1);
      return *p == '"' && *close == '"' ? close + 1 : nullptr;
    };
  });
}

/// Any line, any value.
[[gnu::noinline]] void Shapes::read_slowly(const Edge& edge, LineIndex line) {
  const char* p = lines_.at[line];
  if (matches(p, edge)) {
    p += edge.size;
    const char* const end = lines_.end[line];
    const Row row = lines_.first_row.behind(line);
    const char* behind = nullptr;
    switch (edge.value_op) {
      case Op::time:
        behind = read_time(p, end, edge, row);
        break;
      case Op::text:
        behind = read_text(p, end, edge, row);
        if (behind != nullptr) remember_text(edge, p, behind, row);
        break;
      case Op::integer:
        behind = read_integer(p, end, edge, row);
        break;
      case Op::floating:
        behind = read_floating(p, end, edge, row);
        break;
      case Op::decimal:
        behind = read_decimal(p, end, edge, row);
        break;
      case Op::boolean:
        behind = read_boolean(p, end, edge, row);
        break;
      case Op::other:
        behind = read_other(p, end, edge, row);
        break;
      case Op::skip:
        behind = read_skipped(p, end, edge, row);
        break;
      case Op::end:
      case Op::long_literal:
      case Op::nothing:
        break;
    }
    lines_.at[line] = behind;
    if (behind != nullptr) return;
  }
  refuse(line);
}

/// The text at `p` has been read into `row`: if its bytes are all it takes to know it again, they
/// are kept with its id.
void Shapes::remember_text(const Edge& edge, const char* p, const char* behind, Row row) {
  const Dictionary::Id* const ids = edge.place->ids;
  const auto size = static_cast<std::size_t>(behind - p);
  if (ids == nullptr || *p != '"' || size - 2 > TextIds::kMaxText) return;
  bool non_ascii = false;
  if (scan_string(p + 1, non_ascii) + 1 != behind) return;
  text_ids_[edge.column].put(p + 1, size - 2, ids[row.index()], edge.place->dictionary->size());
}

/// The edge that ends the event.
void Shapes::finish(const Edge& edge, const LineIndex* lines, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const LineIndex line = lines[i];
    const char* const p = lines_.at[line];
    if (!matches(p, edge) || !at_end(line, p + edge.size)) [[unlikely]]
      refuse(line);
  }
  if (edge.absent == 0) return;
  for (std::size_t i = 0; i < count; ++i) {
    if (!set_absent(edge.absent, lines_.first_row.behind(lines[i]))) refuse(lines[i]);
  }
}

}  // namespace streamobs::decode
