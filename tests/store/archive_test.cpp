// What is removed from the database is in files, once, whatever ends or fails in between.

#include "store/archive.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/posix_file_system.h"
#include "base/time_format.h"
#include "store/support.h"
#include "support/faulty_file_system.h"

using namespace streamobs;
using namespace streamobs::store;
using namespace streamobs::store::test;
using streamobs::test::FaultyFileSystem;

namespace {

constexpr Timestamp kDayOne = 1'704'758'400LL * kSecond;  // 2024-01-09T00:00:00Z

class NoMerging final : public StateMerger {
 public:
  Result<> merge(const WindowSchema&, WindowRow&, std::span<const WindowRow>) const override {
    return {};
  }
};
const NoMerging kNoMerging;

SchemaPtr minutes() {
  return schema("w", {{"k", kText}}, {{"n", kInteger}}, kMinute);
}

WindowRow row_of(Timestamp start, const std::string& key, std::int64_t n) {
  WindowRow row;
  row.start = start;
  row.end = start + kMinute;
  row.closed = true;
  row.keys = {Value::of_string(key)};
  row.metrics = {Value::of_int(n)};
  return row;
}

std::string line_of(const WindowRow& row) {
  return fmt::format(
      R"({{"window_start":"{}","window_end":"{}","closed":true,"revision":0,"k":"{}","n":{}}})",
      to_rfc3339(row.start), to_rfc3339(row.end), row.keys[0].text, row.metrics[0].integer);
}

/// As a user would read them: by gzip, whose judgement of the members counts too.
std::vector<std::string> lines_in(const std::string& file) {
  const std::string plain = file + ".plain";
  REQUIRE(std::system(fmt::format("gzip -dc '{}' > '{}'", file, plain).c_str()) == 0);
  std::ifstream in(plain);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::filesystem::remove(plain);
  return lines;
}

std::vector<std::string> files_in(const std::string& directory) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(directory)) return names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::unique_ptr<Database> open_archiving(const std::string& path, Duration keep = 2 * kDay) {
  StoreOptions made = options(path);
  made.keep["w"] = WindowKeep{keep, 0, 0, "archive"};
  Result<std::unique_ptr<Database>> database = Database::open(made, {minutes()}, &kNoMerging);
  if (database.has_error()) FAIL(database.error().message);
  return std::move(*database);
}

std::size_t rows_left(const Database& database) {
  WindowQuery query;
  query.window = "w";
  query.limit = 1'000'000;
  const auto rows = database.window_rows(query);
  REQUIRE(rows.has_value());
  return rows->size();
}

}  // namespace

