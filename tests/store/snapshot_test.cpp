// A snapshot: the database as of one commit, copied while others are made.
#include "store/snapshot.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include "store/support.h"

namespace {

using namespace streamobs;               // NOLINT
using namespace streamobs::store;        // NOLINT
using namespace streamobs::store::test;  // NOLINT

/// What a log position gives rise to in these tests: three rows.
Records rows_at(std::uint64_t position) {
  const auto n = static_cast<std::int64_t>(position);
  std::vector<WindowRow> rows;
  for (int i = 0; i < 3; ++i) {
    rows.push_back(service_row(kNoon + n * kMinute, Value::of_string(std::to_string(i)), n));
  }
  return {batch(services(), std::move(rows))};
}

/// Nobody wants it to end.
Result<> on() {
  return {};
}

std::string contents_of(const std::string& copy) {
  return shell(copy,
               "SELECT log_id, applied_position, (SELECT count(*) FROM service_metrics) FROM "
               "streamobs_log;");
}

}  // namespace

TEST_CASE("a copy is the commit of the snapshot, whatever is committed meanwhile", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  REQUIRE(database->bind_log(5).has_value());
  for (std::uint64_t p = 1; p <= 100; ++p) write(*database, rows_at(p), p);
  REQUIRE(database->write(rows_at(101)).has_value());  // Open: not part of it.
  const Result<Snapshot> snapshot = Snapshot::take(temp.database());
  REQUIRE(snapshot.has_value());
  CHECK(snapshot->position().log_id == 5);
  CHECK(snapshot->position().applied == 100);
  REQUIRE(database->commit(101, true).has_value());
  REQUIRE(database->maintain(kNoon).has_value());
  const std::string copy = temp.file("copy.db");
  std::uint64_t told = 0;
  const auto tell = [&told](std::uint64_t bytes) {
    told += bytes;
    return Result<>();
  };
  REQUIRE(snapshot->copy_to(copy, tell).has_value());
  CHECK(std::filesystem::file_size(copy) == snapshot->bytes());
  CHECK(told == snapshot->bytes());
  CHECK(check_copy(copy, on).has_value());
  CHECK(contents_of(copy) == "5|100|300");
  CHECK(shell(copy, "PRAGMA journal_mode;") == "delete");
  CHECK(std::filesystem::status(copy).permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  CHECK(snapshot->copy_to(copy, {}).has_error());  // It is there already.
  CHECK(snapshot->copy_to(temp.file("no/such/place.db"), {}).error().code == ErrorCode::io);
}

TEST_CASE("each copy made beside a writer is some commit and can be gone on with", "[store]") {
  const TempDir temp;
  const auto database = open(temp.database(), {services()});
  REQUIRE(database->bind_log(5).has_value());
  write(*database, rows_at(1), 1);
  std::thread writing([&database] {
    for (std::uint64_t p = 2; p <= 500; ++p) {
      if (try_write(*database, rows_at(p), p).has_error()) return;
      if (p % 50 == 0 && database->maintain(kNoon).has_error()) return;
    }
  });
  std::uint64_t last = 1;
  for (int i = 0; i < 8; ++i) {
    const std::string path = temp.file("copy-" + std::to_string(i));
    const Result<Snapshot> snapshot = Snapshot::take(temp.database());
    REQUIRE(snapshot.has_value());
    REQUIRE(snapshot->copy_to(path, {}).has_value());
    CHECK(check_copy(path, on).has_value());
    const auto restored = open(path, {services()});
    CHECK(restored->log_id() == 5);
    CHECK(restored->applied_position() == snapshot->position().applied);
    CHECK(restored->applied_position() >= last);
    last = restored->applied_position();
    CHECK(restored->window_rows(rows_of("service_metrics"))->size() == last * 3);
    write(*restored, rows_at(last + 1), last + 1);
  }
  writing.join();
  CHECK(database->applied_position() == 500);
  CHECK(database->stats().busy_retries == 0);
}

TEST_CASE("a snapshot of what is no sound database of ours is refused with its reason", "[store]") {
  const TempDir temp;
  CHECK(Snapshot::take(temp.database()).error().code == ErrorCode::not_found);
  CHECK(!std::filesystem::exists(temp.database()));

  std::ofstream(temp.file("empty.db"));
  CHECK(Snapshot::take(temp.file("empty.db")).error().code == ErrorCode::unavailable);

  {
    const auto database = open(temp.database(), {services()});
  }
  REQUIRE(Snapshot::take(temp.database()).has_value());
  std::ofstream(temp.database() + ".damaged") << "a page";
  CHECK(Snapshot::take(temp.database()).error().code == ErrorCode::corrupt);
  std::filesystem::remove(temp.database() + ".damaged");
  CHECK(shell(temp.database(), "PRAGMA user_version = 999;").empty());
  CHECK(Snapshot::take(temp.database()).error().code == ErrorCode::invalid);
}

TEST_CASE("a copy of a damaged database does not pass, and one that is ended ends", "[store]") {
  const TempDir temp;
  {
    const auto database = open(temp.database(), {services()});
    REQUIRE(database->bind_log(5).has_value());
    for (std::uint64_t p = 1; p <= 2'000; ++p) write(*database, rows_at(p), p);
  }
  const auto size = static_cast<std::streamoff>(std::filesystem::file_size(temp.database()));
  REQUIRE(size > 16 * 4096);
  {
    std::fstream file(temp.database(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(size / 4096 / 2 * 4096);
    file << std::string(512, '\xff');
  }
  const Result<Snapshot> snapshot = Snapshot::take(temp.database());
  REQUIRE(snapshot.has_value());
  REQUIRE(snapshot->copy_to(temp.file("copy.db"), {}).has_value());
  const Result<> checked = check_copy(temp.file("copy.db"), on);
  REQUIRE(checked.has_error());
  CHECK(checked.error().code == ErrorCode::corrupt);

  const auto stop = [](std::uint64_t) -> Result<> {
    return fail(ErrorCode::unavailable, "interrupted");
  };
  const Result<> stopped = snapshot->copy_to(temp.file("other.db"), stop);
  REQUIRE(stopped.has_error());
  CHECK(stopped.error().message == "interrupted");
}

TEST_CASE("the check of a copy ends when it is told to", "[store]") {
  const TempDir temp;
  const std::string copy = temp.file("copy.db");
  // Rows without an index: hardly anything but pages, which take SQLite one long step.
  CHECK(shell(copy,
              "PRAGMA synchronous = OFF; CREATE TABLE t (a); INSERT INTO t WITH RECURSIVE n(i) AS "
              "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) SELECT i FROM n;") == "");
  REQUIRE(check_copy(copy, on).has_value());
  const Result<> stopped =
      check_copy(copy, []() -> Result<> { return fail(ErrorCode::unavailable, "interrupted"); });
  REQUIRE(stopped.has_error());
  CHECK(stopped.error().message == "interrupted");
}
