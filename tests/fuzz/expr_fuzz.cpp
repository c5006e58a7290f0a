// Any text as an expression: parsed, put into normal form, compiled against a scope and run over
// small columns in two shapes, which must agree; the whole, and each part of it besides, so that
// what goes wrong within is seen although the rest of the expression may hide it.
//
// Half of the mutations work on tokens: another operand, function or operator in the place of one,
// or a call around it. Bytes alone hardly ever make well-typed calls with odd arguments.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "event/value.h"
#include "expr/program.h"

namespace {

using namespace streamobs;

constexpr std::size_t kRows = 5;

struct Columns {
  Columns() {
    scope.add_column("i", {Kind::integer, 0});
    scope.add_column("f", {Kind::floating, 0});
    scope.add_column("d", {Kind::decimal, 2});
    scope.add_column("s", {Kind::string, 0});
    scope.add_column("t", {Kind::timestamp, 0});
    scope.add_column("b", {Kind::boolean, 0});
    scope.add_column("m", {Kind::map, 0});
    scope.add_column("a.b", {Kind::string, 0});
    Diagnostics diagnostics;
    const SourceText derived("upper(s) || i");
    scope.add_definition("derived", expr::parse(derived, diagnostics), derived);
    for (std::size_t i = 0; i < kRows; ++i) {
      ids.push_back(strings_dictionary.intern(strings[i]));
      map_ids.push_back(maps_dictionary.intern(maps[i]));
    }
  }

  std::vector<ColumnView> views(bool dictionary) const {
    std::vector<ColumnView> out;
    for (const expr::Scope::Column& column : scope.columns()) {
      ColumnView view;
      view.type = column.type;
      view.nulls = nulls;
      view.ints = ints;
      view.floats = floats;
      view.bools = bools;
      if (is_text(column.type.kind)) {
        const bool map = column.type.kind == Kind::map;
        view.strings = map ? maps : strings;
        if (dictionary) {
          view.strings = nullptr;
          view.dictionary = map ? &maps_dictionary : &strings_dictionary;
          view.ids = map ? map_ids.data() : ids.data();
        }
      }
      out.push_back(view);
    }
    return out;
  }

  const std::uint8_t nulls[kRows] = {0, 0, 1, 0, 0};
  const std::int64_t ints[kRows] = {0, -7, 0, INT64_MAX, INT64_MIN};
  const double floats[kRows] = {0, -2.5, 0, 1.7976931348623157e308, 5e-324};
  const std::uint8_t bools[kRows] = {0, 1, 0, 1, 0};
  const std::string_view strings[kRows] = {"", "Hello, W\xc3\xb6rld", "", "42", "%a_b\\"};
  const std::string_view maps[kRows] = {"{}", "{\"k\":\"v\\n\",\"n\":1}", "", "{\"k\":[1,{}]}",
                                        "{\"k\":null}"};
  Dictionary strings_dictionary;
  Dictionary maps_dictionary;
  std::vector<Dictionary::Id> ids;
  std::vector<Dictionary::Id> map_ids;
  expr::Scope scope;
};

constexpr std::string_view kOperands[] = {"i",
                                          "f",
                                          "d",
                                          "s",
                                          "t",
                                          "b",
                                          "m",
                                          "\"a.b\"",
                                          "derived",
                                          "now()",
                                          "null",
                                          "true",
                                          "0",
                                          "1",
                                          "-1",
                                          "9223372036854775807",
                                          "(-9223372036854775807-1)",
                                          "0.5",
                                          "1e308",
                                          "5e-324",
                                          "''",
                                          "'l'",
                                          "'%a_'",
                                          "'42'",
                                          "'2024-01-09'",
                                          "interval '1h'",
                                          "m['k']",
                                          "'\xc3\xb6'"};
constexpr std::string_view kFunctions[] = {"abs",          "approx_count_distinct",
                                           "btrim",        "ceil",
                                           "ceiling",      "char_length",
                                           "coalesce",     "concat",
                                           "contains",     "date_part",
                                           "date_trunc",   "exp",
                                           "extract",      "floor",
                                           "greatest",     "if",
                                           "ifnull",       "iif",
                                           "instr",        "isnull",
                                           "lcase",        "least",
                                           "left",         "len",
                                           "length",       "ln",
                                           "log",          "log10",
                                           "lower",        "ltrim",
                                           "mean",         "mod",
                                           "now",          "nullif",
                                           "nvl",          "octet_length",
                                           "p50",          "p95",
                                           "p99",          "pow",
                                           "power",        "replace",
                                           "right",        "round",
                                           "rtrim",        "sign",
                                           "split_part",   "sqrt",
                                           "starts_with",  "strpos",
                                           "substr",       "substring",
                                           "to_timestamp", "tolower",
                                           "toupper",      "trunc",
                                           "truncate",     "ucase",
                                           "upper"};
constexpr std::string_view kOperators[] = {"+",
                                           "-",
                                           "*",
                                           "/",
                                           "%",
                                           "||",
                                           "=",
                                           "<>",
                                           "<=",
                                           ">=",
                                           "<",
                                           ">",
                                           "and",
                                           "or",
                                           "like",
                                           "::int",
                                           "in",
                                           "is distinct from",
                                           "::decimal(2)",
                                           "::float"};

/// A piece of the text that stands for one thing, as far as a mutation cares.
struct Piece {
  std::size_t begin = 0;
  std::size_t end = 0;
  enum class Kind { operand, function, other } kind = Kind::other;
};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
}

