// The join operator against a join of another make (join_oracle.h).
#include "window/stream_join.h"

#include <algorithm>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/bytes.h"
#include "support/catch.h"
#include "window/join_oracle.h"
#include "window/support.h"

namespace {

using namespace window_test;  // NOLINT

StreamSchema schema_of(const std::string& stream, std::uint32_t id) {
  StreamSchema schema;
  schema.stream = stream;
  schema.stream_id = id;
  schema.time_field = "time";
  for (const auto& [name, kind] : {std::pair{"time", Kind::timestamp},
                                   {"key", Kind::integer},
                                   {"number", Kind::integer},
                                   {"text", Kind::string},
                                   {"wanted", Kind::boolean}}) {
    schema.fields.push_back({name, name, {kind, 0}, false, {}});
  }
  return schema;
}

/// Two streams of the same fields; joined rows have key, number and text of both.
struct Joined {
  StreamSchema left = schema_of("left", 0);
  StreamSchema right = schema_of("right", 1);
  StreamSchema schema;
  std::shared_ptr<const JoinPlan> plan;
  std::vector<std::string> source_names = {"source"};

  explicit Joined(JoinOptions options) {
    schema.stream = "joined";
    schema.stream_id = 2;
    schema.time_field = "time";
    schema.joined = true;
    schema.fields.push_back({"time", "time", {Kind::timestamp, 0}, false, {}});
    auto made = std::make_shared<JoinPlan>();
    made->schema = &schema;
    options.name = "joined";
    options.streams[0] = "left";
    options.streams[1] = "right";
    for (std::size_t side = 0; side < 2; ++side) {
      const StreamSchema& of = side == 0 ? left : right;
      const expr::Scope scope = scope_of(of);
      expr::ProgramBuilder builder(scope);
      Diagnostics none;
      JoinSidePlan& out = made->sides[side];
      for (const Field& field : of.fields) {
        builder.add(expr::parse(SourceText(field.name), none), SourceText(field.name), none);
      }
      out.filter = builder.add(expr::parse(SourceText("wanted"), none), SourceText("wanted"), none);
      out.stream_id = of.stream_id;
      out.schema = &of;
      out.program = builder.build();
      out.columns = of.fields.size();
      out.keys = {1};
      made->fields[side].resize(out.columns);
      for (const std::size_t column : {1, 2, 3}) {
        made->fields[side][column] = schema.fields.size();
        schema.fields.push_back({fmt::format("{}.{}", of.stream, of.fields[column].name),
                                 of.fields[column].name,
                                 of.fields[column].type,
                                 false,
                                 {}});
      }
    }
    made->definition = "a";
    made->options = options;
    plan = std::move(made);
  }

