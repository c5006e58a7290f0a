// How columns come and go: aliasing, constants, dictionaries that grow or are replaced, shared
// parts, buffers used again, limits.
#include "expr/fixture.h"
#include "expr/kernels.h"
#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::expr;
using namespace streamobs::expr::test;

namespace {

struct Compiled {
  std::shared_ptr<const Program> program;
  explicit Compiled(const Scope& scope, const std::vector<std::string>& texts) {
    ProgramBuilder builder(scope);
    for (const std::string& text : texts) {
      Diagnostics diagnostics;
      const SourceText source(text);
      const auto added = builder.add(parse(source, diagnostics), source, diagnostics);
      INFO(text << "\n" << text_of(diagnostics));
      REQUIRE(added.has_value());
    }
    program = builder.build();
  }
};

Scope text_scope() {
  Scope scope;
  scope.add_column("s", {Kind::string, 0});
  scope.add_column("i", {Kind::integer, 0});
  return scope;
}

/// A dictionary column over ids, looking into arrays that the caller keeps.
ColumnView ids_view(const Dictionary& dictionary, const std::vector<Dictionary::Id>& ids,
                    const std::vector<std::uint8_t>& nulls = {}) {
  ColumnView view;
  view.type = {Kind::string, 0};
  view.dictionary = &dictionary;
  view.ids = ids.data();
  view.nulls = nulls.empty() ? nullptr : nulls.data();
  return view;
}

}  // namespace

TEST_CASE("a bare column is the input itself, a literal a constant") {
  const Scope scope = text_scope();
  const Compiled c(scope, {"i", "s", "'x'", "1 + 2", "now()", "null"});
  std::vector<std::int64_t> ints = {1, 2, 3};
  std::vector<std::string_view> strings = {"a", "b", "c"};
  std::vector<ColumnView> in(2);
  in[0].type = {Kind::string, 0};
  in[0].strings = strings.data();
  in[1].type = {Kind::integer, 0};
  in[1].ints = ints.data();
  Evaluator evaluator(c.program);
  evaluator.run(in, 3, kNow);
  CHECK(evaluator.output(0).ints == ints.data());
  CHECK(evaluator.output(1).strings == strings.data());
  CHECK(evaluator.output(2).constant);
  CHECK(evaluator.output(2).string_at(2) == "x");
  CHECK(evaluator.output(3).constant);
  CHECK(evaluator.output(3).int_at(1) == 3);
  CHECK(evaluator.output(4).int_at(0) == kNow);
  CHECK(evaluator.output(5).is_null(0));
  CHECK(c.program->inputs_used() == std::vector<std::size_t>{0, 1});
  CHECK(Compiled(scope, {"i + 1"}).program->inputs_used() == std::vector<std::size_t>{1});
  CHECK(Compiled(scope, {"1 + 1"}).program->inputs_used().empty());
}

TEST_CASE("a dictionary that grows between runs") {
  const Compiled c(text_scope(), {"s = 'b'", "upper(s)", "length(s)", "s in ('a', 'c')",
                                  "coalesce(s, 'none')", "s like '%b%' and i > 1"});
  Evaluator evaluator(c.program);
  Dictionary dictionary;
  std::vector<std::int64_t> ints(6, 2);
  std::vector<Dictionary::Id> ids;
  std::vector<std::uint8_t> nulls = {0, 1, 0, 0, 1, 0};
  std::vector<std::string> texts;
  for (int round = 0; round < 4; ++round) {
    ids.clear();
    texts.clear();
    for (std::size_t i = 0; i < 6; ++i) {
      const std::string text(1, static_cast<char>('a' + (static_cast<int>(i) + round * 2) % 9));
      texts.push_back(text);
      ids.push_back(nulls[i] != 0 ? 0 : dictionary.intern(text));
    }
    std::vector<ColumnView> in = {ids_view(dictionary, ids, nulls), ColumnView()};
    in[1].type = {Kind::integer, 0};
    in[1].ints = ints.data();
    evaluator.run(in, 6, kNow);
    for (std::size_t i = 0; i < 6; ++i) {
      INFO("round " << round << " row " << i);
      const bool null = nulls[i] != 0;
      for (const std::size_t output : {0, 1, 2, 3, 5}) {
        REQUIRE(evaluator.output(output).is_null(i) == null);
      }
      CHECK(evaluator.output(4).string_at(i) == (null ? "none" : texts[i]));
      if (null) continue;
      CHECK(evaluator.output(0).bool_at(i) == (texts[i] == "b"));
      CHECK(evaluator.output(1).string_at(i)[0] == texts[i][0] - 32);
      CHECK(evaluator.output(2).int_at(i) == 1);
      CHECK(evaluator.output(3).bool_at(i) == (texts[i] == "a" || texts[i] == "c"));
      CHECK(evaluator.output(5).bool_at(i) == (texts[i] == "b"));
    }
    // Texts made from dictionary texts are dictionary texts: a group by them stays cheap.
    CHECK(evaluator.output(1).dictionary != nullptr);
    CHECK(evaluator.output(4).dictionary != nullptr);
  }
}

