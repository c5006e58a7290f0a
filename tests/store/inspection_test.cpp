// Damage is found table by table, also beside a writer; statistics are renewed between
// transactions.
#include "store/inspection.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

Records rows(int count) {
  std::vector<WindowRow> made;
  for (int i = 0; i < count; ++i) {
    made.push_back(service_row(kNoon + i * kMinute, Value::of_string(std::to_string(i)), i));
    made.back().state = std::string(300, 's');
  }
  return {batch(services(), std::move(made))};
}

/// Tables that are damaged, by name; all must be readable as such.
std::vector<std::string> damaged(const Inspection& inspection) {
  std::vector<std::string> found;
  for (const std::string& table : inspection.tables()) {
    const Result<std::optional<std::string>> checked = inspection.check(table);
    INFO(table);
    REQUIRE(checked.has_value());
    if (!checked->has_value()) continue;
    found.push_back(table);
    // To be read by people: the first mistake of what may be a hundred.
    CHECK((*checked)->size() < 200);
    CHECK((*checked)->find('\n') == std::string::npos);
  }
  return found;
}

TEST_CASE("a sound database is sound in every table, also beside its writer", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  REQUIRE(database->bind_log(1).has_value());
  write(*database, rows(500), 1);
  const Result<Inspection> inspection = Inspection::open(temp.database());
  REQUIRE(inspection.has_value());
  CHECK(inspection->tables().size() > 5);
  CHECK(damaged(*inspection).empty());
  // What is written behind its back it sees when it looks again.
  REQUIRE(database->write(rows(600)).has_value());
  CHECK(damaged(*inspection).empty());
  REQUIRE(database->commit(2, false).has_value());
  CHECK(damaged(*inspection).empty());
}

TEST_CASE("a page that is overwritten is found, and the table it belongs to", "[store]") {
  const TempDir temp;
  {
    const auto database = open(temp.database(), {services()});
    REQUIRE(database->bind_log(1).has_value());
    write(*database, rows(2'000), 1);
    REQUIRE(database->maintain(kNoon).has_value());  // Folds the journal in.
  }
  const std::string page = shell(temp.database(),
                                 "SELECT max(pageno) FROM dbstat WHERE name = 'service_metrics' OR "
                                 "name LIKE '%service_metrics%' AND pagetype = 'leaf'");
  const auto number = std::stoul(page.find_first_not_of("0123456789") == std::string::npos
                                     ? page
                                     : shell(temp.database(), "PRAGMA page_count"));
  {
    std::fstream file(temp.database(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>((number - 1) * 4096));
    const std::string rubbish(4096, '\x5a');
    file.write(rubbish.data(), static_cast<std::streamsize>(rubbish.size()));
  }
  const Result<Inspection> inspection = Inspection::open(temp.database());
  REQUIRE(inspection.has_value());
  const std::vector<std::string> found = damaged(*inspection);
  REQUIRE(found.size() == 1);
}

TEST_CASE("of many mistakes the first is told, and how many more there are", "[store]") {
  const TempDir temp;
  {
    const auto database = open(temp.database(), {services()});
    REQUIRE(database->bind_log(1).has_value());
    write(*database, rows(2'000), 1);
    REQUIRE(database->maintain(kNoon).has_value());
  }
  std::fstream file(temp.database(), std::ios::binary | std::ios::in | std::ios::out);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::size_t pages = 0;
  for (std::size_t page = 4096; page + 4096 <= bytes.size() && pages < 20; page += 4096) {
    // Leaves of an index b-tree, which is what a table WITHOUT ROWID is.
    if (bytes[page] != 10 || bytes.find("ssssssss", page) > page + 4096) continue;
    bytes[page + 7] = static_cast<char>(bytes[page + 7] + 7);  // How much of it is fragments.
    ++pages;
  }
  REQUIRE(pages == 20);
  file.seekp(0);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  const Result<Inspection> inspection = Inspection::open(temp.database());
  REQUIRE(inspection.has_value());
  CHECK(damaged(*inspection).size() == 1);
  const auto told = inspection->check("window_service_metrics");
  REQUIRE(told->has_value());
  CHECK((*told)->find("more)") != std::string::npos);
}

TEST_CASE("a look reads the journal, too, and leaves nothing behind", "[store]") {
  const TempDir temp;
  {
    const auto database = open(temp.database(), {services()});
    REQUIRE(database->bind_log(7).has_value());
    write(*database, rows(500), 41);
  }
  const auto look = [&] {
    std::set<std::string> before;
    for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
      before.insert(entry.path().string());
    }
    {
      const Result<Inspection> inspection = Inspection::look(temp.database());
      REQUIRE(inspection.has_value());
      CHECK(damaged(*inspection).empty());
      const Result<LogPosition> position = inspection->position();
      REQUIRE(position.has_value());
      CHECK(position->log_id == 7);
      CHECK(position->applied == 41);
      CHECK(!inspection->was_written());
    }
    std::set<std::string> after;
    for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
      after.insert(entry.path().string());
    }
    CHECK(after == before);
  };
  SECTION("after an orderly end") {
    CHECK(!std::filesystem::exists(temp.database() + "-wal"));
    look();
  }
  SECTION("after a kill: what was committed last is in the journal alone") {
    const std::string killed = temp.file("killed #1?%.db");
    {
      const auto database = open(temp.database(), {services()});
      write(*database, rows(600), 42);
      std::filesystem::copy_file(temp.database(), killed);
      std::filesystem::copy_file(temp.database() + "-wal", killed + "-wal");
    }
    const Result<Inspection> inspection = Inspection::look(killed);
    REQUIRE(inspection.has_value());
    CHECK(inspection->position().value().applied == 42);
    CHECK(damaged(*inspection).empty());
    CHECK(!std::filesystem::exists(killed + "-shm"));
    shell(temp.database(), "SELECT 1");
    const Result<Inspection> written = Inspection::look(temp.database());
    REQUIRE(written.has_value());
    CHECK(!written->was_written());
    shell(temp.database(), "CREATE TABLE notes (text TEXT)");
    CHECK(written->was_written());
  }
}

TEST_CASE("what is no database cannot be opened", "[store]") {
  const TempDir temp;
  CHECK(Inspection::open(temp.database()).error().code == ErrorCode::not_found);
  std::ofstream(temp.database()) << std::string(8192, 'x');
  CHECK(Inspection::open(temp.database()).error().code == ErrorCode::corrupt);
}

TEST_CASE("statistics are renewed between transactions, not of what comes and goes", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  REQUIRE(database->bind_log(1).has_value());
  write(*database, rows(500), 1);
  const Result<std::vector<std::string>> tables = database->tables_to_analyze();
  REQUIRE(tables.has_value());
  REQUIRE_FALSE(tables->empty());
  for (const std::string& table : *tables) {
    CHECK(table.find("streamobs_") != 0);
    CHECK(database->analyze(table).value());
  }
  CHECK(shell(temp.database(), "SELECT count(*) > 0 FROM sqlite_stat1") == "1");
  CHECK(database->analyze("gone").value());
  REQUIRE(database->write(rows(10)).has_value());
  CHECK_FALSE(database->analyze(tables->front()).value());
  REQUIRE(database->commit(2, false).has_value());
  CHECK(database->analyze(tables->front()).value());
  CHECK(database->window_rows(rows_of("service_metrics")).has_value());
}

}  // namespace
