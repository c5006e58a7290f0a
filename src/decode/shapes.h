// The short cut past the plain JSON reader: events look alike, so guess that the next one has the
// shape of one seen before, and check.
//
// A shape is the exact bytes between the values: keys, punctuation, blanks. Shapes are kept as a
// graph: a node stands behind a value (which one, and which keys have been seen so far), an edge is
// the bytes that may follow there and what kind of value comes behind them. Reading an event walks
// the graph from the root: compare the bytes of the edge taken last, else of the others; read the
// value straight into its column; go on. What does not fit anywhere is left to the plain reader,
// and the graph learns from what that accepts.
//
// Lines are walked many at a time, all of them one edge after the other: what an edge is about
// stays in registers, and no line has to wait for the end of the one before it. Where lines of
// several shapes are mixed they part at the nodes; the last few of a shape are walked one by one.
// Their order does not change by that: each has its row from the start.
//
// Why every walk is valid JSON: a node fixes which objects are open, an edge is learned between two
// nodes from a valid event, and values are checked in full, undeclared ones too. A key that comes
// twice in one event meets its own bit and ends the walk. So the shapes take nothing that the plain
// reader would refuse, and give the same values; a fuzzer holds the two against one another.
//
// Part of a decoder, on its strand. Bounded: kMaxNodes, kMaxEdges, 64 distinct keys. When it is
// full it starts anew, first with nodes that do not tell by which way they were reached (so that
// many optional fields do not multiply), and not again before kRestEvents events.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/short_text.h"
#include "decode/batch_writer.h"
#include "decode/field_index.h"
#include "decode/json_reader.h"
#include "decode/row_reader.h"
#include "decode/text_ids.h"
#include "decode/time_text.h"
#include "decode/wide_loops.h"

namespace streamobs::decode {

class Shapes {
 public:
  static constexpr std::size_t kMaxNodes = 512;
  static constexpr std::size_t kMaxEdges = 1024;
  static constexpr std::size_t kMaxLiteral = 48;
  static constexpr std::uint64_t kRestEvents = 1 << 16;
  static constexpr int kMaxShortScale = 8;  ///< Of decimals that are read the short way.

  /// All of them outlive the shapes.
  Shapes(const StreamSchema& schema, const FieldIndex& index, TimeParser& times, JsonReader& json,
         RowReader& rows, BatchWriter& writer, bool use_wide_loops);

  /// Reads the event at `p` into the writer's row, all columns of it, and returns where it ends.
  /// Null: it has no known shape, or a value that the plain reader should see; the row is then half
  /// written. `end` is the end of the block.
  const char* read(const char* p, const char* end);

  /// Reads lines into rows and commits them, as long as each is one event of a known shape with
  /// nothing around it and of at most `most_bytes`. Returns the line at which it stopped, or `end`,
  /// which is the end of the block.
  const char* read_lines(const char* p, const char* end, std::size_t most_bytes);

  /// Learns the shape of an event that the plain reader has accepted.
  void learn(const char* begin, const char* end);

 private:
  using Row = BatchWriter::Row;
  enum class Op : std::uint8_t {
    end,   ///< No value: the event ends here.
    time,  ///< The event time, where its column holds nothing else.
    text,
    integer,
    floating,
    decimal,  ///< Of a scale small enough for the short way.
    boolean,
    other,         ///< Through the plain reader: maps, times in columns of their own.
    skip,          ///< Not declared: checked and left.
    long_literal,  ///< More than the literal's first 16 bytes is to be compared; then `value_op`.
    nothing,       ///< Of nothing_.
  };
  struct Node;
  struct Edge {
    alignas(64) char literal[kMaxLiteral + 1];  ///< Behind it a quote, for texts and times.
    std::uint32_t ignore;  ///< Of the literal's first 16 bytes, those that do not count.
    std::uint16_t size;
    Op op;
    std::uint8_t depth;  ///< Of the value.
    Node* target;
    const BatchWriter::Place* place;  ///< Of the value's column.
    std::uint64_t bits;               ///< The keys in the literal.
    std::uint64_t absent;             ///< At the end: columns not seen, if nodes tell.
    Edge* next;                       ///< Another edge from the same node.
    std::uint16_t column;
    Op value_op;
    std::uint8_t scale;
    char never;  ///< The value must not start with it: '{' where another edge opens objects.
  };
  static constexpr unsigned kSlotBits = 3;
  struct Node {
    Edge* first;  ///< The one taken last, and tried first; nothing_ where there is none yet.
    Edge* edges;  ///< All of them, the newest first.
    Edge* by_word[1 << kSlotBits];  ///< Some of them, by the first eight bytes of their literals.
  };
  /// A value of the event being learned.
  struct Step {
    const char* literal;
    const char* value;
    const char* value_end;
    Op op;
    std::uint8_t depth;
    char never;
    std::size_t column;
    std::uint64_t bits;
    std::uint32_t path;
  };

  static constexpr std::size_t kMaxLines = 128;  ///< So that their text stays in the first cache.
  static constexpr std::size_t kFewLines = 6;    ///< Not worth a loop for each edge.
  static constexpr std::size_t kLinesSingly = 32;
  static constexpr std::size_t kManyLinesSingly = 4096;
  using LineIndex = std::uint16_t;
  /// Lines that are read together.
  struct Lines {
    std::size_t first_refused = 0;  ///< Those from here on are not kept.
    std::size_t walked_singly = 0;
    Row first_row;
    std::array<const char*, kMaxLines> at;  ///< How far each has been read.
    std::array<const char*, kMaxLines + 64> end;
    std::array<LineIndex, kMaxLines> order;  ///< Lines in the order of being read, by shape.
    std::array<LineIndex, kMaxLines> others;
  };