TEST_CASE("many dictionaries, one after another at the same address") {
  const Compiled c(text_scope(), {"lower(s) = 'x'", "s || '!'"});
  Evaluator evaluator(c.program);
  std::vector<ColumnView> in(2);
  for (int round = 0; round < 50; ++round) {
    auto dictionary = std::make_unique<Dictionary>();
    const std::string text = round % 3 == 0 ? "X" : "y" + std::to_string(round);
    const std::vector<Dictionary::Id> ids = {dictionary->intern(text)};
    in[0] = ids_view(*dictionary, ids);
    evaluator.run(in, 1, kNow);
    REQUIRE(evaluator.output(0).bool_at(0) == (round % 3 == 0));
    REQUIRE(evaluator.output(1).string_at(0) == text + "!");
  }
}

TEST_CASE("an all-NULL column with an empty dictionary") {
  const Compiled c(text_scope(),
                   {"s = 'a'", "lower(s)", "s is null", "coalesce(s, '?')", "s || s"});
  Evaluator evaluator(c.program);
  Dictionary dictionary;
  const std::vector<Dictionary::Id> ids(4, 0);
  const std::vector<std::uint8_t> nulls(4, 1);
  std::vector<ColumnView> in = {ids_view(dictionary, ids, nulls), ColumnView()};
  evaluator.run(in, 4, kNow);
  CHECK(evaluator.output(0).is_null(3));
  CHECK(evaluator.output(1).is_null(3));
  CHECK(evaluator.output(2).bool_at(3));
  CHECK(evaluator.output(3).string_at(3) == "?");
  CHECK(evaluator.output(4).is_null(0));
}

TEST_CASE("derived texts that fit no dictionary are made row by row") {
  // 100 entries of 50 kB each: more than a dictionary holds.
  Dictionary dictionary;
  std::vector<Dictionary::Id> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(dictionary.intern("k" + std::to_string(i)));
  const std::string padding(50'000, 'p');
  const Compiled c(text_scope(), {"s || '" + padding + "'", "upper(s) = 'K7'"});
  Evaluator evaluator(c.program);
  std::vector<ColumnView> in = {ids_view(dictionary, ids), ColumnView()};
  for (int round = 0; round < 3; ++round) {
    evaluator.run(in, ids.size(), kNow);
    CHECK(evaluator.output(0).dictionary == nullptr);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      REQUIRE(evaluator.output(0).string_at(i) == "k" + std::to_string(i) + padding);
      REQUIRE(evaluator.output(1).bool_at(i) == (i == 7));
    }
  }
}

TEST_CASE("texts are bounded: longer ones are NULL and counted") {
  Scope scope = text_scope();
  std::vector<std::string> names = {"s"};
  Diagnostics diagnostics;
  for (int i = 0; i < 40; ++i) {
    const std::string text = names.back() + " || " + names.back();
    names.push_back("d" + std::to_string(i));
    scope.add_definition(names.back(), parse(text, diagnostics), text);
  }
  const Compiled c(scope, {names.back(), "d3"});
  Evaluator evaluator(c.program);
  std::vector<std::string_view> strings(1000, "0123456789");
  std::vector<ColumnView> in(2);
  in[0].type = {Kind::string, 0};
  in[0].strings = strings.data();
  evaluator.run(in, strings.size(), kNow);
  CHECK(evaluator.output(0).is_null(0));
  CHECK(evaluator.output(0).is_null(999));
  CHECK(evaluator.output(1).string_at(999).size() == 160);
  CHECK(evaluator.overflows() > 0);
}

TEST_CASE("outputs of one program do not disturb each other") {
  Scope scope = text_scope();
  std::vector<std::string> texts;
  for (int i = 0; i < 60; ++i) {
    const std::string n = std::to_string(i);
    texts.push_back("(i + " + n + ") * 2 - (i + " + n + ") + length(s || '" + n + "')");
    texts.push_back("case when (i + " + n + ") % 2 = 0 then s || '" + n + "' else lower(s) end");
  }
  const Compiled c(scope, texts);
  Evaluator evaluator(c.program);
  Table table;
  std::vector<Value> strings;
  std::vector<Value> ints;
  for (int i = 0; i < 1024; ++i) {
    strings.push_back(Value::of_string("S" + std::to_string(i % 17)));
    ints.push_back(Value::of_int(i));
  }
  for (const bool dictionary : {false, true}) {
    Table t;
    t.add("s", {Kind::string, 0}, strings, dictionary);
    t.add("i", {Kind::integer, 0}, ints);
    evaluator.run(t.views(), 1024, kNow);
    for (int i = 0; i < 60; ++i) {
      const auto output = static_cast<std::size_t>(i);
      for (int row = 0; row < 1024; ++row) {
        const auto r = static_cast<std::size_t>(row);
        const std::string n = std::to_string(i);
        const std::string& s = strings[r].text;
        REQUIRE(evaluator.output(2 * output).int_at(r) ==
                row + i + static_cast<std::int64_t>(s.size() + n.size()));
        std::string expected = s;
        if ((row + i) % 2 == 0) {
          expected += n;
        } else {
          expected[0] = 's';
        }
        REQUIRE(evaluator.output(2 * output + 1).string_at(r) == expected);
      }
    }
  }
}

