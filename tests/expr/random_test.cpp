// Random expressions over random rows, through the engine and through the reference, in every
// shape a column can come in: plain texts, dictionary ids, with and without NULLs, constants.
#include <random>

#include "expr/fixture.h"
#include "expr/reference.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::expr;
using namespace streamobs::expr::test;

namespace {

/// Writes expressions that are rightly typed, by kind.
class Generator {
 public:
  explicit Generator(std::uint32_t seed) : random_(seed) {}

  int pick(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::string one_of(const std::vector<std::string>& choices) {
    return choices[static_cast<std::size_t>(pick(static_cast<int>(choices.size())))];
  }

  std::string boolean(int depth) {
    if (depth <= 0) return one_of({"b1", "b2", "true", "false", "null", "i1 > 3", "s1 = 'ab'"});
    switch (pick(15)) {
      case 0:
        return "(" + boolean(depth - 1) + " and " + boolean(depth - 1) + ")";
      case 1:
        return boolean(depth - 1) + " or " + boolean(depth - 1);
      case 2:
        return "(not " + boolean(depth - 1) + ")";
      case 3:
      case 4:
        return "(" + number(depth - 1) + comparison() + number(depth - 1) + ")";
      case 5:
        return "(" + text(depth - 1) + comparison() + text(depth - 1) + ")";
      case 6:
        return "(" + number(depth - 1) + negation() + "in (" + number(0) + ", " + number(0) + ", " +
               number(depth - 2) + "))";
      case 7:
        return "(" + text(depth - 1) + negation() + "in ('ab', " + text(0) + ", 'B'))";
      case 8:
        return "(" + number(depth - 1) + negation() + "between " + number(depth - 1) + " and " +
               number(depth - 1) + ")";
      case 9:
        return "(" + text(depth - 1) + negation() + one_of({"like ", "ilike "}) + pattern() + ")";
      case 10:
        return "(" + number(depth - 1) + " is" + negation() + "null)";
      case 11:
        return "((" + boolean(depth - 1) + ") is" + negation() + one_of({"true)", "false)"});
      case 12:
        return "(" + number(depth - 1) + " is" + negation() + "distinct from " + number(depth - 1) +
               ")";
      case 13:
        return "(" + text(depth - 1) + " is" + negation() + "distinct from " + text(depth - 1) +
               ")";
      default:
        return "case when " + boolean(depth - 1) + " then " + boolean(depth - 1) + " else " +
               boolean(depth - 1) + " end";
    }
  }

  std::string number(int depth) {
    if (depth <= 0) {
      return one_of({"i1", "i2", "f1", "d1", "d2", "0", "1", "-3", "2.5", "0.25", "1e1", "null",
                     "9223372036854775807", "7"});
    }
    switch (pick(12)) {
      case 0:
      case 1:
        return "(" + number(depth - 1) + " + " + number(depth - 1) + ")";
      case 2:
        return "(" + number(depth - 1) + " - " + number(depth - 1) + ")";
      case 3:
        return "(" + integer() + " * " + number(depth - 1) + ")";
      case 4:
        return "(" + number(depth - 1) + " / " + number(depth - 1) + ")";
      case 5:
        return "(" + number(depth - 1) + " % " + number(depth - 1) + ")";
      case 6:
        return "(- " + number(depth - 1) + ")";
      case 7:
        return "abs(" + number(depth - 1) + ")";
      case 8:
        return one_of({"coalesce(", "greatest(", "least("}) + number(depth - 1) + ", " +
               number(depth - 1) + ", " + number(0) + ")";
      case 9:
        return "nullif(" + number(depth - 1) + ", " + number(depth - 1) + ")";
      case 10:
        return "length(" + text(depth - 1) + ")";
      default:
        return "cast(" + number(depth - 1) + " as " + one_of({"int", "float"}) + ")";
    }
  }

  std::string text(int depth) {
    if (depth <= 0) return one_of({"s1", "s2", "'ab'", "''", "'B'", "s1"});
    switch (pick(6)) {
      case 0:
        return "(" + text(depth - 1) + " || " + text(depth - 1) + ")";
      case 1:
        return one_of({"lower(", "upper("}) + text(depth - 1) + ")";
      case 2:
        return "coalesce(" + text(depth - 1) + ", " + text(depth - 1) + ")";
      case 3:
        return "case when " + boolean(depth - 1) + " then " + text(depth - 1) + " when " +
               boolean(depth - 1) + " then " + text(depth - 1) + " end";
      case 4:
        return "nullif(" + text(depth - 1) + ", " + text(depth - 1) + ")";
      default:
        return "cast(" + integer() + " as string)";
    }
  }

  std::string integer() { return one_of({"i1", "i2", "3", "-1", "length(s1)"}); }
  std::string comparison() { return one_of({" = ", " <> ", " < ", " <= ", " > ", " >= "}); }
  std::string negation() { return one_of({" ", " not "}); }
  std::string pattern() {
    return one_of(
        {"'a%'", "'%b'", "'%b%'", "'_b%'", "'ab'", "'%a%b%'", "'\\%%'", "'A_'", "s2", "'%'"});
  }

 private:
  std::mt19937 random_;
};

enum class Shape { plain, dictionary, no_nulls, constant };

std::vector<Value> random_values(DataType type, std::size_t rows, bool nulls,
                                 std::mt19937& random) {
  static const char* const kTexts[] = {"ab", "AB", "", "b", "B", "abc", "%b", "a_b", "xaxb", "zzz"};
  static constexpr std::int64_t kInts[] = {0,   1,    -1,        2,         3,   7,  10,
                                           100, -100, INT64_MAX, INT64_MIN, 250, 25, 5};
  static constexpr double kFloats[] = {0, 1, -1, 2.5, 0.25, 1e10, -3, 1e300, 7, 10};
  std::vector<Value> values;
  for (std::size_t i = 0; i < rows; ++i) {
    Value v = Value::of_null(type);
    if (!nulls || random() % 4 != 0) {
      v.null = false;
      if (type.kind == Kind::string) v.text = kTexts[random() % std::size(kTexts)];
      if (type.kind == Kind::floating) v.floating = kFloats[random() % std::size(kFloats)];
      if (is_integral(type.kind)) v.integer = kInts[random() % std::size(kInts)];
      if (type.kind == Kind::boolean) v.integer = static_cast<std::int64_t>(random() % 2);
    }
    values.push_back(v);
  }
  return values;
}

/// The same value, whatever scale or kind of number it came as.
bool same(const Value& engine, const Value& reference) {
  if (engine.null || reference.null) return engine.null == reference.null;
  if (is_text(engine.type.kind)) return engine.text == reference.text;
  if (engine.type.kind == Kind::boolean) return engine.integer == reference.integer;
  if (engine.type.kind == Kind::floating) return engine.floating == reference.as_double();
  if (reference.type.kind == Kind::floating) return false;
  const int scale = std::max(engine.type.scale, reference.type.scale);
  const auto units = [&](const Value& v) {
    return static_cast<__int128>(v.integer) * power_of_ten(scale - v.type.scale);
  };
  return units(engine) == units(reference);
}

/// The reference has dynamic types: a branch that widens to float or to a finer decimal gives other
/// results (rounding, overflow) than one that does not. True where the tree has such a branch.
bool has_mixed_branches(const NodePtr& node) {
  bool mixed = false;
  walk(node, [&](const Node& n) {
    const bool branches =
        n.op == Op::case_when ||
        (n.op == Op::call && (n.name == "coalesce" || n.name == "greatest" || n.name == "least"));
    mixed = mixed || branches;
  });
  return mixed;
}

constexpr DataType kTypes[] = {{Kind::integer, 0}, {Kind::integer, 0}, {Kind::floating, 0},
                               {Kind::decimal, 2}, {Kind::decimal, 4}, {Kind::string, 0},
                               {Kind::string, 0},  {Kind::boolean, 0}, {Kind::boolean, 0}};
const std::vector<std::string> kNames = {"i1", "i2", "f1", "d1", "d2", "s1", "s2", "b1", "b2"};

std::vector<Value> run(const Table& table, const std::shared_ptr<const Program>& program) {
  Evaluator evaluator(program);
  std::vector<Value> out;
  // Twice, so that results by dictionary entry are both made and reused.
  for (int round = 0; round < 2; ++round) {
    out.clear();
    evaluator.run(table.views(), table.rows, kNow);
    for (std::size_t i = 0; i < table.rows; ++i) {
      out.push_back(Value::from(evaluator.output(0), i));
    }
  }
  return out;
}

}  // namespace

TEST_CASE("random expressions agree with the reference and in every shape of column") {
  std::mt19937 random(20240109);
  std::size_t compared = 0;
  std::size_t with_reference = 0;
  for (std::uint32_t round = 0; round < 6000; ++round) {
    Generator generator(round);
    const int depth = 1 + static_cast<int>(round % 4);
    const std::string text = round % 3 == 0   ? generator.boolean(depth)
                             : round % 3 == 1 ? generator.number(depth)
                                              : generator.text(depth);
    const bool nulls = round % 5 != 0;
    const std::size_t rows = 1 + random() % 40;
    Table plain;
    Table dictionary;
    for (std::size_t c = 0; c < kNames.size(); ++c) {
      const auto values = random_values(kTypes[c], rows, nulls, random);
      plain.add(kNames[c], kTypes[c], values);
      dictionary.add(kNames[c], kTypes[c], values, true);
    }
    Diagnostics diagnostics;
    const auto program = compile(plain.scope(), text, diagnostics);
    INFO(round << ": " << text << "\n" << text_of(diagnostics));
    if (program == nullptr) {
      // The one mistake the generator can make.
      REQUIRE(diagnostics.at(0).message.find("digits after the point") != std::string::npos);
      continue;
    }
    const NodePtr node = parse(text, diagnostics);
    // The normal form means the same.
    REQUIRE(to_sql(*parse(to_sql(*node), diagnostics)) == to_sql(*node));
    const std::vector<Value> from_plain = run(plain, program);
    const std::vector<Value> from_dictionary = run(dictionary, program);
    REQUIRE(from_plain == from_dictionary);
    ++compared;

    const bool exact = !has_mixed_branches(node);
    if (exact) ++with_reference;
    for (std::size_t row = 0; row < rows; ++row) {
      INFO("row " << row);
      std::vector<Value> cells;
      for (const auto& column : plain.columns) {
        cells.push_back(Value::from(column->column.view(), row));
      }
      if (exact) {
        const Value expected = Reference(kNames, cells).eval(*node);
        INFO(shown(from_plain[row]) << " against " << shown(expected));
        REQUIRE(same(from_plain[row], expected));
      }
      if (row > 2) continue;
      // The row alone, as constants: no array to walk over.
      std::vector<ColumnView> views = plain.views();
      for (ColumnView& view : views) {
        view = view.slice(row);
        view.constant = true;
      }
      Evaluator evaluator(program);
      evaluator.run(views, rows, kNow);
      REQUIRE(Value::from(evaluator.output(0), rows - 1) == from_plain[row]);
    }
  }
  CHECK(compared > 5000);
  CHECK(with_reference > 2500);
}
