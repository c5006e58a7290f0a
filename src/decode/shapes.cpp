// The graph itself, and how it learns. How it is walked is in shapes_read.cpp.
#include "decode/shapes.h"

#include <cstring>

#include "decode/text_scan.h"

namespace streamobs::decode {

Shapes::Shapes(const StreamSchema& schema, const FieldIndex& index, TimeParser& times,
               JsonReader& json, RowReader& rows, BatchWriter& writer, bool use_wide_loops)
    : schema_(schema),
      index_(index),
      times_(times),
      json_(json),
      rows_(rows),
      writer_(writer),
      possible_(index.columns() < 64),
      use_wide_loops_(use_wide_loops && wide::supported()),
      text_ids_(schema.fields.size()) {
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
      if (type.scale <= kMaxShortScale) step.op = Op::decimal;
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
  edge.literal[edge.size] = '"';
  edge.ignore = edge.size >= 16 ? 0xffff0000 : ~((1u << edge.size) - 1);
  edge.value_op = step.op;
  edge.op = edge.size > 16 ? Op::long_literal : step.op;
  edge.depth = step.depth;
  edge.never = step.never;
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