TEST_CASE("slices of a longer batch give what one row at a time gives") {
  Table table;
  std::vector<Value> ints;
  std::vector<Value> strings;
  for (int i = 0; i < 3000; ++i) {
    ints.push_back(i % 7 == 0 ? Value::of_null({Kind::integer, 0}) : Value::of_int(i));
    strings.push_back(i % 11 == 0 ? Value::of_null({Kind::string, 0})
                                  : Value::of_string("k" + std::to_string(i % 700)));
  }
  table.add("s", {Kind::string, 0}, strings, true);
  table.add("i", {Kind::integer, 0}, ints);
  const Compiled c(table.scope(), {"i * 2 + length(s)", "upper(s) || i"});
  Evaluator evaluator(c.program);
  Evaluator by_row(c.program);
  const std::vector<ColumnView> views = table.views();
  for (std::size_t begin = 0; begin < 3000; begin += Evaluator::kMaxRows) {
    const std::size_t rows = std::min<std::size_t>(Evaluator::kMaxRows, 3000 - begin);
    std::vector<ColumnView> sliced;
    for (const ColumnView& view : views) sliced.push_back(view.slice(begin));
    evaluator.run(sliced, rows, kNow);
    for (std::size_t i = 0; i < rows; i += 13) {
      std::vector<ColumnView> single;
      for (const ColumnView& view : views) single.push_back(view.slice(begin + i));
      by_row.run(single, 1, kNow);
      for (const std::size_t output : {0, 1}) {
        REQUIRE(Value::from(evaluator.output(output), i) == Value::from(by_row.output(output), 0));
      }
    }
  }
  evaluator.run(views, 0, kNow);
}

TEST_CASE("hostile map texts are walked without harm") {
  Scope scope;
  scope.add_column("m", {Kind::map, 0});
  const Compiled c(scope, {"m['k']", "m['']"});
  Evaluator evaluator(c.program);
  const std::string_view maps[] = {"",
                                   "{",
                                   "}",
                                   "{\"",
                                   "{\"k",
                                   "{\"k\"",
                                   "{\"k\":",
                                   "{\"k\":\"",
                                   "[]",
                                   "{}",
                                   "null",
                                   "{\"k\\",
                                   "{\"k\":\"\\",
                                   "{\"k\":\"\\u",
                                   "{\"k\":\"\\u1\"",
                                   "{\"k\":}",
                                   "{\"k\":[[[",
                                   "{\"\\u006b\":1}",
                                   "{\"k\":\"\\ud83d\"}",
                                   "{,,,",
                                   "{\"\":\"x\"}"};
  std::vector<ColumnView> in(1);
  for (const std::string_view& map : maps) {
    // On the heap and exactly as long as it is, so that a sanitizer sees a step too far.
    const std::vector<char> bytes(map.begin(), map.end());
    const std::string_view exact(bytes.data(), bytes.size());
    in[0].type = {Kind::map, 0};
    in[0].strings = &exact;
    evaluator.run(in, 1, kNow);
    INFO(map);
    const std::string got = shown(Value::from(evaluator.output(0), 0));
    if (map == "{\"\\u006b\":1}") CHECK(got == "'1'");
    if (map == "{\"k\":\"\\ud83d\"}") CHECK(got == "'\xef\xbf\xbd'");
    if (map == "{}") CHECK(got == "NULL");
    if (map == "{\"\":\"x\"}") CHECK(evaluator.output(1).string_at(0) == "x");
  }
}

TEST_CASE("equal parts are computed once") {
  Scope scope = text_scope();
  const Compiled shared(scope, {"i + 1", "(i + 1) * 2", "2 * (i + 1) / (i + 1)"});
  Evaluator evaluator(shared.program);
  std::vector<std::int64_t> ints = {INT64_MAX};
  std::vector<ColumnView> in(2);
  in[1].type = {Kind::integer, 0};
  in[1].ints = ints.data();
  evaluator.run(in, 1, kNow);
  // One step overflows, however often it is written.
  CHECK(evaluator.overflows() == 1);
}
