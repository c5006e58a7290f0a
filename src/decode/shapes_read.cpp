// Walking the graph: the hot path of decoding.
#include <bit>
#include <cstdint>
#include <cstring>

#include "decode/number_text.h"
#include "decode/shape_values.h"
#include "decode/shapes.h"
#include "decode/text_scan.h"

namespace streamobs::decode {

/// An edge that fits, other than `except`; it becomes the first to be tried.
Shapes::Edge* Shapes::find_other(Node& node, const char* p, const Edge* except) const {
  Edge* const likely = node.by_word[slot_of(p)];
  if (likely != nullptr && likely != except && fits(p, *likely)) {
    node.first = likely;
    return likely;
  }
  for (Edge* edge = node.edges; edge != nullptr; edge = edge->next) {
    if (edge == except || !fits(p, *edge)) continue;
    node.first = edge;
    return edge;
  }
  return nullptr;
}

/// Text beyond ASCII, or with escapes.
const char* Shapes::read_unusual_text(const char* p, const char* end, const Edge& edge, Row row) {
  bool non_ascii = false;
  const char* const close = scan_string(p + 1, non_ascii);
  if (*close != '"') return read_other(p, end, edge, row);
  const std::string_view text(p + 1, static_cast<std::size_t>(close - p - 1));
  if (!is_utf8(text)) return nullptr;
  row.set_text(writer_, *edge.place, text, true);
  return close + 1;
}

/// Zero, a negative number or a long one.
const char* Shapes::read_odd_integer(const char* p, const char* end, const Edge& edge, Row row) {
  const char* const begin = p;
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const DigitRun high = scan_digits(p);
  if (high.count == 0 || (*p == '0' && high.count > 1)) return read_other(begin, end, edge, row);
  p += high.count;
  std::uint64_t value = high.value;
  if (high.count == 8) {
    const DigitRun low = scan_digits(p);
    if (low.count == 8) return read_other(begin, end, edge, row);
    p += low.count;
    value = value * static_cast<std::uint64_t>(kPowers[low.count]) + low.value;
  }
  if (goes_on(*p)) return read_other(begin, end, edge, row);
  const auto magnitude = static_cast<std::int64_t>(value);
  row.set_int(*edge.place, negative ? -magnitude : magnitude);
  return p;
}

/// Zero, a negative number or a long one: up to 8 digits before the point and 15 behind it, as long
/// as a double holds all of them.
const char* Shapes::read_odd_floating(const char* p, const char* end, const Edge& edge, Row row) {
  const char* const begin = p;
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const DigitRun whole = scan_digits(p);
  if (whole.count == 0 || (*p == '0' && whole.count > 1)) return read_other(begin, end, edge, row);
  p += whole.count;
  std::uint64_t digits = whole.value;
  unsigned places = 0;
  if (*p == '.') {
    const DigitRun high = scan_digits(++p);
    if (high.count == 0) return read_other(begin, end, edge, row);
    const DigitRun low = high.count == 8 ? scan_digits(p + 8) : DigitRun{0, 0};
    places = high.count + low.count;
    p += places;
    digits = digits * static_cast<std::uint64_t>(kPowers[high.count]) + high.value;
    // Eight digits and eight more stay below 10^16, so that nothing overflows below.
    if (low.count == 8 || (low.count != 0 && digits >= 1'000'000'000'000)) {
      return read_other(begin, end, edge, row);
    }
    digits = digits * static_cast<std::uint64_t>(kPowers[low.count]) + low.value;
  }
  // A ninth digit before the point, or an exponent, would stand here.
  if (is_digit(*p) || (*p | 0x20) == 'e' || digits > std::uint64_t{1} << 53) {
    return read_other(begin, end, edge, row);
  }
  const double value = exact_quotient(digits, places);
  row.set_float(*edge.place, negative ? -value : value);
  return p;
}

/// Null, or a value that none of the short ways takes: as the plain reader would.
const char* Shapes::read_other(const char* p, const char* end, const Edge& edge, Row row) {
  writer_.seek(row);
  if (is_null(p)) {
    if (schema_.fields[edge.column].required) return nullptr;
    writer_.set_null(edge.column);
    return p + 4;
  }
  Token token;
  p = read_plainly(p, end, edge, token);
  return p != nullptr && rows_.read_value(edge.column, token) ? p : nullptr;
}

/// A value that may go on over the end of the line, where the plain reader would have to stop, is
/// left to that.
const char* Shapes::read_plainly(const char* p, const char* end, const Edge& edge, Token& token) {
  p = json_.read_value(p, end, edge.depth, token);
  if (p == nullptr || token.kind == Token::Kind::string) return p;
  return token.text.find('\n') == std::string_view::npos ? p : nullptr;
}

/// Columns whose keys the event does not have.
bool Shapes::set_absent(std::uint64_t absent, Row row) {
  writer_.seek(row);
  for (; absent != 0; absent &= absent - 1) {
    const auto column = static_cast<std::size_t>(std::countr_zero(absent));
    if (schema_.fields[column].required) return false;
    writer_.set_null(column);
  }
  return true;
}

template <bool kNodesTell>
[[gnu::always_inline]] inline const char* Shapes::walk(Node* node, const char* p, const char* end,
                                                       Row row) {
  std::uint64_t seen = 0;
  for (;;) {
    Edge* edge = node->first;
    if (!equal_16(p, edge->literal, edge->ignore)) [[unlikely]] {
      edge = find_other(*node, p, edge);
      if (edge == nullptr) return nullptr;
    }
    p += edge->size;
    Op op = edge->op;
  dispatch:
    // The commonest by comparison, which is predicted better than a jump through a table.
    if (op == Op::text) {
      p = read_text(p, end, *edge, row);
    } else if (op == Op::integer) {
      p = read_integer(p, end, *edge, row);
    } else if (op == Op::time) {
      p = read_time(p, end, *edge, row);
    } else if (op == Op::end) {
      if (!kNodesTell && (seen & edge->bits) != 0) return nullptr;
      const std::uint64_t absent = kNodesTell ? edge->absent : column_bits_ & ~seen;
      return absent == 0 || set_absent(absent, row) ? p : nullptr;
    } else {
      switch (op) {
        case Op::floating:
          p = read_floating(p, end, *edge, row);
          break;
        case Op::decimal:
          p = read_decimal(p, end, *edge, row);
          break;
        case Op::boolean:
          p = read_boolean(p, end, *edge, row);
          break;
        case Op::other:
          p = read_other(p, end, *edge, row);
          break;
        case Op::skip:
          if (*p == edge->never) [[unlikely]] {
            // This edge's value is an object now and then, which another edge opens.
            const char* const begin = p - edge->size;
            edge = find_other(*node, begin, edge);
            if (edge == nullptr) return nullptr;
            p = begin + edge->size;
            op = edge->op;
            goto dispatch;
          }
          p = read_skipped(p, end, *edge, row);
          break;
        case Op::long_literal: {
          const char* const begin = p - edge->size;
          if (!matches(begin, *edge)) [[unlikely]] {
            edge = find_other(*node, begin, edge);
            if (edge == nullptr) return nullptr;
            p = begin + edge->size;
          }
          op = edge->value_op;
          goto dispatch;
        }
        case Op::nothing:
          return nullptr;
        default:
          __builtin_unreachable();
      }
    }
    if constexpr (!kNodesTell) {
      if ((seen & edge->bits) != 0) return nullptr;
      seen |= edge->bits;
    }
    if (p == nullptr) [[unlikely]]
      return nullptr;
    node = edge->target;
  }
}

const char* Shapes::read(const char* p, const char* end) {
  ++reads_;
  Node* const root = nodes_.data();
  const Row row = writer_.row();
  return told_apart_ ? walk<true>(root, p, end, row) : walk<false>(root, p, end, row);
}

const char* Shapes::read_rest(Node& node, const char* p, const char* end, Row row) {
  return walk<true>(&node, p, end, row);
}

template <bool kNodesTell>
bool Shapes::walk_lines(const char*& p, const char* end, std::size_t most_bytes,
                        std::size_t most_lines) {
  for (std::size_t n = 0; p < end && n < most_lines; ++n) {
    writer_.prepare_row();
    ++reads_;
    const char* const begin = p;
    const char* const behind = walk<kNodesTell>(nodes_.data(), p, end, writer_.row());
    if (behind == nullptr || static_cast<std::size_t>(behind - p) > most_bytes) return false;
    // The line's end, as nearly all have it; anything else is the plain reader's business.
    if (*behind == '\n') [[likely]] {
      p = behind + 1;
    } else if (behind == end) {
      p = end;
    } else if (*behind == '\r' && behind[1] == '\n') {
      p = behind + 2;
    } else {
      return false;
    }
    writer_.commit(begin, behind);
  }
  return true;
}

const char* Shapes::read_lines(const char* p, const char* end, std::size_t most_bytes) {
  if (!told_apart_) {
    walk_lines<false>(p, end, most_bytes, SIZE_MAX);
    return p;
  }
  while (p < end) {
    const std::size_t singly = lines_singly_;
    lines_singly_ = 0;
    if (singly != 0 && !walk_lines<true>(p, end, most_bytes, singly)) {
      lines_singly_ = singly;
      return p;
    }
    if (p < end && !read_together(p, end, most_bytes)) return p;
  }
  return end;
}

}  // namespace streamobs::decode