  StreamJoin make() const { return StreamJoin(plan, source_names); }
};

std::string text_of(std::int64_t number) {
  return fmt::format("text of {}", number);
}

EventBatch batch_of(const StreamSchema& schema, const std::vector<JoinRow>& rows, Timestamp floor,
                    Timestamp newest) {
  EventBatch batch;
  batch.schema = &schema;
  batch.rows = rows.size();
  batch.stamp.floor_time = floor;
  batch.stamp.partition_time = newest;
  batch.columns.resize(schema.fields.size());
  for (std::size_t i = 0; i < schema.fields.size(); ++i) {
    batch.columns[i].type = schema.fields[i].type;
    batch.columns[i].has_nulls = i == 1;
  }
  for (const JoinRow& row : rows) {
    batch.time.push_back(row.time);
    batch.excluded.push_back(row.excluded ? 1 : 0);
    batch.columns[0].ints.push_back(row.time);
    batch.columns[1].nulls.push_back(row.key ? 0 : 1);
    batch.columns[1].ints.push_back(row.key.value_or(0));
    batch.columns[2].ints.push_back(row.number);
    batch.columns[3].strings.push_back(batch.text.keep(text_of(row.number)));
    batch.columns[4].bools.push_back(row.filtered ? 0 : 1);
  }
  return batch;
}

/// What came out, in order: "time watermark left right" of rows, "unmatched left 7" of letters.
void describe(const Joined& joined, StreamJoin& join, std::vector<std::string>& rows,
              std::vector<std::string>& letters) {
  const std::unique_ptr<EventBatch> batch = join.take();
  if (batch == nullptr) return;
  REQUIRE(batch->schema == &joined.schema);
  for (std::size_t i = 0; i < batch->rows; ++i) {
    std::string text = fmt::format("{} {}", batch->time[i], batch->watermarks[i]);
    REQUIRE(batch->columns[0].ints[i] == batch->time[i]);
    for (const std::size_t side : {0, 1}) {
      const ColumnView number = batch->columns[2 + 3 * side].view();
      const ColumnView words = batch->columns[3 + 3 * side].view();
      if (number.is_null(i)) {
        REQUIRE(words.is_null(i));
        text += " -";
      } else {
        REQUIRE(words.string_at(i) == text_of(number.int_at(i)));
        text += fmt::format(" {}", number.int_at(i));
      }
    }
    rows.push_back(text);
  }
  for (const DeadLetter& letter : batch->dead_letters) {
    CHECK(letter.reason == "unmatched");
    CHECK(letter.window == "joined");
    const std::size_t at = letter.payload.find("\"number\":") + 9;
    letters.push_back(fmt::format("{} {}", letter.stream,
                                  letter.payload.substr(at, letter.payload.find(',', at) - at)));
  }
}

JoinOptions draw_options(std::mt19937_64& random) {
  JoinOptions options;
  options.within = static_cast<Duration>(random() % 4) * 20;
  options.hold = random() % 2 == 0 ? options.within : static_cast<Duration>(random() % 20);
  options.hold = std::min(options.hold, options.within);
  options.keep_left = random() % 2 == 0;
  options.time = static_cast<Side>(random() % 2);
  options.one_to_one = random() % 2 == 0;
  options.drop_unmatched = random() % 4 == 0;
  return options;
}

/// A history: rows of two streams of one partition each, whose times go on with leaps back, times
/// of silence, sides that stop and come back.
std::vector<JoinMoment> draw_history(std::mt19937_64& random) {
  std::vector<JoinMoment> events;
  Timestamp now = 10'000;
  Timestamp newest[2] = {kMinTimestamp, kMinTimestamp};
  Timestamp watermark[2] = {kMinTimestamp, kMinTimestamp};
  const std::uint64_t keys = 1 + random() % 30;
  const std::uint64_t jitter = 1 + random() % 60;
  for (std::int64_t number = 0; number < 120; ++number) {
    const auto side = static_cast<std::size_t>(random() % 2);
    JoinMoment event;
    event.side = static_cast<Side>(side);
    now += static_cast<Timestamp>(random() % 8);
    if (random() % 12 == 0) {
      if (random() % 3 == 0) {
        event.silence = now - static_cast<Timestamp>(random() % 60);
        events.push_back(event);
        continue;
      }
      // The stream goes silent, and the wall clock moves it; or it is over.
      event.pace = static_cast<Pace>(random() % 3);
      watermark[side] = std::max(watermark[side], now - static_cast<Timestamp>(random() % 40));
      event.watermark = watermark[side];
      events.push_back(event);
      continue;
    }
    JoinRow row;
    row.time = now - static_cast<Timestamp>(random() % jitter);
    row.number = number;
    if (random() % 20 != 0) row.key = static_cast<std::int64_t>(random() % keys);
    row.excluded = random() % 15 == 0;
    row.filtered = random() % 15 == 0;
    event.row = row;
    watermark[side] = std::max(watermark[side], newest[side]);
    event.watermark = watermark[side];
    newest[side] = std::max(newest[side], row.time);
    events.push_back(event);
  }
  for (const Side side : {Side::left, Side::right}) {
    JoinMoment end;
    end.side = side;
    end.watermark = now + 1'000;
    end.pace = Pace::over;
    events.push_back(end);
  }
  return events;
}

std::vector<std::string> rows_of(const JoinOracle& oracle) {
  std::vector<std::string> all;
  for (const JoinedRow& row : oracle.rows) {
    all.push_back(fmt::format("{} {} {} {}", row.time, row.watermark, row.left,
                              row.right ? std::to_string(*row.right) : "-"));
  }
  return all;
}

std::vector<std::string> letters_of(const JoinOracle& oracle) {
  std::vector<std::string> all;
  for (const auto& [side, number] : oracle.letters) {
    all.push_back(fmt::format("{} {}", side == Side::left ? "left" : "right", number));
  }
  return all;
}

struct Outcome {
  std::vector<std::string> rows;
  std::vector<std::string> letters;
};

/// The same history, its rows cut into batches as chance will have it, with restarts between.
Outcome run(const Joined& joined, const std::vector<JoinMoment>& events, std::mt19937_64& random,
            bool single) {
  auto join = std::make_unique<StreamJoin>(joined.plan, joined.source_names);
  Outcome outcome;
  Timestamp newest[2] = {kMinTimestamp, kMinTimestamp};
  Timestamp floor[2] = {kMinTimestamp, kMinTimestamp};
  for (std::size_t i = 0; i < events.size();) {
    const Side side = events[i].side;
    const auto s = static_cast<std::size_t>(side);
    if (!events[i].row) {
      const JoinMoment& moment = events[i++];
      floor[s] = std::max(floor[s], moment.watermark);
      if (moment.silence) {
        join->pass_over_silence(*moment.silence);
      } else {
        join->tell(side, floor[s], moment.pace);
      }
    } else {
      std::vector<JoinRow> rows;
      Timestamp after = newest[s];
      do {
        rows.push_back(*events[i].row);
        after = std::max(after, events[i].row->time);
        ++i;
      } while (!single && i < events.size() && events[i].side == side && events[i].row &&
               random() % 3 != 0);
      const EventBatch batch =
          batch_of(side == Side::left ? joined.left : joined.right, rows, floor[s], newest[s]);
      join->process(side, batch);
      newest[s] = after;
      floor[s] = std::max(floor[s], after);
      join->tell(side, floor[s], Pace::active);
    }
    describe(joined, *join, outcome.rows, outcome.letters);
    if (!single && random() % 10 == 0) {
      std::string bytes;
      join->snapshot(bytes);
      join = std::make_unique<StreamJoin>(joined.plan, joined.source_names);
      REQUIRE(join->restore(bytes).has_value());
      std::string again;
      join->snapshot(again);
      REQUIRE(again == bytes);
    }
  }
  return outcome;
}

}  // namespace

