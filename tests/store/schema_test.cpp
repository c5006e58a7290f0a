// Tables, views and columns as the sqlite3 shell sees them, and what a change of the config or of
// the program's version does to them.
#include <random>

#include "base/time_format.h"
#include "store/migrations.h"
#include "store/sqlite.h"
#include "store/support.h"
#include "store/window_table.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

std::string columns_of(const std::string& database, const std::string& name) {
  return shell(database,
               fmt::format("SELECT group_concat(name, ' ') FROM pragma_table_info('{}');", name));
}

Connection connect(const std::string& path) {
  Result<Connection> connection =
      Connection::open(path, Connection::Mode::read_write, 100 * kMillisecond);
  if (connection.has_error()) FAIL(connection.error().message);
  return std::move(*connection);
}

}  // namespace

TEST_CASE("views have the names and columns that people's queries hang on", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  CHECK(columns_of(temp.database(), "service_metrics") ==
        "window_start window_end service request_count error_rate revenue closed revision");
  CHECK(
      columns_of(temp.database(), "anomalies") ==
      "detected_at window_start window_end service anomaly_type severity metric_name metric_value "
      "baseline_value threshold_value description resolved id resolved_at revision withdrawn");
  CHECK(columns_of(temp.database(), "incidents").find("status title explanation") !=
        std::string::npos);
  CHECK(columns_of(temp.database(), "dead_letters").find("stream reason detail") !=
        std::string::npos);
  for (const std::string suffix : {"", "-wal", "-shm"}) {
    INFO(suffix);
    CHECK(std::filesystem::status(temp.database() + suffix).permissions() ==
          (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  }
}

TEST_CASE("keys that are called like columns of anomalies are still shown", "[store]") {
  const TempDir temp;
  const std::vector<SchemaPtr> windows = {
      schema("a", {{"Severity", kText}, {"service", kText}}, {{"n", kInteger}}),
      schema("b", {{"SERVICE", kText}, {"id", kInteger}, {"key_id", kText}}, {{"n", kInteger}}),
      schema("c", {{"service", kText}}, {{"n", kInteger}})};
  const auto database = open(temp.database(), windows);
  CHECK(columns_of(temp.database(), "anomalies") ==
        "detected_at window_start window_end key_Severity service key_SERVICE key_id key_key_id "
        "anomaly_type severity metric_name metric_value baseline_value threshold_value description "
        "resolved id resolved_at revision withdrawn");
  write(*database, {std::make_shared<const Anomaly>(anomaly("x", kNoon,
                                                            {{"SERVICE", Value::of_string("pay's")},
                                                             {"id", Value::of_int(5)},
                                                             {"key_id", Value::of_string("k")}}))});
  CHECK(shell(temp.database(),
              "SELECT service, key_SERVICE, key_id, key_key_id, severity FROM "
              "anomalies;") == "|pay's|5|k|high");
}

TEST_CASE("time_sql writes every time as to_rfc3339 does", "[store]") {
  const TempDir temp;
  const Connection connection = connect(temp.database());
  Result<Statement> statement =
      connection.prepare("SELECT " + time_sql("t") + " FROM (SELECT ?1 AS t)");
  REQUIRE(statement.has_value());
  const auto shown = [&](Timestamp t) {
    statement->bind(1, t);
    if (!statement->step().has_value()) FAIL("no row");
    std::string text = statement->text_at(0);
    statement->reset();
    return text;
  };
  std::vector<Timestamp> times = {0,
                                  1,
                                  -1,
                                  999'999,
                                  -999'999,
                                  kSecond,
                                  -kSecond,
                                  -kSecond - 1,
                                  500'000,
                                  -500'000,
                                  kNoon,
                                  kNoon + 120'000,
                                  -kDay,
                                  -kDay - 1,
                                  253'402'300'799LL * kSecond + 999'999,  // The last of year 9999.
                                  -62'167'219'200LL * kSecond};           // The first of year 0.
  std::mt19937_64 random(1);
  std::uniform_int_distribution<Timestamp> any(times.back(), times[times.size() - 2]);
  for (int i = 0; i < 5'000; ++i) {
    const Timestamp t = any(random);
    times.push_back(i % 3 == 0 ? t - t % kSecond : i % 3 == 1 ? t - t % kMillisecond : t);
  }
  for (const Timestamp t : times) {
    if (shown(t) != to_rfc3339(t)) FAIL_CHECK(t << " shows as " << shown(t));
  }
  statement->bind_null(1);
  REQUIRE(statement->step().has_value());
  CHECK(statement->is_null(0));
}

TEST_CASE("a new metric becomes a new column and a removed one stays behind", "[store]") {
  const TempDir temp;
  const SchemaPtr before = schema("w", {{"k", kText}}, {{"a", kInteger}, {"b", kMoney}});
  WindowRow row;
  row.start = kNoon;
  row.end = kNoon + kMinute;
  row.keys = {Value::of_string("x")};
  row.metrics = {Value::of_int(1), Value::of_decimal(250, 2)};
  write(*open(temp.database(), {before}), {batch(before, {row})});

  const SchemaPtr after = schema("w", {{"k", kText}}, {{"c", kFloat}, {"A", kInteger}});
  const auto database = open(temp.database(), {after});
  CHECK(columns_of(temp.database(), "w") == "window_start window_end k c A closed revision");
  CHECK(shell(temp.database(), "SELECT k, c IS NULL, A FROM w;") == "x|1|1");
  CHECK(shell(temp.database(), "SELECT b FROM window_w;") == "250");
  row.metrics = {Value::of_float(0.5), Value::of_int(2)};
  write(*database, {batch(after, {row})});
  CHECK(shell(temp.database(), "SELECT k, c, A FROM w;") == "x|0.5|2");
}

TEST_CASE("a changed key, type or size keeps the old rows in a table of their own", "[store]") {
  const SchemaPtr first = schema("w", {{"k", kText}, {"l", kText}}, {{"a", kInteger}});
  const std::vector<std::pair<std::string, SchemaPtr>> changes = {
      {"fewer keys", schema("w", {{"k", kText}}, {{"a", kInteger}})},
      {"more keys", schema("w", {{"k", kText}, {"l", kText}, {"m", kText}}, {{"a", kInteger}})},
      {"keys in another order", schema("w", {{"l", kText}, {"k", kText}}, {{"a", kInteger}})},
      {"a key's name", schema("w", {{"k", kText}, {"m", kText}}, {{"a", kInteger}})},
      {"a key's type", schema("w", {{"k", kText}, {"l", kInteger}}, {{"a", kInteger}})},
      {"a metric's type", schema("w", {{"k", kText}, {"l", kText}}, {{"a", kFloat}})},
      {"a metric's scale", schema("w", {{"k", kText}, {"l", kText}}, {{"a", kMoney}})},
      {"the size", schema("w", {{"k", kText}, {"l", kText}}, {{"a", kInteger}}, kHour)}};
  for (const auto& [what, second] : changes) {
    INFO(what);
    const TempDir temp;
    WindowRow row;
    row.start = kNoon;
    row.end = kNoon + kMinute;
    row.keys = {Value::of_string("x"), Value::of_string("y")};
    row.metrics = {Value::of_int(1)};
    write(*open(temp.database(), {first}), {batch(first, {row})});
    // Views that people have made on top of ours must not stand in the way.
    shell(temp.database(),
          "CREATE VIEW mine AS SELECT a FROM w; CREATE VIEW raw AS SELECT a FROM window_w;");

    CHECK(open(temp.database(), {second})->window_rows(rows_of("w"))->empty());
    CHECK(shell(temp.database(), "SELECT \"key.k\", a FROM streamobs_old_w_1;") == "x|1");
    CHECK(shell(temp.database(), "SELECT count(*) FROM w;") == "0");
    CHECK(shell(temp.database(), "SELECT count(*) FROM mine;") == "0");
    // There and back: a third table, and the first one is not touched.
    CHECK(open(temp.database(), {first})->window_rows(rows_of("w"))->empty());
    CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_w_1;") == "1");
    CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_w_2;") == "0");
    // The same config again changes nothing.
    open(temp.database(), {first});
    CHECK(shell(temp.database(),
                "SELECT count(*) FROM sqlite_master WHERE name LIKE "
                "'streamobs_old%';") == "2");
  }
}

TEST_CASE("what somebody else has made in the database is neither dropped nor written to",
          "[store]") {
  const TempDir temp;
  open(temp.database(), {});
  const std::string made[][2] = {
      {"CREATE TABLE service_metrics (mine)", "a table \"service_metrics\""},
      {"CREATE VIEW Service_Metrics AS SELECT 1 AS mine", "a view \"service_metrics\""},
      {"CREATE TABLE window_service_metrics (mine)", "a table \"window_service_metrics\""},
      {"CREATE VIEW window_service_metrics AS SELECT 1 AS mine", "a view"}};
  for (const auto& [sql, says] : made) {
    CAPTURE(sql);
    REQUIRE(shell(temp.database(), sql + ";").empty());
    const auto refused = Database::open(options(temp.database()), {services()});
    REQUIRE(refused.has_error());
    CHECK(refused.error().code == ErrorCode::invalid);
    CHECK(refused.error().message.find(says) != std::string::npos);
    CHECK(refused.error().message.find(temp.database()) != std::string::npos);
    CHECK(shell(temp.database(), "SELECT sql FROM sqlite_master WHERE sql LIKE '%mine%';") == sql);
    const std::string what = sql.substr(7, sql.find(' ', 14) - 7);  // "TABLE service_metrics"
    REQUIRE(shell(temp.database(), "DROP " + what + ";").empty());
  }
  const auto database = open(temp.database(), {services()});
  write(*database, {batch(services(), {service_row(kNoon, Value::of_string("a"))})});
  CHECK(shell(temp.database(), "SELECT count(*) FROM service_metrics;") == "1");
}

TEST_CASE("a config that is not adopted leaves the database as it was", "[store]") {
  const TempDir temp;
  const std::vector<ResultColumn> metrics = {{"n", kInteger}};
  const auto by_service = schema("w", {{"service", kText}}, metrics);
  const auto by_user = schema("w", {{"user", kText}}, metrics);
  StoreOptions with_sink = options(temp.database());
  OutboxOptions sink;
  sink.sink = "out";
  sink.from = OutboxOptions::From::window;
  sink.window = "w";
  with_sink.outboxes = {sink};
  {
    auto database = Database::open(with_sink, {by_service});
    REQUIRE(database.has_value());
    REQUIRE((*database)->settle_outboxes().has_value());
    WindowRow row = service_row(kNoon, Value::of_string("pay"));
    row.metrics = {Value::of_int(1)};
    write(**database, {batch(by_service, {row})}, 1);
    REQUIRE((*database)->outbox_stats("out").rows == 1);
  }
  const std::string before = dump(temp.database());
  const auto open_next = [&] {
    auto database =
        Database::open(options(temp.database()), {by_user}, nullptr, Changes::when_adopted);
    if (database.has_error()) FAIL(database.error().message);
    REQUIRE((*database)->settle_outboxes().has_value());
    return std::move(*database);
  };
  {
    const auto next = open_next();
    CHECK(dump(temp.database()) == before);  // Nobody sees anything of it.
    CHECK(next->maintain(kNoon).has_value());
    CHECK(next->keep_up().has_value());
    CHECK(dump(temp.database()) == before);
  }
  CHECK(dump(temp.database()) == before);
  const auto next = open_next();
  REQUIRE(next->adopt().has_value());
  CHECK(columns_of(temp.database(), "w") == "window_start window_end user n closed revision");
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_w_1;") == "1");
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_outbox;") == "0");
  WindowRow row = service_row(kNoon, Value::of_string("u"));
  row.metrics = {Value::of_int(1)};
  write(*next, {batch(by_user, {row})}, 2);
  CHECK(shell(temp.database(), "SELECT user, n FROM w;") == "u|1");
}

TEST_CASE("a window that left the config stays readable", "[store]") {
  const TempDir temp;
  write(*open(temp.database(), {services()}),
        {batch(services(), {service_row(kNoon, Value::of_string("checkout"))})});
  const auto database = open(temp.database(), {schema("other", {}, {{"n", kInteger}})});
  CHECK(shell(temp.database(), "SELECT window_start, service, revenue FROM service_metrics;") ==
        "2024-01-09T12:00:00Z|checkout|19.99");
  CHECK(database->window_rows(rows_of("service_metrics")).error().code == ErrorCode::not_found);
}

TEST_CASE("names that differ by case alone are one name", "[store]") {
  const TempDir temp;
  open(temp.database(), {schema("Sales", {}, {{"n", kInteger}})});
  open(temp.database(), {schema("sales", {}, {{"N", kInteger}})});
  const auto both = Database::open(
      options(temp.database()),
      {schema("sales", {}, {{"n", kInteger}}), schema("SALES", {}, {{"n", kInteger}})});
  REQUIRE(both.has_error());
  CHECK(both.error().code == ErrorCode::invalid);
}

TEST_CASE("a database of an earlier version is brought up to date with its rows", "[store]") {
  const std::string to_8 =
      "DROP VIEW anomalies; ALTER TABLE anomaly DROP COLUMN revision;"
      "ALTER TABLE anomaly DROP COLUMN withdrawn; PRAGMA user_version = 8;";
  const std::string to_7 = to_8 + "DROP TABLE streamobs_archive; PRAGMA user_version = 7;";
  const std::string to_6 =
      to_7 +
      "ALTER TABLE streamobs_outbox RENAME TO outbox; DROP TABLE streamobs_sink_target;"
      "DROP TABLE streamobs_header; DROP INDEX dead_letter_by_header; DROP VIEW dead_letters;"
      "ALTER TABLE dead_letter DROP COLUMN header_id;"
      "ALTER TABLE streamobs_window DROP COLUMN shape; PRAGMA user_version = 6;";
  const std::string to_5 = to_6 +
                           "DROP TABLE streamobs_progress; DROP TABLE streamobs_retention;"
                           "PRAGMA user_version = 5;";
  const std::string to_4 =
      to_5 + "DROP TABLE outbox; DROP TABLE streamobs_sink; PRAGMA user_version = 4;";
  const std::string to_3 =
      to_4 +
      "ALTER TABLE dead_letter DROP COLUMN format;"
      "ALTER TABLE dead_letter DROP COLUMN header; ALTER TABLE dead_letter DROP COLUMN replayed_at;"
      "PRAGMA user_version = 3;";
  const std::string to_2 = to_3 +
                           "DROP INDEX dead_letter_by_event;"
                           "ALTER TABLE dead_letter DROP COLUMN sequence;"
                           "ALTER TABLE dead_letter DROP COLUMN event_index;"
                           "DROP TABLE streamobs_log; PRAGMA user_version = 2;";
  const std::string to_1 = to_2 + "DROP TABLE streamobs_window; PRAGMA user_version = 1;";
  for (const std::string& back : {to_8, to_7, to_6, to_5, to_4, to_3, to_2, to_1}) {
    const TempDir temp;
    write(*open(temp.database(), {services()}),
          {batch(services(), {service_row(kNoon, Value::of_string("checkout"))}),
           letters({letter("requests", "late", kNoon), letter("requests", "late", kNoon)})});
    CHECK(shell(temp.database(), back).empty());
    const auto database = open(temp.database(), {services()});
    CHECK(shell(temp.database(), "PRAGMA user_version;") == "9");
    CHECK(database->window_rows(rows_of("service_metrics"))->size() == 1);
    const auto kept = database->dead_letters({}).value();
    REQUIRE(kept.size() == 2);
    CHECK(kept[0].letter.not_replayable().find("earlier version") != std::string_view::npos);
    CHECK(kept[0].letter.replayed_at == 0);
    CHECK(database->log_id() == 0);
    CHECK(database->applied_position() == 0);
    CHECK_FALSE(database->begun_anew());
  }
}

TEST_CASE("a window of a database from before there were outboxes may be called outbox",
          "[store]") {
  const TempDir temp;
  const SchemaPtr outbox = schema("outbox", {{"k", kText}}, {{"n", kInteger}});
  open(temp.database(), {outbox});
  shell(
      temp.database(),
      "DROP TABLE streamobs_outbox; DROP TABLE streamobs_sink; DROP TABLE streamobs_sink_target;"
      "DROP TABLE streamobs_header; DROP INDEX dead_letter_by_header; DROP VIEW dead_letters;"
      "ALTER TABLE dead_letter DROP COLUMN header_id;"
      "ALTER TABLE streamobs_window DROP COLUMN shape;"
      "DROP TABLE streamobs_progress; DROP TABLE streamobs_retention; DROP TABLE streamobs_archive;"
      "DROP VIEW anomalies; ALTER TABLE anomaly DROP COLUMN revision;"
      "ALTER TABLE anomaly DROP COLUMN withdrawn; PRAGMA user_version = 4;");
  const auto database = open(temp.database(), {outbox});
  CHECK(shell(temp.database(), "SELECT count(*) FROM outbox; PRAGMA user_version;") == "0\n9");
}

TEST_CASE("rows of windows that hopped are kept apart from those that do not any more", "[store]") {
  const auto shaped = [](Duration hop, Duration gap) {
    WindowSchema made = *schema("w", {{"k", kText}}, {{"n", kInteger}});
    made.hop = hop;
    made.gap = gap;
    return std::make_shared<const WindowSchema>(made);
  };
  const TempDir temp;
  const auto rows = [&temp] { return shell(temp.database(), "SELECT count(*) FROM w;"); };
  WindowRow row;
  row.start = kNoon;
  row.end = kNoon + kMinute;
  row.closed = true;
  row.keys = {Value::of_string("a")};
  row.metrics = {Value::of_int(1)};
  write(*open(temp.database(), {shaped(10 * kSecond, 0)}), {batch(shaped(0, 0), {row})});
  open(temp.database(), {shaped(10 * kSecond, 0)});
  CHECK(rows() == "1");
  open(temp.database(), {shaped(0, 0)});
  CHECK(rows() == "0");
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_w_1;") == "1");
  open(temp.database(), {shaped(0, kMinute)});
  CHECK(shell(temp.database(), "SELECT count(*) FROM streamobs_old_w_2;") == "0");
}

TEST_CASE("a newer database is refused in words and not touched", "[store]") {
  const TempDir temp;
  open(temp.database(), {services()});
  shell(temp.database(), "PRAGMA user_version = 999; PRAGMA journal_mode = DELETE;");
  const auto bytes = [&temp] {
    std::ifstream in(temp.database(), std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const std::string before = bytes();
  const auto opened = Database::open(options(temp.database()), {services()});
  REQUIRE(opened.has_error());
  CHECK(opened.error().code == ErrorCode::invalid);
  CHECK(opened.error().message.find("version 999") != std::string::npos);
  CHECK(opened.error().message.find("newer streamobs") != std::string::npos);
  CHECK(bytes() == before);
  for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
    CHECK(entry.path().string().find("corrupt") == std::string::npos);
  }
}

TEST_CASE("a query that takes too long is stopped", "[store]") {
  const TempDir temp;
  Connection connection = connect(temp.database());
  connection.limit_time(30 * kMillisecond);
  const auto stopped = connection.query_int(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  REQUIRE(stopped.has_error());
  CHECK(stopped.error().code == ErrorCode::unavailable);
  CHECK(stopped.error().message.find("took too long") != std::string::npos);
  // The limit is each query's own.
  CHECK(connection.query_int("SELECT 41 + 1").value() == 42);
}
