#include "window/template_column.h"

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace streamobs;
using namespace streamobs::window;

namespace {

StreamSchema schema() {
  StreamSchema s;
  s.stream = "logs";
  s.fields.resize(2);
  s.fields[0].name = "level";
  s.fields[0].type = {Kind::string, 0};
  s.fields[1].name = "message";
  s.fields[1].type = {Kind::string, 0};
  return s;
}

struct Row {
  Timestamp time = 0;
  std::string message;
  bool null = false;
  bool excluded = false;
};

/// A batch of plain strings, which `rows` keeps alive.
void fill(EventBatch& batch, const std::vector<Row>& rows) {
  batch.columns.resize(2);
  batch.rows = rows.size();
  Column& messages = batch.columns[1];
  messages.type = {Kind::string, 0};
  messages.has_nulls = true;
  for (const Row& row : rows) {
    batch.time.push_back(row.time);
    messages.strings.push_back(row.message);
    messages.nulls.push_back(row.null ? 1 : 0);
    batch.excluded.push_back(row.excluded ? 1 : 0);
  }
}

/// What the columns say of each row.
std::vector<std::string> mined(TemplateColumn& column, const std::vector<Row>& rows) {
  EventBatch batch;
  fill(batch, rows);
  column.process(batch);
  REQUIRE(batch.mined.size() == 3);
  std::vector<std::string> out;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const ColumnView text = batch.mined[0].view();
    const ColumnView id = batch.mined[1].view();
    const ColumnView is_new = batch.mined[2].view();
    CHECK(text.is_null(row) == id.is_null(row));
    CHECK(text.is_null(row) == is_new.is_null(row));
    out.push_back(text.is_null(row)
                      ? "null"
                      : std::to_string(id.int_at(row)) + (is_new.bool_at(row) ? "!" : "") + " " +
                            std::string(text.string_at(row)));
  }
  return out;
}

std::string snapshot_of(const TemplateColumn& column) {
  std::string out;
  column.snapshot(out);
  return out;
}

std::vector<Row> random_rows(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random(seed);
  std::vector<Row> rows(count);
  for (Row& row : rows) {
    row.time = static_cast<Timestamp>(random() % 1000) * kSecond;
    const std::size_t words = random() % 7;
    for (std::size_t i = 0; i < words; ++i) {
      if (i != 0) row.message += ' ';
      row.message += static_cast<char>('a' + random() % 5);
      row.message += static_cast<char>('a' + random() % 3);
    }
    row.null = random() % 10 == 0;
    row.excluded = random() % 10 == 0;
  }
  return rows;
}

}  // namespace

TEST_CASE("templates stand beside the rows they belong to") {
  const StreamSchema s = schema();
  TemplateColumn column(s, {1, 100, 0});
  CHECK(mined(column, {{0, "user a signed in"},
                       {0, "never seen", true},
                       {0, "user a signed out", false, true},
                       {0, ""},
                       {0, "row 5 is locked"},
                       {0, "row 6 is locked"},
                       {0, "user a signed in"}}) ==
        std::vector<std::string>{"1! user a signed in", "null", "null", "null",
                                 "2! row <*> is locked", "2 row <*> is locked",
                                 "1 user a signed in"});
  // A text of one row stays what it was when the template loses words later.
  EventBatch first;
  const std::vector<Row> rows = {{0, "one two three four five"}, {0, "one two three four six"}};
  fill(first, rows);
  column.process(first);
  CHECK(first.mined[0].view().string_at(0) == "one two three four five");
  CHECK(first.mined[0].view().string_at(1) == "one two three four <*>");
}

TEST_CASE("templates do not depend on how events were cut into batches, nor on restarts") {
  const StreamSchema s = schema();
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const std::vector<Row> rows = random_rows(seed, 600);
    const TemplateOptions options{1, seed % 2 == 0 ? std::size_t{12} : std::size_t{1000},
                                  seed % 3 == 0 ? 500 * kSecond : 0};
    TemplateColumn whole(s, options);
    const std::vector<std::string> expected = mined(whole, rows);
    std::mt19937_64 random(seed);
    auto cut = std::make_unique<TemplateColumn>(s, options);
    std::vector<std::string> got;
    while (got.size() < rows.size()) {
      const std::size_t size = std::min<std::size_t>(random() % 50, rows.size() - got.size());
      const auto begin = rows.begin() + static_cast<std::ptrdiff_t>(got.size());
      const std::vector<Row> part(begin, begin + static_cast<std::ptrdiff_t>(size));
      for (std::string& text : mined(*cut, part)) got.push_back(std::move(text));
      if (random() % 4 != 0) continue;
      const std::string bytes = snapshot_of(*cut);
      cut = std::make_unique<TemplateColumn>(s, options);
      const auto restored = cut->restore(bytes);
      REQUIRE(restored.has_value());
      CHECK(restored->empty());
      REQUIRE(snapshot_of(*cut) == bytes);
    }
    INFO("seed " << seed);
    CHECK(got == expected);
    CHECK(snapshot_of(*cut) == snapshot_of(whole));
  }
}

TEST_CASE("more texts than a dictionary holds stay right") {
  const StreamSchema s = schema();
  TemplateColumn column(s, {1, 100'000, 0});
  std::vector<Row> rows(40'000);
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    // One word each, so that no two are alike.
    for (std::size_t n = i + 1; n > 0; n /= 26) rows[i].message += static_cast<char>('a' + n % 26);
  }
  EventBatch batch;
  fill(batch, rows);
  column.process(batch);
  const ColumnView texts = batch.mined[0].view();
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string_view text = texts.string_at(i);
    wrong += text == rows[i].message || text == "<*>" ? 0 : 1;
  }
  CHECK(wrong == 0);
  std::vector<Row> many;
  for (std::size_t i = 0; i < 20'000; ++i) {
    std::string words;
    for (std::size_t n = i + 26; n > 0; n /= 26)
      words += std::string(" ") + static_cast<char>('a' + n % 26);
    many.push_back({0, "same start" + words + words + words});
  }
  for (int round = 0; round < 3; ++round) {
    EventBatch next;
    fill(next, many);
    column.process(next);
    for (std::size_t i = 0; i < many.size(); i += 97) {
      CHECK(next.mined[0].view().string_at(i).starts_with("same start"));
    }
  }
}

TEST_CASE("nothing is new while a stream is learnt") {
  const StreamSchema s = schema();
  TemplateColumn column(s, {1, 100, kMinute});
  CHECK(mined(column, {{10 * kSecond, "one"},
                       {69 * kSecond, "two"},
                       {70 * kSecond, "three"},
                       {71 * kSecond, "three"},
                       {5 * kSecond, "four"}}) ==
        std::vector<std::string>{"1 one", "2 two", "3! three", "3 three", "4 four"});
}

TEST_CASE("templates of another field or stream are not taken over") {
  const StreamSchema s = schema();
  TemplateColumn column(s, {1, 100, 0});
  mined(column, {{0, "something"}});
  const std::string bytes = snapshot_of(column);
  TemplateColumn of_level(s, {0, 100, 0});
  const auto altered = of_level.restore(bytes);
  REQUIRE(altered.has_value());
  CHECK(*altered == "message");
  CHECK(of_level.miner().templates() == 0);
  StreamSchema other = schema();
  other.stream = "others";
  TemplateColumn elsewhere(other, {1, 100, 0});
  CHECK(elsewhere.restore(bytes).has_error());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    TemplateColumn fresh(s, {1, 100, 0});
    CHECK(fresh.restore(bytes.substr(0, size)).has_error());
  }
}