std::vector<Piece> pieces_of(std::string_view text) {
  std::vector<Piece> pieces;
  for (std::size_t at = 0; at < text.size();) {
    Piece piece;
    piece.begin = at;
    const char c = text[at++];
    if (is_word(c)) {
      while (at < text.size() && is_word(text[at])) ++at;
      piece.kind =
          at < text.size() && text[at] == '(' ? Piece::Kind::function : Piece::Kind::operand;
    } else if (c == '\'' || c == '"') {
      at = std::min(text.find(c, at), text.size() - 1) + 1;
      piece.kind = Piece::Kind::operand;
    }
    piece.end = at;
    if (c != ' ') pieces.push_back(piece);
  }
  return pieces;
}

template <std::size_t kCount>
std::string any_of(const std::string_view (&choices)[kCount], std::minstd_rand& random) {
  return std::string(choices[random() % kCount]);
}

std::string mutate_piece(const std::string& text, std::minstd_rand& random) {
  const std::vector<Piece> pieces = pieces_of(text);
  if (pieces.empty()) return any_of(kOperands, random);
  const Piece piece = pieces[random() % pieces.size()];
  const std::string old = text.substr(piece.begin, piece.end - piece.begin);
  std::string fresh;
  if (piece.kind == Piece::Kind::function) {
    fresh = any_of(kFunctions, random);
  } else if (piece.kind == Piece::Kind::other) {
    fresh = random() % 2 == 0 ? any_of(kOperators, random) : ", " + any_of(kOperands, random);
  } else if (random() % 3 != 0) {
    fresh = any_of(kOperands, random);
  } else {
    fresh = any_of(kFunctions, random) + "(" + old;
    for (std::size_t more = random() % 3; more > 0; --more) {
      fresh += ", " + any_of(kOperands, random);
    }
    fresh += ")";
  }
  return text.substr(0, piece.begin) + fresh + text.substr(piece.end);
}

constexpr std::size_t kPartsMax = 64;

/// Runs the program over both shapes of the columns.
void check(const std::shared_ptr<const expr::Program>& program, const Columns& columns) {
  constexpr Timestamp kNow = 1'704'803'696'500'000;
  expr::Evaluator plain(program);
  plain.run(columns.views(false), kRows, kNow);
  expr::Evaluator by_entry(program);
  by_entry.run(columns.views(true), kRows, kNow);
  for (std::size_t output = 0; output < program->outputs(); ++output) {
    for (std::size_t row = 0; row < kRows; ++row) {
      const Value a = Value::from(plain.output(output), row);
      const Value b = Value::from(by_entry.output(output), row);
      if (!(a == b)) std::abort();
      const bool real = !a.null && a.type.kind == Kind::floating;
      if (real && !(a.floating - a.floating == 0)) std::abort();  // NaN or infinite.
    }
  }
}

/// A program of all parts of the expression, the whole among them; null where a part by itself is
/// not an expression.
std::shared_ptr<const expr::Program> program_of_parts(const expr::NodePtr& node,
                                                      const SourceText& source,
                                                      const expr::Scope& scope) {
  std::vector<expr::NodePtr> parts;
  (void)expr::rewrite(node, [&parts](const expr::NodePtr& part) {
    if (parts.size() < kPartsMax) parts.push_back(part);
    return expr::NodePtr();
  });
  expr::ProgramBuilder builder(scope);
  Diagnostics diagnostics;
  for (const expr::NodePtr& part : parts) {
    if (!builder.add(part, source, diagnostics)) return nullptr;
  }
  return builder.build();
}

}  // namespace

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t size_max, unsigned seed) {
  std::minstd_rand random(seed);
  if (random() % 2 == 0) return LLVMFuzzerMutate(data, size, size_max);
  std::string text(reinterpret_cast<const char*>(data), size);
  for (std::size_t times = 1 + random() % 3; times > 0; --times) text = mutate_piece(text, random);
  text.resize(std::min(text.size(), size_max));
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Columns columns;
  const SourceText source(std::string(reinterpret_cast<const char*>(data), size),
                          {"fuzz.toml", 3, 7});
  Diagnostics diagnostics;
  const expr::NodePtr node = expr::parse(source, diagnostics);
  if (node == nullptr) {
    if (diagnostics.size() != 1 || diagnostics[0].excerpt.empty()) std::abort();
    return 0;
  }
  expr::walk(node, [&](const expr::Node& part) {
    if (part.span.begin > part.span.end || part.span.end > size) std::abort();
  });
  expr::to_sql(*node);

  expr::ProgramBuilder builder(columns.scope);
  if (!builder.add(node, source, diagnostics)) {
    if (diagnostics.empty()) std::abort();
    return 0;
  }
  check(builder.build(), columns);
  if (const auto parts = program_of_parts(node, source, columns.scope)) check(parts, columns);
  return 0;
}
