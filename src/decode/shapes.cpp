#include "decode/shapes.h"

#include <bit>
#include <cstring>

#include "base/decimal.h"
#include "base/short_text.h"
#include "decode/number_text.h"
#include "decode/text_scan.h"

namespace streamobs::decode {

namespace {

constexpr std::uint8_t kWatched = 200;  // Values of one length, until that is believed.
constexpr unsigned kFewDigits = 6;      // So many that scan_few_digits() sees where they end.
constexpr std::int64_t kPowers[] = {1,       10,        100,        1'000,      10'000,
                                    100'000, 1'000'000, 10'000'000, 100'000'000};

std::uint32_t load_4(const char* p) {
  std::uint32_t word;
  std::memcpy(&word, p, sizeof word);
  return word;
}

bool is_null(const char* p) {
  return load_4(p) == load_4("null");
}

/// A number goes on here in a way that the short ways do not read.
bool goes_on(char c) {
  return c == '.' || c == 'e' || c == 'E';
}

}  // namespace

Shapes::Shapes(const StreamSchema& schema, const FieldIndex& index, TimeParser& times,
               JsonReader& json, RowReader& rows, BatchWriter& writer)
    : schema_(schema),
      index_(index),
      times_(times),
      json_(json),
      rows_(rows),
      writer_(writer),
      possible_(index.columns() < 64) {
  column_bits_ = possible_ ? (std::uint64_t{1} << index.columns()) - 1 : 0;
  std::memset(nothing_.literal, 0xff, sizeof nothing_.literal);
  nothing_.ignore = 0xffff0000;
  nothing_.op = Op::nothing;
  nodes_.reserve(kMaxNodes);
  edges_.reserve(kMaxEdges);
  clear();
}

void Shapes::clear() {
  nodes_.clear();
  edges_.clear();
  node_of_.clear();
  path_ids_.clear();
  bits_.clear();
  nodes_.push_back({&nothing_, nullptr, {}});
  full_ = false;
  cleared_at_ = reads_;
}

// ---------------------------------------------------------------------------------------------
// Reading

inline bool Shapes::matches(const char* p, const Edge& edge) {
  return equal_16(p, edge.literal, edge.ignore) &&
         (edge.size <= 16 || std::memcmp(p + 16, edge.literal + 16, edge.size - 16) == 0);
}

/// An edge that matches, other than `except`; it becomes the first to be tried.
Shapes::Edge* Shapes::find_other(Node& node, const char* p, const Edge* except) const {
  Edge* const likely = node.by_word[slot_of(p)];
  if (likely != nullptr && likely != except && matches(p, *likely)) {
    node.first = likely;
    return likely;
  }
  for (Edge* edge = node.edges; edge != nullptr; edge = edge->next) {
    if (edge == except || !matches(p, *edge)) continue;
    node.first = edge;
    return edge;
  }
  return nullptr;
}

/// Where an edge whose literal starts with these eight bytes would be.
std::size_t Shapes::slot_of(const char* p) {
  return load_word(p) * 0x9e3779b97f4a7c15ULL >> (64 - kSlotBits);
}

/// p + size, where a value ends. Where the values of an edge have all had one length, that length
/// is compared and then used, so that the processor can guess where the next value starts instead
/// of waiting until it has found where this one ends: that wait is most of what an event costs.
inline const char* Shapes::behind_value(const char* p, std::size_t size, Edge& edge) {
  std::size_t expected = edge.expected;
  if (expected != 0) {
    if (size == expected) [[likely]] {
      asm("" : "+r"(expected));  // Or the compiler would see that it may as well use `size`.
      return p + expected;
    }
    edge.expected = 0;
  } else if (edge.watched != 0) [[unlikely]] {
    watch(edge, size);
  }
  return p + size;
}

void Shapes::watch(Edge& edge, std::size_t size) {
  if (edge.watched != kWatched && size != edge.last) {
    edge.watched = 0;
    return;
  }
  edge.last = static_cast<std::uint8_t>(size);
  --edge.watched;
  if (edge.watched == 0 && size < 256) edge.expected = edge.last;
}

inline const char* Shapes::read_time(const char* p, const char* end, const Edge& edge, Row row) {
  Timestamp time = 0;
  const char* const value_end = *p == '"' ? times_.parse_quoted(p + 1, time) : nullptr;
  if (value_end == nullptr) [[unlikely]]
    return read_other(p, end, edge);
  if (time > rows_.time_limit()) [[unlikely]]
    return nullptr;
  row.set_time(time);
  return value_end + 1;
}

inline const char* Shapes::read_text(const char* p, const char* end, Edge& edge, Row row) {
  if (*p != '"') [[unlikely]]
    return read_other(p, end, edge);
  const char* const close = scan_plain_string(p + 1);
  if (*close != '"') [[unlikely]]
    return read_unusual_text(p, end, edge, row);
  row.set_text(writer_, *edge.place, {p + 1, static_cast<std::size_t>(close - p - 1)}, true);
  return behind_value(p + 1, static_cast<std::size_t>(close - p - 1), edge) + 1;
}

/// Text beyond ASCII, or with escapes.
const char* Shapes::read_unusual_text(const char* p, const char* end, const Edge& edge, Row row) {
  bool non_ascii = false;
  const char* const close = scan_string(p + 1, non_ascii);
  if (*close != '"') return read_other(p, end, edge);
  const std::string_view text(p + 1, static_cast<std::size_t>(close - p - 1));
  if (!is_utf8(text)) return nullptr;
  row.set_text(writer_, *edge.place, text, true);
  return close + 1;
}

inline const char* Shapes::read_integer(const char* p, const char* end, Edge& edge, Row row) {
  const DigitRun run = scan_few_digits(p);
  const char* const after = p + run.count;
  // One to six digits, the first not zero, and surely nothing that makes more of the number.
  if (*p < '1' || run.count - 1 >= kFewDigits || (*after != ',' && *after != '}')) [[unlikely]] {
    return read_odd_integer(p, end, edge, row);
  }
  row.set_int(*edge.place, static_cast<std::int64_t>(run.value));
  return behind_value(p, run.count, edge);
}

/// Zero, a negative number or a long one.
const char* Shapes::read_odd_integer(const char* p, const char* end, const Edge& edge, Row row) {
  const char* const begin = p;
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const DigitRun high = scan_digits(p);
  if (high.count == 0 || (*p == '0' && high.count > 1)) return read_other(begin, end, edge);
  p += high.count;
  std::uint64_t value = high.value;
  if (high.count == 8) {
    const DigitRun low = scan_digits(p);
    if (low.count == 8) return read_other(begin, end, edge);
    p += low.count;
    value = value * static_cast<std::uint64_t>(kPowers[low.count]) + low.value;
  }
  if (goes_on(*p)) return read_other(begin, end, edge);
  const auto magnitude = static_cast<std::int64_t>(value);
  row.set_int(*edge.place, negative ? -magnitude : magnitude);
  return p;
}

inline const char* Shapes::read_floating(const char* p, const char* end, const Edge& edge,
                                         Row row) {
  const DigitRun whole = scan_few_digits(p);
  const char* after = p + whole.count;
  if (*p < '1' || whole.count - 1 >= kFewDigits) [[unlikely]] {
    return read_odd_floating(p, end, edge, row);
  }
  if (*after != '.') {
    if ((*after | 0x20) == 'e') return read_other(p, end, edge);
    row.set_float(*edge.place, static_cast<double>(static_cast<std::int64_t>(whole.value)));
    return after;
  }
  const DigitRun places = scan_few_digits(after + 1);
  after += 1 + places.count;
  if (places.count - 1 >= kFewDigits || (*after | 0x20) == 'e') [[unlikely]] {
    return read_odd_floating(p, end, edge, row);
  }
  row.set_float(
      *edge.place,
      exact_quotient(whole.value * static_cast<std::uint64_t>(kPowers[places.count]) + places.value,
                     places.count));
  return after;
}

/// Zero, a negative number or a long one: up to 8 digits before the point and 15 behind it, as long
/// as a double holds all of them.
const char* Shapes::read_odd_floating(const char* p, const char* end, const Edge& edge, Row row) {
  const char* const begin = p;
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const DigitRun whole = scan_digits(p);
  if (whole.count == 0 || (*p == '0' && whole.count > 1)) return read_other(begin, end, edge);
  p += whole.count;
  std::uint64_t digits = whole.value;
  unsigned places = 0;
  if (*p == '.') {
    const DigitRun high = scan_digits(++p);
    if (high.count == 0) return read_other(begin, end, edge);
    const DigitRun low = high.count == 8 ? scan_digits(p + 8) : DigitRun{0, 0};
    places = high.count + low.count;
    p += places;
    digits = digits * static_cast<std::uint64_t>(kPowers[high.count]) + high.value;
    // Eight digits and eight more stay below 10^16, so that nothing overflows below.
    if (low.count == 8 || (low.count != 0 && digits >= 1'000'000'000'000)) {
      return read_other(begin, end, edge);
    }
    digits = digits * static_cast<std::uint64_t>(kPowers[low.count]) + low.value;
  }
  // A ninth digit before the point, or an exponent, would stand here.
  if (is_digit(*p) || (*p | 0x20) == 'e' || digits > std::uint64_t{1} << 53) {
    return read_other(begin, end, edge);
  }
  const double value = exact_quotient(digits, places);
  row.set_float(*edge.place, negative ? -value : value);
  return p;
}

inline const char* Shapes::read_decimal(const char* p, const char* end, const Edge& edge, Row row) {
  const char* const begin = p;
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  const DigitRun whole = scan_few_digits(p);
  const char* after = p + whole.count;
  if (whole.count - 1 >= kFewDigits || (*p == '0' && whole.count > 1)) [[unlikely]] {
    return read_other(begin, end, edge);
  }
  std::int64_t value = static_cast<std::int64_t>(whole.value) * kPowers[edge.scale];
  if (*after == '.') {
    const DigitRun places = scan_few_digits(after + 1);
    if (places.count - 1 >= kFewDigits || places.count > edge.scale) [[unlikely]] {
      return read_other(begin, end, edge);
    }
    value += static_cast<std::int64_t>(places.value) * kPowers[edge.scale - places.count];
    after += 1 + places.count;
  }
  if ((*after | 0x20) == 'e') [[unlikely]]
    return read_other(begin, end, edge);
  row.set_int(*edge.place, negative ? -value : value);
  return after;
}

inline const char* Shapes::read_boolean(const char* p, const char* end, const Edge& edge, Row row) {
  const bool yes = load_4(p) == load_4("true");
  if (!yes && (load_4(p) != load_4("fals") || p[4] != 'e')) return read_other(p, end, edge);
  row.set_bool(*edge.place, yes);
  return p + (yes ? 4 : 5);
}

/// Null, or a value that none of the short ways takes: as the plain reader would.
const char* Shapes::read_other(const char* p, const char* end, const Edge& edge) {
  if (is_null(p)) {
    if (schema_.fields[edge.column].required) return nullptr;
    writer_.set_null(edge.column);
    return p + 4;
  }
  Token token;
  p = read_plainly(p, end, edge, token);
  return p != nullptr && rows_.read_value(edge.column, token) ? p : nullptr;
}

inline const char* Shapes::skip_value(const char* p, const char* end, const Edge& edge) {
  if (*p == '"') {
    const char* const close = scan_plain_string(p + 1);
    if (*close == '"') return close + 1;
  } else if (is_digit(*p)) {
    return scan_json_number(p, end);
  }
  Token token;
  return read_plainly(p, end, edge, token);
}

/// A value that may go on over the end of the line, where the plain reader would have to stop, is
/// left to that.
const char* Shapes::read_plainly(const char* p, const char* end, const Edge& edge, Token& token) {
  p = json_.read_value(p, end, edge.depth, token);
  if (p == nullptr || token.kind == Token::Kind::string) return p;
  return token.text.find('\n') == std::string_view::npos ? p : nullptr;
}

/// Columns whose keys the event does not have.
bool Shapes::set_absent(std::uint64_t absent) {
  for (; absent != 0; absent &= absent - 1) {
    const auto column = static_cast<std::size_t>(std::countr_zero(absent));
    if (schema_.fields[column].required) return false;
    writer_.set_null(column);
  }
  return true;
}

template <bool kNodesTell>
[[gnu::always_inline]] inline const char* Shapes::walk(const char* p, const char* end, Row row) {
  std::uint64_t seen = 0;
  Node* node = nodes_.data();
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
      return absent == 0 || set_absent(absent) ? p : nullptr;
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
          p = read_other(p, end, *edge);
          break;
        case Op::skip:
          if (*p == edge->never) [[unlikely]] {
            // This edge's value is an object now and then, which another edge opens.
            const char* const begin = p - edge->size;
            edge = find_other(*node, begin, edge);
            if (edge == nullptr || begin[edge->size] == edge->never) return nullptr;
            p = begin + edge->size;
            op = edge->op;
            goto dispatch;
          }
          p = skip_value(p, end, *edge);
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
  const Row row = writer_.row();
  return told_apart_ ? walk<true>(p, end, row) : walk<false>(p, end, row);
}

template <bool kNodesTell>
const char* Shapes::walk_lines(const char* p, const char* end, std::size_t most_bytes) {
  while (p < end) {
    writer_.prepare_row();
    ++reads_;
    const char* const behind = walk<kNodesTell>(p, end, writer_.row());
    if (behind == nullptr || static_cast<std::size_t>(behind - p) > most_bytes) return p;
    // The line's end, as nearly all have it; anything else is the plain reader's business.
    if (*behind == '\n') [[likely]] {
      p = behind + 1;
    } else if (behind == end) {
      p = end;
    } else if (*behind == '\r' && behind[1] == '\n') {
      p = behind + 2;
    } else {
      return p;
    }
    writer_.commit();
  }
  return end;
}

const char* Shapes::read_lines(const char* p, const char* end, std::size_t most_bytes) {
  return told_apart_ ? walk_lines<true>(p, end, most_bytes) : walk_lines<false>(p, end, most_bytes);
}

// ---------------------------------------------------------------------------------------------
// Learning

void Shapes::learn(const char* begin, const char* end) {
  if (!possible_) return;
  if (left_out_ < idle_) {
    ++left_out_;
    return;
  }
  if (full_) {
    if (reads_ - cleared_at_ < kRestEvents) return;
    clear();
  }
  left_out_ = 0;
  const std::size_t edges = edges_.size();
  steps_.clear();
  literal_ = begin;
  const bool learned = learn_object(begin, end, 1, {}, {}, 0) && insert(end);
  if (!learned && full_ && told_apart_) {
    told_apart_ = false;
    clear();
  } else if (!learned || edges_.size() == edges) {
    idle_ = idle_ < 512 ? idle_ * 2 + 1 : idle_;
  } else {
    idle_ = 0;
  }
}

/// Takes the object at `p` apart into steps; its text has been validated. False: it has something
/// that no shape can say.
bool Shapes::learn_object(const char* p, const char* end, int depth, const std::string& place,
                          const std::string& path, std::uint64_t bits) {
  for (;;) {
    const char* const key = std::strchr(p, '"') + 1;
    bool non_ascii = false;
    const char* const key_end = scan_string(key, non_ascii);
    if (*key_end != '"') return false;  // Keys with escapes are left to the plain reader.
    const std::string name(key, key_end);
    const std::string child_place = place + '\x1f' + name;
    const std::string child_path = path.empty() ? name : path + '.' + name;
    p = JsonReader::skip_space(JsonReader::skip_space(key_end + 1, end) + 1, end);

    const FieldIndex::Match match = index_.find(child_path);
    std::uint64_t bit = 0;
    if (!bit_of(child_place, match.slot, bit) || (bits & bit) != 0) return false;
    bits |= bit;
    const bool opens = match.prefix || (told_apart_ && match.slot == FieldIndex::kNone);
    if (opens && *p == '{') {
      if (match.slot != FieldIndex::kNone) return false;
      const char* const inside = JsonReader::skip_space(p + 1, end);
      if (*inside == '}') {
        p = inside + 1;  // Becomes part of the next literal.
      } else {
        if (!learn_object(p, end, depth + 1, child_place, child_path, bits)) return false;
        bits = 0;
        p = closing_;
      }
    } else {
      Step step{};
      step.literal = literal_;
      step.value = p;
      step.depth = static_cast<std::uint8_t>(depth + 1);
      step.never = opens ? '{' : '\0';
      step.bits = bits;
      step.path = path_id(child_place);
      if (!choose_op(step, match.slot)) return false;
      Token token;
      p = json_.read_value(p, end, depth + 1, token);
      if (p == nullptr) return false;
      step.value_end = p;
      steps_.push_back(step);
      literal_ = p;
      bits = 0;
    }
    p = JsonReader::skip_space(p, end);
    if (*p == '}') {
      closing_ = p + 1;
      return true;
    }
    ++p;
  }
}

bool Shapes::choose_op(Step& step, std::uint32_t slot) const {
  step.op = Op::skip;
  if (slot == FieldIndex::kNone) return true;
  const std::vector<std::uint32_t>& columns = index_.slot_columns(slot);
  if (columns.size() != 1) return false;
  step.column = columns[0];
  const DataType type = schema_.fields[step.column].type;
  const bool is_time = step.column == index_.time_column();
  step.op = Op::other;
  if (is_time) {
    if (type.kind == Kind::timestamp) step.op = Op::time;
    return true;
  }
  switch (type.kind) {
    case Kind::string:
      step.op = Op::text;
      break;
    case Kind::integer:
      step.op = Op::integer;
      break;
    case Kind::floating:
      step.op = Op::floating;
      break;
    case Kind::boolean:
      step.op = Op::boolean;
      break;
    case Kind::decimal:
      if (type.scale < std::size(kPowers)) step.op = Op::decimal;
      break;
    default:
      break;
  }
  return true;
}

std::uint32_t Shapes::path_id(const std::string& place) {
  return path_ids_.emplace(place, static_cast<std::uint32_t>(path_ids_.size())).first->second;
}

/// The bit that stands for a key; all places that one column may come from share its bit, so that
/// an event that has two of them is left to the plain reader.
bool Shapes::bit_of(const std::string& place, std::uint32_t slot, std::uint64_t& bit) {
  unsigned position = 0;
  if (slot != FieldIndex::kNone) {
    position = index_.slot_columns(slot)[0];
  } else if (const auto known = bits_.find(place); known != bits_.end()) {
    position = known->second;
  } else {
    position = static_cast<unsigned>(index_.columns() + bits_.size());
    if (position >= 64) {
      full_ = true;
      return false;
    }
    bits_.emplace(place, position);
  }
  bit = std::uint64_t{1} << position;
  return true;
}

bool Shapes::insert(const char* end) {
  Step last{};
  last.literal = literal_;
  last.value = end;
  last.op = Op::end;
  steps_.push_back(last);
  std::uint64_t seen = 0;
  for (const Step& step : steps_) {
    const std::string_view literal(step.literal,
                                   static_cast<std::size_t>(step.value - step.literal));
    if (literal.size() > kMaxLiteral || literal.find('\n') != std::string_view::npos ||
        literal.find('\r') != std::string_view::npos || (seen & step.bits) != 0) {
      return false;
    }
    seen |= step.bits;
  }
  Node* node = nodes_.data();
  seen = 0;
  for (const Step& step : steps_) {
    seen |= step.bits;
    const std::string_view literal(step.literal,
                                   static_cast<std::size_t>(step.value - step.literal));
    Edge* edge = node->edges;
    while (edge != nullptr && std::string_view(edge->literal, edge->size) != literal) {
      edge = edge->next;
    }
    if (edge == nullptr) edge = add_edge(*node, step, seen);
    if (edge == nullptr) return false;
    node = edge->target;
  }
  return true;
}

Shapes::Edge* Shapes::add_edge(Node& from, const Step& step, std::uint64_t seen) {
  Node* target = nullptr;
  if (step.op != Op::end) {
    const std::pair key(step.path, told_apart_ ? seen : 0);
    const auto known = node_of_.find(key);
    if (known == node_of_.end() && nodes_.size() == kMaxNodes) {
      full_ = true;
      return nullptr;
    }
    if (known != node_of_.end()) {
      target = known->second;
    } else {
      nodes_.push_back({&nothing_, nullptr, {}});
      target = &nodes_.back();
      node_of_.emplace(key, target);
    }
  }
  if (edges_.size() == kMaxEdges) {
    full_ = true;
    return nullptr;
  }
  Edge& edge = edges_.emplace_back();
  edge = {};
  edge.size = static_cast<std::uint16_t>(step.value - step.literal);
  std::memcpy(edge.literal, step.literal, edge.size);
  edge.ignore = edge.size >= 16 ? 0xffff0000 : ~((1u << edge.size) - 1);
  edge.value_op = step.op;
  edge.op = edge.size > 16 ? Op::long_literal : step.op;
  edge.depth = step.depth;
  edge.never = step.never;
  edge.watched = kWatched;
  edge.column = static_cast<std::uint16_t>(step.column);
  edge.bits = step.bits;
  edge.absent = column_bits_ & ~seen;
  edge.target = target;
  if (step.op != Op::end && step.op != Op::skip) {
    edge.place = &writer_.place(step.column);
    edge.scale = schema_.fields[step.column].type.scale;
  }
  edge.next = from.edges;
  from.edges = &edge;
  from.first = &edge;
  if (edge.size >= 8) from.by_word[slot_of(edge.literal)] = &edge;
  return &edge;
}

}  // namespace streamobs::decode