TEST_CASE("a join is what a join of another make says however its input is cut", "[join]") {
  std::size_t rows = 0;
  std::size_t letters = 0;
  for (std::uint64_t seed = 1; seed <= 1'500; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    const Joined joined(draw_options(random));
    const std::vector<JoinMoment> events = draw_history(random);
    JoinOracle oracle(joined.plan->options);
    Timestamp newest[2] = {kMinTimestamp, kMinTimestamp};
    Timestamp floor[2] = {kMinTimestamp, kMinTimestamp};
    for (const JoinMoment& event : events) {
      const auto s = static_cast<std::size_t>(event.side);
      floor[s] = std::max(floor[s], event.watermark);
      oracle.feed(event);
      if (!event.row) continue;
      newest[s] = std::max(newest[s], event.row->time);
      floor[s] = std::max(floor[s], newest[s]);
      // Time behind the row: as the next one, or whoever is told, sees it.
      JoinMoment behind;
      behind.side = event.side;
      behind.watermark = floor[s];
      oracle.feed(behind);
    }
    rows += oracle.rows.size();
    letters += oracle.letters.size();
    for (const bool single : {true, false, false}) {
      const Outcome outcome = run(joined, events, random, single);
      REQUIRE(outcome.rows == rows_of(oracle));
      REQUIRE(outcome.letters == letters_of(oracle));
    }
  }
  CHECK(rows > 20'000);
  CHECK(letters > 20'000);
}

TEST_CASE("of streams in order every pair within the bound counts, and in time", "[join]") {
  std::size_t pairs = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    JoinOptions options;
    options.within = static_cast<Duration>(random() % 4) * 20;
    options.hold = options.within;
    options.keep_left = random() % 2 == 0;
    options.time = static_cast<Side>(random() % 2);
    const Joined joined(options);
    const std::uint64_t keys = 1 + random() % 12;
    std::vector<JoinMoment> events;
    Timestamp now[2] = {10'000, 10'000};  // Each goes on at its own pace.
    for (std::int64_t number = 0; number < 120; ++number) {
      JoinMoment event;
      event.side = static_cast<Side>(random() % 2);
      Timestamp& time = now[static_cast<std::size_t>(event.side)];
      time += static_cast<Timestamp>(random() % 12);
      event.row = JoinRow{time, static_cast<std::int64_t>(random() % keys), number};
      events.push_back(event);
    }
    for (const Side side : {Side::left, Side::right}) {
      JoinMoment end;
      end.side = side;
      end.watermark = std::max(now[0], now[1]) + 1'000;
      end.pace = Pace::over;
      events.push_back(end);
    }
    const JoinPromise promise(options, events);
    std::vector<std::string> rows;
    for (const JoinedRow& row : promise.rows) {
      rows.push_back(fmt::format("{} {} {}", row.time, row.left,
                                 row.right ? std::to_string(*row.right) : "-"));
      pairs += row.right ? 1 : 0;
    }
    std::sort(rows.begin(), rows.end());
    Outcome outcome = run(joined, events, random, false);
    std::vector<std::string> found;
    for (const std::string& text : outcome.rows) {
      std::istringstream in(text);
      Timestamp time = 0;
      Timestamp watermark = 0;
      std::string left;
      std::string right;
      in >> time >> watermark >> left >> right;
      INFO(text);
      CHECK(watermark <= time);
      found.push_back(fmt::format("{} {} {}", time, left, right));
    }
    std::sort(found.begin(), found.end());
    CHECK(found == rows);
    CHECK(outcome.letters.size() == promise.letters.size());
  }
  CHECK(pairs > 10'000);
}

TEST_CASE("who waits is bounded, and goes in the order of age", "[join]") {
  JoinOptions options;
  options.within = 1'000'000;
  options.pending_bytes_max = 20'000;
  const Joined joined(options);
  StreamJoin join = joined.make();
  std::vector<JoinRow> rows;
  for (std::int64_t i = 0; i < 200; ++i) rows.push_back({i, i, i, false, false});
  join.process(Side::left, batch_of(joined.left, rows, kMinTimestamp, kMinTimestamp));
  CHECK(join.pending_bytes() <= 20'000);
  CHECK(join.pending() > 20);
  const std::size_t gone = 200 - join.pending();
  std::vector<std::string> out;
  std::vector<std::string> letters;
  describe(joined, join, out, letters);
  REQUIRE(letters.size() == gone);
  CHECK(letters.front() == "left 0");
  CHECK(letters.back() == fmt::format("left {}", gone - 1));
  CHECK(join.take_counts().pushed_out == gone);

  // So it is with rows of one key.
  StreamJoin same = joined.make();
  rows.clear();
  for (std::int64_t i = 0; i < 40; ++i) rows.push_back({i, 7, i, false, false});
  same.process(Side::right, batch_of(joined.right, rows, kMinTimestamp, kMinTimestamp));
  CHECK(same.pending() == 40);
  JoinOptions roomy = options;
  roomy.pending_bytes_max = 1 << 20;
  const Joined wide(roomy);
  StreamJoin many = wide.make();
  for (std::int64_t i = 40; i < 150; ++i) rows.push_back({i, 7, i, false, false});
  many.process(Side::right, batch_of(wide.right, rows, kMinTimestamp, kMinTimestamp));
  CHECK(many.pending() == StreamJoin::kRowsOfKeyMax);
}

TEST_CASE("what a batch makes is taken in pieces", "[join]") {
  JoinOptions options;
  options.within = 1'000'000;
  options.one_to_one = false;
  options.pending_bytes_max = std::size_t{64} << 20;
  const Joined joined(options);
  StreamJoin join = joined.make();
  std::vector<JoinRow> rows;
  for (std::int64_t i = 0; i < 100; ++i) rows.push_back({i, 7, i, false, false});
  REQUIRE(join.process(Side::left, batch_of(joined.left, rows, kMinTimestamp, kMinTimestamp)) ==
          rows.size());
  rows.clear();
  for (std::int64_t i = 0; i < 3'000; ++i) rows.push_back({i, 7, 1'000 + i, false, false});
  const EventBatch many = batch_of(joined.right, rows, kMinTimestamp, kMinTimestamp);
  std::vector<std::string> out;
  std::vector<std::string> letters;
  std::size_t pieces = 0;
  for (std::size_t row = 0; row < rows.size(); ++pieces) {
    const std::size_t next = join.process(Side::right, many, row);
    REQUIRE(next > row);
    // Each of its rows has a hundred partners.
    const std::size_t before = out.size();
    describe(joined, join, out, letters);
    REQUIRE(out.size() == before + 100 * (next - row));
    REQUIRE(100 * (next - row) * 64 < StreamJoin::kMadeBytesMax + 100 * 64);
    row = next;
  }
  CHECK(pieces > 2);
  CHECK(out.size() == 300'000);
}

TEST_CASE("silence is remembered for who falls silent later", "[join]") {
  JoinOptions options;
  options.within = 20;
  options.keep_left = true;
  options.time = Side::left;
  const Joined joined(options);
  StreamJoin join = joined.make();
  join.process(Side::left,
               batch_of(joined.left, {{100, 1, 1, false, false}}, kMinTimestamp, kMinTimestamp));
  join.tell(Side::left, 100, Pace::active);
  join.tell(Side::right, 90, Pace::active);
  join.pass_over_silence(200);
  CHECK(join.watermark() == 90);
  // After a restart, too.
  std::string bytes;
  join.snapshot(bytes);
  StreamJoin restarted = joined.make();
  REQUIRE(restarted.restore(bytes).has_value());
  restarted.tell(Side::right, 90, Pace::silent);
  CHECK(restarted.pending() == 0);
  restarted.tell(Side::left, 100, Pace::silent);
  CHECK(restarted.watermark() == 200);
}

TEST_CASE("a snapshot of the first version is read", "[join]") {
  const Joined joined{JoinOptions{}};
  StreamJoin join = joined.make();
  join.process(Side::left,
               batch_of(joined.left, {{5, 1, 1, false, false}}, kMinTimestamp, kMinTimestamp));
  std::string bytes;
  join.snapshot(bytes);
  std::string head;  // What both have before the second's silence and time.
  put_u8(head, 2);
  put_text(head, joined.plan->definition);
  put_signed(head, join.watermark());
  put_signed(head, join.newest());
  REQUIRE(bytes.starts_with(head));
  std::string added;
  put_signed(added, kMinTimestamp);
  put_signed(added, 0);
  REQUIRE(bytes.substr(head.size()).starts_with(added));
  std::string first = head + bytes.substr(head.size() + added.size());
  first[0] = 1;
  StreamJoin old = joined.make();
  REQUIRE(old.restore(first).has_value());
  std::string again;
  old.snapshot(again);
  CHECK(again == bytes);
}

TEST_CASE("a snapshot of another definition or of none is told", "[join]") {
  const Joined joined{JoinOptions{}};
  StreamJoin join = joined.make();
  join.process(Side::left,
               batch_of(joined.left, {{5, 1, 1, false, false}}, kMinTimestamp, kMinTimestamp));
  std::string bytes;
  join.snapshot(bytes);
  auto altered = std::make_shared<JoinPlan>(*joined.plan);
  altered->definition = "b";
  StreamJoin other(altered, joined.source_names);
  const auto restored = other.restore(bytes);
  REQUIRE(restored.has_value());
  CHECK(restored->forgotten == 1);
  CHECK(other.pending() == 0);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    StreamJoin fresh = joined.make();
    CHECK(fresh.restore(bytes.substr(0, cut)).has_error());
  }
}