TEST_CASE("a day that is removed is in a file, its rows in order", "[store]") {
  const TempDir temp;
  const auto database = open_archiving(temp.database());
  std::map<int, std::vector<std::string>> wanted;
  for (const int day : {0, 1, 4, 5}) {
    std::vector<WindowRow> rows;
    for (int minute = 0; minute < 1'440; ++minute) {
      const Timestamp start = kDayOne + day * kDay + minute * kMinute;
      for (const char* key : {"", "a\nb"}) {
        if (*key != '\0' && minute % 3 != 0) continue;
        rows.push_back(row_of(start, key, day * 10'000 + minute));
        WindowRow shown = rows.back();
        if (*key != '\0') shown.keys[0].text = "a\\nb";
        wanted[day].push_back(line_of(shown));
      }
    }
    write(*database, {batch(minutes(), rows)});
  }
  keep_up(*database);
  const std::string directory = temp.file("archive/w/raw");
  CHECK(files_in(directory) ==
        std::vector<std::string>{"2024-01-09.ndjson.gz", "2024-01-10.ndjson.gz"});
  CHECK(lines_in(directory + "/2024-01-09.ndjson.gz") == wanted[0]);
  CHECK(lines_in(directory + "/2024-01-10.ndjson.gz") == wanted[1]);
  CHECK(rows_left(*database) == wanted[4].size() + wanted[5].size());
  keep_up(*database);
  CHECK(files_in(directory).size() == 2);
}

TEST_CASE("an archive that cannot be written keeps its rows in the database", "[store]") {
  const TempDir temp;
  std::ofstream(temp.file("archive")) << "in the way";
  const auto database = open_archiving(temp.database());
  write(*database,
        {batch(minutes(), {row_of(kDayOne, "a", 1), row_of(kDayOne + 5 * kDay, "a", 2)})});
  REQUIRE(database->archives().size() == 1);
  CHECK(database->archives()[0].window == "w");
  CHECK(database->archives()[0].resolution == Resolution::raw);
  CHECK(database->archives()[0].directory == temp.file("archive/w/raw"));
  CHECK(database->archives()[0].failures == 0);
  CHECK(database->archives()[0].error.empty());
  keep_up(*database);
  const ArchiveState first = database->archives()[0];
  CHECK(first.failures == 1);
  CHECK(first.error.find(temp.file("archive")) != std::string::npos);
  CHECK(first.since != 0);
  keep_up(*database);
  CHECK(database->archives()[0].failures == 2);
  CHECK(database->archives()[0].since == first.since);
  CHECK(rows_left(*database) == 2);
  CHECK(database->reach("w", Resolution::raw).removed_until == kMinTimestamp);
  std::filesystem::remove(temp.file("archive"));
  keep_up(*database);
  CHECK(database->archives()[0].failures == 2);
  CHECK(database->archives()[0].error.empty());
  CHECK(database->archives()[0].since == 0);
  CHECK(rows_left(*database) == 1);
  CHECK(lines_in(temp.file("archive/w/raw/2024-01-09.ndjson.gz")) ==
        std::vector<std::string>{line_of(row_of(kDayOne, "a", 1))});
}

TEST_CASE("a row is in the archive once, whatever fails and whatever is undone", "[store]") {
  int failures = 0;
  for (unsigned seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    std::mt19937 random(seed);
    const TempDir temp(TempDir::Where::memory);
    std::map<std::string, std::vector<std::string>> wanted;
    {
      const auto database = open_archiving(temp.database(), 1'000 * kDay);
      std::vector<WindowRow> rows;
      for (int i = 0; i < 200; ++i) {
        const Timestamp start = kDayOne + (i / 60) * kDay + (i % 60) * kMinute;
        rows.push_back(row_of(start, "k", i));
        wanted[to_rfc3339(start).substr(0, 10) + ".ndjson.gz"].push_back(line_of(rows.back()));
      }
      write(*database, {batch(minutes(), rows)});
    }
    auto connection = Connection::open(temp.database(), Connection::Mode::read_write, kSecond);
    REQUIRE(connection.has_value());
    FaultyFileSystem files(posix_file_system());
    const WindowTable table(minutes());
    const std::string directory = temp.file("archive");
    auto archive = std::make_unique<Archive>(files, directory, table, Resolution::raw);
    REQUIRE(archive->load(*connection).has_value());
    const Timestamp until = kDayOne + 10 * kDay;
    Timestamp from = kMinTimestamp;
    for (int step = 0; step < 10'000 && archive->done_until() < until; ++step) {
      const auto call = static_cast<FaultyFileSystem::Call>(random() % FaultyFileSystem::kCalls);
      files.fail_nth(call, random() % 4, ErrorCode::io);
      REQUIRE(connection->execute("BEGIN").has_value());
      const auto done = archive->advance(*connection, from, until, 1 + random() % 30);
      REQUIRE(done.has_value());
      if (!archive->state().error.empty()) ++failures;
      if (random() % 5 == 0) {
        REQUIRE(connection->execute("ROLLBACK").has_value());
        if (random() % 2 == 0) {  // The process has ended.
          archive = std::make_unique<Archive>(files, directory, table, Resolution::raw);
        }
        REQUIRE(archive->load(*connection).has_value());
      } else {
        REQUIRE(connection->execute("COMMIT").has_value());
        from = std::max(from, archive->done_until());
      }
    }
    REQUIRE(archive->done_until() >= until);
    // A day that got its name in a transaction that was undone has it already.
    std::multiset<std::string> rows;
    std::multiset<std::string> expected;
    for (const auto& [file, lines] : wanted) expected.insert(lines.begin(), lines.end());
    for (const std::string& file : files_in(directory + "/w/raw")) {
      INFO(file);
      REQUIRE(wanted.count(file) == 1);
      const std::vector<std::string> lines = lines_in(directory + "/w/raw/" + file);
      CHECK(lines == wanted.at(file));
      rows.insert(lines.begin(), lines.end());
    }
    CHECK(rows == expected);
  }
  CHECK(failures > 40);
}

TEST_CASE("a day whose file is gone or short is written anew from its rows", "[store]") {
  for (const bool gone : {true, false}) {
    const TempDir temp;
    std::vector<std::string> wanted;
    {
      const auto database = open_archiving(temp.database(), 1'000 * kDay);
      std::vector<WindowRow> rows;
      for (int i = 0; i < 30; ++i) {
        rows.push_back(row_of(kDayOne + i * kMinute, "k", i));
        wanted.push_back(line_of(rows.back()));
      }
      write(*database, {batch(minutes(), rows)});
    }
    auto connection = Connection::open(temp.database(), Connection::Mode::read_write, kSecond);
    REQUIRE(connection.has_value());
    const WindowTable table(minutes());
    const std::string directory = temp.file("archive");
    const std::string part = directory + "/w/raw/2024-01-09.ndjson.gz.part";
    {
      Archive archive(posix_file_system(), directory, table, Resolution::raw);
      REQUIRE(archive.load(*connection).has_value());
      REQUIRE(archive.advance(*connection, kMinTimestamp, kDayOne + kDay, 12).value() == 12);
    }
    if (gone) {
      std::filesystem::remove(part);
    } else {
      std::filesystem::resize_file(part, 20);
    }
    Archive archive(posix_file_system(), directory, table, Resolution::raw);
    REQUIRE(archive.load(*connection).has_value());
    for (int i = 0; i < 10 && archive.done_until() < kDayOne + kDay; ++i) {
      REQUIRE(archive.advance(*connection, kMinTimestamp, kDayOne + kDay, 12).has_value());
    }
    CHECK(lines_in(directory + "/w/raw/2024-01-09.ndjson.gz") == wanted);
  }
}

TEST_CASE("a window of more rows than a step has is archived whole", "[store]") {
  const TempDir temp;
  const auto database = open_archiving(temp.database());
  std::set<std::string> wanted;
  std::vector<WindowRow> rows;
  for (int i = 0; i < 1'700; ++i) {
    rows.push_back(row_of(kDayOne, fmt::format("a key of some length, number {}", i), i));
    wanted.insert(line_of(rows.back()));
  }
  rows.push_back(row_of(kDayOne + 9 * kDay, "k", 1));
  write(*database, {batch(minutes(), rows)});
  keep_up(*database);
  const std::vector<std::string> lines = lines_in(temp.file("archive/w/raw/2024-01-09.ndjson.gz"));
  CHECK(lines.size() == wanted.size());
  CHECK(std::set<std::string>(lines.begin(), lines.end()) == wanted);
}