  static bool matches(const char* p, const Edge& edge);
  static bool fits(const char* p, const Edge& edge);
  static bool matches_behind(const char* p, const Edge& edge);
  /// Where in Node::by_word an edge is whose literal starts with these eight bytes.
  static std::size_t slot_of(const char* p) {
    return load_word(p) * 0x9e3779b97f4a7c15ULL >> (64 - kSlotBits);
  }
  Edge* find_other(Node& node, const char* p, const Edge* except) const;
  template <bool kNodesTell>
  const char* walk(Node* node, const char* p, const char* end, Row row);
  /// From `node` on, where nodes tell.
  const char* read_rest(Node& node, const char* p, const char* end, Row row);
  /// Reads up to `most_lines`; `p` becomes what is behind them. False: it stopped before.
  template <bool kNodesTell>
  bool walk_lines(const char*& p, const char* end, std::size_t most_bytes, std::size_t most_lines);

  bool read_together(const char*& p, const char* end, std::size_t most_bytes);
  std::size_t split_lines(const char* p, const char* end, std::size_t most_bytes);
  void follow(Node& from, LineIndex* lines, std::size_t count);
  void follow_singly(Node& node, const LineIndex* lines, std::size_t count);
  std::size_t take_matching(const Edge& edge, LineIndex* lines, std::size_t count);
  void read_values(const Edge& edge, const LineIndex* lines, std::size_t count);
  bool wide_lines(const Edge& edge, const LineIndex* lines, std::size_t count, bool quoted,
                  wide::Lines& out);
  template <class ReadWide>
  void read_widely(const Edge& edge, const wide::Lines& lines, ReadWide read_wide);
  template <class Prepare>
  void read_each(const Edge& edge, const LineIndex* lines, std::size_t count, Prepare prepare);
  void read_times(const Edge& edge, const LineIndex* lines, std::size_t count);
  void read_texts(const Edge& edge, const LineIndex* lines, std::size_t count);
  void read_integers(const Edge& edge, const LineIndex* lines, std::size_t count);
  void read_floats(const Edge& edge, const LineIndex* lines, std::size_t count);
  void read_skipped_texts(const Edge& edge, const LineIndex* lines, std::size_t count);
  void read_slowly(const Edge& edge, LineIndex line);
  void remember_text(const Edge& edge, const char* p, const char* behind, Row row);
  void finish(const Edge& edge, const LineIndex* lines, std::size_t count);
  bool at_end(LineIndex line, const char* p) const;
  void keep_texts(const char* p, std::size_t count, std::string_view* raw) const;
  void refuse(LineIndex line);
  const char* read_time(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_text(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_integer(const char* p, const char* end, const Edge& edge, Row row);
  static const char* read_few_digits(const char* p, std::int64_t& value);
  static const char* read_short_float(const char* p, double& value);
  const char* read_unusual_text(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_odd_floating(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_odd_integer(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_floating(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_decimal(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_boolean(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_other(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_skipped(const char* p, const char* end, const Edge& edge, Row row);
  const char* read_plainly(const char* p, const char* end, const Edge& edge, Token& token);
  bool set_absent(std::uint64_t absent, Row row);

  bool learn_object(const char* p, const char* end, int depth, const std::string& place,
                    const std::string& path, std::uint64_t bits);
  bool choose_op(Step& step, std::uint32_t slot) const;
  std::uint32_t path_id(const std::string& place);
  bool bit_of(const std::string& place, std::uint32_t slot, std::uint64_t& bit);
  bool insert(const char* end);
  Edge* add_edge(Node& from, const Step& step, std::uint64_t seen);
  void clear();

  const StreamSchema& schema_;
  const FieldIndex& index_;
  TimeParser& times_;
  JsonReader& json_;
  RowReader& rows_;
  BatchWriter& writer_;
  bool possible_ = true;           ///< False: more columns than a word has bits.
  std::uint64_t column_bits_ = 0;  ///< One for each column.
  std::uint64_t reads_ = 0;

  Edge nothing_{};           ///< The first of a node without edges: it never matches.
  std::vector<Node> nodes_;  ///< Never reallocated.
  std::vector<Edge> edges_;  ///< Never reallocated.
  std::map<std::pair<std::uint32_t, std::uint64_t>, Node*> node_of_;  ///< By path and keys seen.
  /// By a value's keys, joined by '\x1f', which no key contains.
  std::map<std::string, std::uint32_t> path_ids_;
  std::map<std::string, unsigned> bits_;  ///< Of keys that are no column's.

  bool use_wide_loops_;
  std::vector<TextIds> text_ids_;           ///< By column.
  Lines lines_;                             ///< Scratch of read_lines().
  std::size_t lines_together_ = kMaxLines;  ///< How many are read together next.
  std::size_t lines_singly_ = 0;            ///< How many come one by one before that.
  std::vector<Step> steps_;                 ///< Scratch of learn().
  const char* literal_ = nullptr;           ///< Where the next step's literal begins.
  const char* closing_ = nullptr;           ///< Behind the object that was taken apart last.
  /// Nodes know which keys have been seen, and undeclared objects are opened.
  bool told_apart_ = true;
  bool full_ = false;
  std::uint64_t cleared_at_ = 0;
  std::uint32_t idle_ = 0;  ///< How many calls to learn() are left out next, after fruitless ones.
  std::uint32_t left_out_ = 0;
};

}  // namespace streamobs::decode
