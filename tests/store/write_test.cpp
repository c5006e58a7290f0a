// What is written is there, once, as itself: upserts, revisions, values, dead letters.
#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

Record one(WindowRow row) {
  return batch(services(), {std::move(row)});
}

std::vector<WindowRow> stored(const Database& database) {
  return database.window_rows(rows_of("service_metrics")).value();
}

}  // namespace

TEST_CASE("the same records again change nothing", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  Records records;
  for (int i = 0; i < 300; ++i) {
    WindowRow row =
        service_row(kNoon + i % 7 * kMinute, Value::of_string(fmt::format("s{}", i)), i);
    row.state = std::string(static_cast<std::size_t>(i), '\0') + "state";
    records.push_back(one(row));
  }
  records.push_back(std::make_shared<const Anomaly>(
      anomaly("a", kNoon, {{"service", Value::of_string("checkout")}})));
  records.push_back(std::make_shared<const Incident>(incident("i", kNoon, {})));
  write(*database, records);
  const std::string before = dump(temp.database());
  write(*database, records);
  CHECK(dump(temp.database()) == before);
  CHECK(database->stats().rows_written == 604);
  CHECK(database->stats().transactions == 2);
  CHECK(database->stats().bytes > 10'000);
  CHECK(database->stats().last_commit_at != 0);
  // Sketches are kept as they are.
  CHECK(shell(temp.database(),
              "SELECT count(*) FROM window_service_metrics WHERE "
              "length(state) = request_count + 5;") == "300");
}

TEST_CASE("a later revision replaces an earlier one and closed is not opened again", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  const auto put = [&](std::uint32_t revision, bool closed, std::int64_t count) {
    WindowRow row = service_row(kNoon, Value::of_string("x"), count);
    row.revision = revision;
    row.closed = closed;
    write(*database, {one(row)});
    return stored(*database).front().metrics[0].integer;
  };
  CHECK(put(0, false, 1) == 1);
  CHECK(put(0, false, 2) == 2);
  CHECK(put(0, true, 3) == 3);
  CHECK(put(0, false, 4) == 3);
  CHECK(put(2, true, 5) == 5);
  CHECK(put(1, true, 6) == 5);
  CHECK(put(1, false, 7) == 5);
  CHECK(put(2, false, 8) == 5);
  CHECK(put(2, true, 9) == 9);
  CHECK(stored(*database).front().closed);
  CHECK(stored(*database).front().revision == 2);
}

TEST_CASE("early rows of open windows are shown elsewhere and never stored", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  write(*database, {batch(services(), {service_row(kNoon, Value::of_string("x"))}, true)});
  CHECK(stored(*database).empty());
  CHECK(database->stats().rows_written == 0);
}

TEST_CASE("groups with NULL, empty, odd and overflow keys stay apart", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  std::vector<WindowRow> rows = {service_row(kNoon, Value::of_null(kText), 1),
                                 service_row(kNoon, Value::of_string(""), 2),
                                 service_row(kNoon, Value::of_string("*"), 3),
                                 service_row(kNoon, Value::of_string("n;"), 4),
                                 service_row(kNoon, Value::of_string("__overflow__"), 5),
                                 service_row(kNoon, Value::of_string("Ünïcode '\"|"), 6),
                                 service_row(kNoon, Value::of_string(std::string("a\0b", 3)), 7)};
  rows.push_back(service_row(kNoon, Value::of_string("__overflow__"), 100));
  rows.back().overflow = true;
  write(*database, {batch(services(), rows)});
  const std::vector<WindowRow> back = stored(*database);
  REQUIRE(back.size() == rows.size());
  // NULL first, then by bytes, the overflow group last.
  CHECK(back.front().keys[0].null);
  CHECK(back[1].keys[0].text.empty());
  CHECK(back.back().overflow);
  for (const WindowRow& row : rows) {
    const bool found = std::any_of(back.begin(), back.end(), [&row](const WindowRow& other) {
      return other.keys == row.keys && other.overflow == row.overflow &&
             other.metrics == row.metrics;
    });
    CHECK(found);
  }
  const auto asked = [&](const std::string& service) {
    std::int64_t sum = 0;
    const auto found =
        database->window_rows(rows_of("service_metrics", {{"service", service}})).value();
    for (const WindowRow& row : found) sum += row.metrics[0].integer;
    return sum;
  };
  CHECK(asked("") == 2);  // NULL has no text to be asked by.
  CHECK(asked("*") == 3);
  CHECK(asked("__overflow__") == 105);
  CHECK(asked("Ünïcode '\"|") == 6);
  CHECK(asked(std::string("a\0b", 3)) == 7);
  // Two groups whose values run together when joined.
  const SchemaPtr two = schema("two", {{"a", kText}, {"b", kText}}, {{"n", kInteger}});
  const TempDir other;
  const auto pairs = open(other.database(), {two});
  WindowRow row;
  row.end = kMinute;
  row.metrics = {Value::of_int(1)};
  std::vector<WindowRow> joined;
  for (const auto& [a, b] : {std::pair("x;1:y", ""), std::pair("x", "y"), std::pair("xy", ""),
                             std::pair("", "xy"), std::pair("x;", "1:y;")}) {
    row.keys = {Value::of_string(a), Value::of_string(b)};
    joined.push_back(row);
  }
  write(*pairs, {batch(two, joined)});
  CHECK(pairs->window_rows(rows_of("two"))->size() == joined.size());
}

TEST_CASE("an overflow group of keys that are no text shows as such", "[store]") {
  const TempDir temp;
  const SchemaPtr by_code = schema("by_code", {{"code", kInteger}}, {{"n", kInteger}});
  const auto database = open(temp.database(), {by_code});
  WindowRow row;
  row.start = kNoon;
  row.end = kNoon + kMinute;
  row.overflow = true;
  row.keys = {Value::of_null(kInteger)};
  row.metrics = {Value::of_int(9)};
  write(*database, {batch(by_code, {row})});
  CHECK(shell(temp.database(), "SELECT code, n FROM by_code;") == "__overflow__|9");
  CHECK(database->window_rows(rows_of("by_code", {{"code", "__overflow__"}}))->size() == 1);
  CHECK(database->window_rows(rows_of("by_code", {{"code", "9"}}))->empty());
}

TEST_CASE("values of every type come back as themselves and show as people write them", "[store]") {
  const TempDir temp;
  const DataType boolean{Kind::boolean, 0};
  const DataType timestamp{Kind::timestamp, 0};
  const SchemaPtr all =
      schema("every_type", {{"flag", boolean}, {"at", timestamp}, {"price", kMoney}},
             {{"i", kInteger},
              {"f", kFloat},
              {"d", {Kind::decimal, 4}},
              {"d0", {Kind::decimal, 0}},
              {"s", kText},
              {"t", timestamp},
              {"b", boolean},
              {"m", {Kind::map, 0}}});
  const auto database = open(temp.database(), {all});
  WindowRow row;
  row.start = -kMinute;
  row.closed = true;
  row.end = 0;
  row.keys = {Value::of_bool(true), Value::of_timestamp(kNoon + 250'000), Value::of_decimal(-5, 2)};
  row.metrics = {Value::of_int(std::numeric_limits<std::int64_t>::min()),
                 Value::of_float(0.1),
                 Value::of_decimal(std::numeric_limits<std::int64_t>::max(), 4),
                 Value::of_decimal(12, 0),
                 Value::of_string("x'y"),
                 Value::of_timestamp(-1),
                 Value::of_bool(false),
                 {{Kind::map, 0}, false, 0, 0, R"({"region":"eu"})"}};
  WindowRow nulls = row;
  nulls.start = kNoon;
  nulls.end = kNoon + kMinute;
  for (Value& value : nulls.metrics) value = Value::of_null(value.type);
  for (Value& value : nulls.keys) value = Value::of_null(value.type);
  write(*database, {batch(all, {row, nulls})});
  const auto back = database->window_rows(rows_of("every_type")).value();
  REQUIRE(back.size() == 2);
  CHECK(back[0].keys == nulls.keys);
  CHECK(back[0].metrics == nulls.metrics);
  CHECK(back[1].keys == row.keys);
  CHECK(back[1].metrics == row.metrics);
  CHECK(shell(temp.database(), "SELECT * FROM every_type WHERE i IS NOT NULL;") ==
        "1969-12-31T23:59:00Z|1970-01-01T00:00:00Z|1|2024-01-09T12:00:00.25Z|-0.05|"
        "-9223372036854775808|0.1|922337203685478.0|12|x'y|1969-12-31T23:59:59.999999Z|0|"
        "{\"region\":\"eu\"}|1|0");
  CHECK(shell(temp.database(), "SELECT d FROM window_every_type WHERE d IS NOT NULL;") ==
        "9223372036854775807");
  for (const auto& [key, text] :
       {std::pair("flag", "true"), std::pair("at", "2024-01-09T12:00:00.25Z"),
        std::pair("price", "-0.05")}) {
    INFO(key);
    CHECK(database->window_rows(rows_of("every_type", {{key, text}}))->size() == 1);
  }
  for (const auto& [key, text] :
       {std::pair("flag", "false"), std::pair("flag", "1"), std::pair("flag", ""),
        std::pair("at", "2024-01-09T12:00:00Z"), std::pair("price", "-0.050"),
        std::pair("price", "-5"), std::pair("price", "x")}) {
    INFO(key << " = " << text);
    CHECK(database->window_rows(rows_of("every_type", {{key, text}}))->empty());
  }
}

TEST_CASE("decimals show in views as the number nearest to them and sum exactly in tables",
          "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  std::vector<WindowRow> rows;
  std::int64_t sum = 0;
  for (std::int64_t cents = -2'000; cents < 20'000; cents += 7) {
    rows.push_back(service_row(kNoon, Value::of_string(std::to_string(cents)), 1, 0.5, cents));
    sum += cents;
  }
  rows.push_back(service_row(kNoon, Value::of_string("big"), 1, 0.5, (1LL << 53) - 1));
  sum += (1LL << 53) - 1;
  write(*database, {batch(services(), rows)});
  // The digits as text, read by SQLite as a number, are the number that the view shows.
  CHECK(
      shell(temp.database(),
            "SELECT count(*), sum(v.revenue <> CAST(iif(t.revenue < 0, '-', '') || "
            "(abs(t.revenue) / 100) || printf('.%02d', abs(t.revenue) % 100) AS REAL)) FROM "
            "service_metrics v JOIN window_service_metrics t ON v.service = t.\"key.service\";") ==
      fmt::format("{}|0", rows.size()));
  CHECK(shell(temp.database(), "SELECT sum(revenue) FROM window_service_metrics;") ==
        std::to_string(sum));
}

TEST_CASE("anomalies and incidents come back as they were and change as they should", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  Anomaly a = anomaly("a1", kNoon,
                      {{"service", Value::of_string("check\"out")},
                       {"code", Value::of_int(500)},
                       {"ok", Value::of_bool(true)},
                       {"none", Value::of_null(kText)}});
  Incident i = incident("i1", kNoon, {{"service", Value::of_string("checkout")}});
  write(*database, {std::make_shared<const Anomaly>(a), std::make_shared<const Incident>(i)});
  const Anomaly back = database->anomalies({})->at(0);
  CHECK(back.id == a.id);
  CHECK(back.rule == a.rule);
  CHECK(back.window == a.window);
  CHECK(back.severity == a.severity);
  CHECK(back.detected_at == a.detected_at);
  CHECK(back.window_start == a.window_start);
  CHECK(back.window_end == a.window_end);
  CHECK(back.keys == a.keys);
  CHECK(back.metric_value == a.metric_value);
  CHECK(back.baseline_value == a.baseline_value);
  CHECK_FALSE(back.threshold_value.has_value());
  CHECK(back.description == a.description);
  CHECK_FALSE(back.resolved);
  const Incident incident_back = database->incidents({})->at(0);
  CHECK(incident_back.keys == i.keys);
  CHECK(incident_back.evidence == i.evidence);
  CHECK(incident_back.anomaly_ids == i.anomaly_ids);
  CHECK(incident_back.explanation == i.explanation);
  CHECK(incident_back.severity == i.severity);
  CHECK(incident_back.narrated_by == "template");
  CHECK_FALSE(incident_back.resolved_at.has_value());

  // Resolved stays resolved, even when the first record comes again.
  const Anomaly open_again = a;
  a.resolved = true;
  a.resolved_at = kNoon + kHour;
  a.revision = 1;
  i.revision = 3;
  i.resolved_at = kNoon + kHour;
  i.title = "over";
  write(*database, {std::make_shared<const Anomaly>(a), std::make_shared<const Incident>(i)});
  i.revision = 2;
  i.title = "older";
  write(*database,
        {std::make_shared<const Anomaly>(open_again), std::make_shared<const Incident>(i)});
  CHECK(database->anomalies({})->at(0).resolved_at == kNoon + kHour);
  CHECK(database->incidents({})->at(0).title == "over");
  CHECK(shell(temp.database(),
              "SELECT detected_at, service, anomaly_type, severity, resolved, "
              "resolved_at FROM anomalies; SELECT status, title FROM incidents;") ==
        "2024-01-09T12:00:00Z|check\"out|error_surge|high|1|2024-01-09T13:00:00Z\nresolved|over");

  // Corrected, it is said again: as a whole, and the newest counts, resolved or not.
  Anomaly again = open_again;
  again.revision = 2;
  again.metric_value = 7;
  again.description = "seven";
  write(*database, {std::make_shared<const Anomaly>(again), std::make_shared<const Anomaly>(a)});
  CHECK(shell(temp.database(),
              "SELECT metric_value, description, resolved, resolved_at, revision, withdrawn FROM "
              "anomalies;") == "7.0|seven|0||2|0");
  again.revision = 3;
  again.resolved = again.withdrawn = true;
  again.resolved_at = kNoon;
  again.metric_value = std::nullopt;
  write(*database, {std::make_shared<const Anomaly>(again)});
  const Anomaly taken_back = database->anomalies({})->at(0);
  CHECK(taken_back.withdrawn);
  CHECK(taken_back.revision == 3);
  CHECK_FALSE(taken_back.metric_value.has_value());
}

TEST_CASE("dead letters are kept with their payload and counted for good", "[store]") {
  const TempDir temp;
  {
    const auto database = open(temp.database(), {});
    write(*database, {letters({letter("requests", "late", kNoon), letter("requests", "late", kNoon),
                               letter("orders", "not_json", kNoon + 1)})});
    write(*database, {letters({letter("requests", "late", kNoon + 2)}), letters({})});
    const auto back = database->dead_letters({}).value();
    REQUIRE(back.size() == 4);
    CHECK(back[0].letter.received_at == kNoon + 2);
    CHECK(back[0].letter.payload == letter("", "", 0).payload);
    CHECK(back[0].letter.position == 7);
    CHECK(back[0].letter.origin == "127.0.0.1");
    CHECK(back[0].id > back[1].id);
  }
  const auto database = open(temp.database(), {});
  const auto counts = database->dead_letter_counts().value();
  REQUIRE(counts.size() == 2);
  CHECK(counts[0].stream == "requests");
  CHECK(counts[0].count == 3);
  CHECK(counts[1].reason == "not_json");
}

TEST_CASE("a dead letter has what it needs to be replayed, and is marked when it was", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {});
  const auto of = [](std::uint64_t sequence, std::uint32_t index, std::string window) {
    DeadLetter made = letter("requests", window.empty() ? "not_json" : "late", kNoon);
    made.sequence = sequence;
    made.event_index = index;
    made.window = std::move(window);
    made.format = Format::csv;
    made.header = std::make_shared<const std::string>("a,b");
    return made;
  };
  DeadLetter no_form = of(8, 0, "");
  no_form.format.reset();
  no_form.header.reset();
  write(*database, {letters({of(7, 0, ""), of(7, 1, "a"), of(7, 1, "b"), no_form})});
  const auto replayed = [](std::uint64_t position, LetterId which, Timestamp at) -> Record {
    return std::make_shared<const ReplayedLetter>(ReplayedLetter{position, which, at});
  };
  // One that is no longer there changes nothing; neither does the same mark again.
  write(*database, {replayed(9, {7, 1}, kNoon + 5), replayed(10, {6, 1}, kNoon + 6)});
  write(*database, {replayed(9, {7, 1}, kNoon + 5)});
  DeadLetterQuery query;
  query.oldest_first = true;
  const auto all = database->dead_letters(query).value();
  REQUIRE(all.size() == 4);
  CHECK(all[0].letter.format == Format::csv);
  REQUIRE(all[0].letter.header != nullptr);
  CHECK(*all[0].letter.header == "a,b");
  CHECK(all[0].letter.not_replayable().empty());
  CHECK_FALSE(all[3].letter.not_replayable().empty());
  CHECK(all[3].letter.header == nullptr);
  // It is there once, also in memory.
  CHECK(all[0].letter.header == all[2].letter.header);
  CHECK(shell(temp.database(), "SELECT count(*), max(text) FROM streamobs_header;") == "1|a,b");
  // As versions before 7 had it.
  shell(temp.database(),
        "UPDATE dead_letter SET header = 'c,d', header_id = NULL WHERE event_index = 0 AND "
        "sequence = 7;");
  CHECK(*database->dead_letters(query)->front().letter.header == "c,d");
  std::vector<Timestamp> marks;
  for (const StoredDeadLetter& stored : all) marks.push_back(stored.letter.replayed_at);
  CHECK(marks == std::vector<Timestamp>{0, kNoon + 5, kNoon + 5, 0});
  CHECK(shell(temp.database(), "SELECT count(*), replayed_at FROM dead_letters GROUP BY 2;") ==
        "2|\n2|2024-01-09T12:00:00.000005Z");
  CHECK(database->dead_letter_counts()->size() == 2);

  query.replayed = false;
  CHECK(database->dead_letters(query)->size() == 2);
  query.replayed = true;
  CHECK(database->dead_letters(query)->size() == 2);
  query.late = false;
  CHECK(database->dead_letters(query)->empty());
  DeadLetterQuery page;
  page.above = 1;
  page.below = 4;
  page.list.limit = 1;
  CHECK(database->dead_letters(page)->at(0).id == 3);
  page.oldest_first = true;
  CHECK(database->dead_letters(page)->at(0).id == 2);
  page = {};
  page.id = 4;
  CHECK(database->dead_letters(page)->at(0).letter.sequence == 8);
}

TEST_CASE("a page of dead letters ends before it is too much", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {});
  DeadLetter large = letter("requests", "not_json", kNoon);
  large.payload.assign(DeadLetter::kMaxPayload, 'x');
  write(*database, {letters(DeadLetters(400, large))});
  DeadLetterQuery query;
  query.list.limit = 1'000;
  std::size_t seen = 0;
  std::size_t pages = 0;
  while (true) {
    const auto page = database->dead_letters(query).value();
    if (page.empty()) break;
    CHECK(page.size() * DeadLetter::kMaxPayload <= DeadLetterQuery::kPageBytesMax);
    seen += page.size();
    ++pages;
    query.below = page.back().id;
  }
  CHECK(seen == 400);
  CHECK(pages == 2);
}

TEST_CASE("dead letters are bounded in number at every moment", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {});
  DeadLetters flood(10'000, letter("requests", "late", kNoon));
  for (DeadLetter& each : flood) each.payload = "x";
  for (int i = 0; i < 12; ++i) {
    write(*database, {letters(flood)});
    CHECK(database->dead_letters(list_of({}, 1'000'000))->size() ==
          std::min<std::size_t>(100'000, static_cast<std::size_t>(i + 1) * flood.size()));
  }
  CHECK(database->dead_letter_counts()->at(0).count == 120'000);
  CHECK(shell(temp.database(), "SELECT min(id), max(id) FROM dead_letter;") == "20001|120000");
}

template <class T>
Record shared(T record) {
  return std::make_shared<const T>(std::move(record));
}

TEST_CASE("old anomalies and incidents go when they are over, behind the newest", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {});
  const Duration keep = StoreOptions().keep_incidents;
  std::vector<Record> records;
  for (int i = 0; i < 12'000; ++i) {
    Anomaly old = anomaly(fmt::format("a{}", i), kNoon, {});
    old.resolved = i != 7;
    if (old.resolved) old.resolved_at = kNoon + kMinute;
    records.push_back(shared(old));
  }
  for (int i = 0; i < 10; ++i) {
    Incident old = incident(fmt::format("i{}", i), kNoon, {});
    // One is open, and one went on for long.
    if (i > 0) old.resolved_at = kNoon + (i == 1 ? keep : kMinute);
    records.push_back(shared(old));
  }
  write(*database, records);
  // The wall clock says nothing.
  CHECK(database->maintain(kNoon + 10 * keep).value() == 0);
  write(*database,
        {shared(anomaly("new", kNoon + keep, {})), shared(incident("new", kNoon + keep, {}))});
  CHECK(database->maintain(kNoon).value() == 0);
  write(*database, {shared(anomaly("newer", kNoon + keep + 2 * kMinute, {})),
                    shared(incident("newer", kNoon + keep + 2 * kMinute, {}))});
  CHECK(database->maintain(kNoon).value() == 10'000);
  CHECK(database->maintain(kNoon).value() == 11'999 - 10'000 + 8);
  CHECK(database->maintain(kNoon).value() == 0);
  CHECK(shell(temp.database(),
              "SELECT group_concat(id) FROM (SELECT id FROM anomaly ORDER BY id);") ==
        "a7,new,newer");
  CHECK(shell(temp.database(),
              "SELECT group_concat(id) FROM (SELECT id FROM incident ORDER BY id);") ==
        "i0,i1,new,newer");
}

TEST_CASE("old dead letters go in bounded steps", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {});
  const Duration keep = StoreOptions().keep_dead_letters;
  DeadLetters old(25'000, letter("requests", "late", kNoon));
  old[0].header = std::make_shared<const std::string>("a,b");
  old[24'000].header = std::make_shared<const std::string>("c,d");
  old.push_back(letter("requests", "late", kNoon + kMinute));
  write(*database, {letters(old)});
  CHECK(database->maintain(kNoon + keep).value() == 0);
  const Timestamp later = kNoon + keep + 1;
  CHECK(database->maintain(later).value() == 10'000);
  CHECK(database->maintain(later).value() == 10'000);
  CHECK(database->maintain(later).value() == 5'000);
  CHECK(database->maintain(later).value() == 0);
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_header;") == "0");
  CHECK(database->dead_letters({})->size() == 1);
  CHECK(database->maintain(later + kMinute).value() == 1);
  // Ids are never given twice.
  write(*database, {letters({letter("requests", "late", later + kMinute)})});
  CHECK(database->dead_letters({})->at(0).id == 25'002);
}
