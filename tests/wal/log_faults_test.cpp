// A disk that fails: every call of the write path, one after the other, with EIO, ENOSPC and short
// writes (faults.md, rows 3 to 5). What was acknowledged stays; after a failed write or sync
// nothing is tried again; a full disk heals.
#include <string>

#include "support/faulty_file_system.h"
#include "wal/log_support.h"

using namespace streamobs;             // NOLINT: a test.
using namespace streamobs::wal;        // NOLINT
using namespace streamobs::wal::test;  // NOLINT
using streamobs::test::FaultyFileSystem;
using Call = FaultyFileSystem::Call;

namespace {

constexpr std::uint64_t kSegmentBytes = 900;

/// A working day of the log; stops at the first failure of the write path.
struct Day {
  RecordingFileSystem disk;
  FaultyFileSystem files{disk};
  Random random{7};
  Items acknowledged;
  Items tried;
  std::optional<Error> open_error;
  std::optional<Error> write_error;
  std::optional<Error> maintenance_error;

  Day() {
    // An earlier life, with a torn tail.
    auto log = open_log(disk, kSegmentBytes).value();
    for (int i = 0; i < 8; ++i) write(*log);
    REQUIRE(append(*log, {{log->next_sequence(), {1, "never synced"}}}).has_value());
    log.reset();
    std::string& bytes = disk.bytes_of(kDirectory + "/" + newest());
    bytes[bytes.find("never synced")] ^= 1;
  }

  std::string newest() { return raw_name(list_segments(disk, kDirectory).value().back().number); }

  /// False: it failed.
  bool write(Log& log) {
    Items items;
    for (std::uint64_t n = 1 + random() % 3; n > 0; --n) {
      items[log.next_sequence() + items.size()] = {2, random_payload(random, random() % 200)};
    }
    for (const auto& [sequence, item] : items) tried[sequence] = item;
    auto done = append(log, items);
    if (done) done = log.sync();
    if (!done) {
      write_error = done.error();
      return false;
    }
    acknowledged.insert(items.begin(), items.end());
    return true;
  }

  void run() {
    auto opened = open_log(files, kSegmentBytes);
    if (!opened) {
      open_error = opened.error();
      return;
    }
    Log& log = **opened;
    for (int i = 0; i < 12; ++i) {
      if (!write(log)) {
        after_failure(log);
        return;
      }
      if (i % 4 == 3) maintain(log);
    }
  }

  void maintain(Log& log) {
    const auto prepared = log.prepare_next();
    if (!prepared) maintenance_error = prepared.error();
    const auto sealed = log.seal_next();
    if (!sealed) maintenance_error = sealed.error();
    const auto trimmed = log.trim(4);
    if (!trimmed) maintenance_error = trimmed.error();
    REQUIRE_FALSE(log.poisoned());
  }

  void after_failure(Log& log) {
    if (write_error->code == ErrorCode::no_space) {
      // Heals: the planted failure was the only one.
      REQUIRE_FALSE(log.poisoned());
      write_error.reset();
      REQUIRE(write(log));
      return;
    }
    REQUIRE(write_error->code == ErrorCode::io);
    REQUIRE(log.poisoned());
    const std::uint64_t changes = disk.changes();
    const Items more = {{log.next_sequence(), {1, "x"}}};
    REQUIRE(append(log, more).error().message == write_error->message);
    REQUIRE(log.sync().error().message == write_error->message);
    REQUIRE(log.reserve(1).error().message == write_error->message);
    // Nothing was tried again.
    REQUIRE(disk.changes() == changes);
  }

  /// Whatever became of the process or the machine: the acknowledged is there, and nothing strange.
  void check_all_there() {
    files.fault = nullptr;
    for (int i = 0; i < 4; ++i) {
      auto state = i == 0 ? disk.after_kill() : disk.after_power_loss(random);
      const auto log = open_log(*state, kSegmentBytes, acknowledged.rbegin()->first);
      if (!log) FAIL(log.error().message);
      const ReadBack back = read_all(*state);
      if (back.error) FAIL(back.error->message);
      REQUIRE(back.first_sequence <= 5);
      const Items wanted(acknowledged.lower_bound(back.first_sequence), acknowledged.end());
      REQUIRE(back.items.size() >= wanted.size());
      for (const auto& [sequence, item] : wanted) REQUIRE(back.items.at(sequence) == item);
      for (const auto& [sequence, item] : back.items) {
        if (tried.contains(sequence)) REQUIRE(item == tried.at(sequence));
      }
    }
  }
};

}  // namespace

TEST_CASE("log faults: each call of each kind fails once, with EIO and with ENOSPC") {
  std::uint64_t failures = 0;
  for (int kind = 0; kind < FaultyFileSystem::kCalls; ++kind) {
    for (const ErrorCode code : {ErrorCode::io, ErrorCode::no_space}) {
      for (std::uint64_t n = 1;; ++n) {
        const auto call = static_cast<Call>(kind);
        INFO(FaultyFileSystem::name_of(call)
             << " call " << n << " error " << static_cast<int>(code));
        Day day;
        bool fired = false;
        day.files.fail_nth(call, n, code);
        day.files.fault = [inner = day.files.fault, &fired](Call made, const std::string& path) {
          auto error = inner(made, path);
          if (error) fired = true;
          return error;
        };
        day.run();
        if (!fired) break;
        ++failures;
        if (day.open_error) REQUIRE(day.open_error->code == code);
        day.check_all_there();
      }
    }
  }
  CHECK(failures > 300);
}

TEST_CASE("log faults: a sync that fails is not believed later, though the cache shows the bytes") {
  RecordingFileSystem disk;
  Random random(8);
  auto log = open_log(disk, 4096).value();
  REQUIRE(append(*log, {{1, {1, "first"}}}).has_value());
  REQUIRE(log->sync().has_value());
  REQUIRE(append(*log, {{2, {1, "second"}}}).has_value());
  disk.fail_next_sync();
  CHECK(log->sync().error().code == ErrorCode::io);
  CHECK(log->sync().error().code == ErrorCode::io);
  CHECK(log->durable_sequence() == 1);
  // The next process reads the second record from the page cache, and may act on it only because it
  // has written it again.
  log = open_log(disk, 4096).value();
  CHECK(log->next_sequence() == 3);
  CHECK(log->state().rewritten_bytes > 0);
  for (int i = 0; i < 100; ++i) {
    const auto state = disk.after_power_loss(random);
    CHECK(read_all(*state).items == Items{{1, {1, "first"}}, {2, {1, "second"}}});
  }
}

TEST_CASE("log faults: a full disk is noticed before anything is written, and heals") {
  RecordingFileSystem disk;
  auto log = open_log(disk, 2000).value();
  Items all;
  const std::string payload(400, 'x');
  disk.set_capacity(5000);
  for (;;) {
    const std::uint64_t sequence = log->next_sequence();
    const auto reserved = log->reserve(bytes_in_log(payload.size()));
    if (!reserved) {
      CHECK(reserved.error().code == ErrorCode::no_space);
      break;
    }
    REQUIRE(append(*log, {{sequence, {1, payload}}}).has_value());
    REQUIRE(log->sync().has_value());
    all[sequence] = {1, payload};
  }
  CHECK(all.size() >= 8);
  const std::uint64_t next = log->next_sequence();
  const Items more = {{next, {1, payload}}};
  CHECK(append(*log, more).error().code == ErrorCode::no_space);
  CHECK_FALSE(log->poisoned());
  CHECK(log->next_sequence() == next);
  CHECK(read_all(disk).items == all);
  // A start on a full disk reads and replays; only writing has to wait.
  log.reset();
  log = open_log(disk, 2000).value();
  CHECK(log->reserve(100).error().code == ErrorCode::no_space);
  // Trimming needs no space, and makes some.
  CHECK(log->trim(5).value() == 1);
  REQUIRE(append(*log, more).has_value());
  REQUIRE(log->sync().has_value());
  all.insert(more.begin(), more.end());
  CHECK(read_all(disk).items == Items(all.find(log->first_sequence()), all.end()));
}

TEST_CASE("log faults: files that are missing or do not belong are noticed") {
  RecordingFileSystem disk;
  auto log = open_log(disk, 600).value();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    REQUIRE(append(*log, {{i, {1, std::string(150, 'a')}}}).has_value());
    REQUIRE(log->sync().has_value());
  }
  log.reset();
  const auto segments = list_segments(disk, kDirectory).value();
  REQUIRE(segments.size() > 4);
  const auto path = [](std::uint64_t number) { return kDirectory + "/" + raw_name(number); };

  SECTION("one in the middle is missing") {
    REQUIRE(disk.remove(path(3)).has_value());
    const ReadBack back = read_all(disk);
    REQUIRE(back.error);
    CHECK(back.error->code == ErrorCode::corrupt);
    CHECK(back.error->message.find(raw_name(2)) != std::string::npos);
    CHECK(back.error->message.find("are missing") != std::string::npos);
  }
  SECTION("the first is missing") {
    REQUIRE(disk.remove(path(1)).has_value());
    LogReaderOptions from_one;
    from_one.from_sequence = 1;
    const ReadBack back = read_all(disk, from_one);
    REQUIRE(back.error);
    CHECK(back.error->code == ErrorCode::corrupt);
  }
  SECTION("the last is missing, and the checkpoint knows") {
    REQUIRE(disk.remove(path(segments.back().number)).has_value());
    CHECK(open_log(disk, 600, 20).error().code == ErrorCode::corrupt);
  }
  SECTION("one has the name of another") {
    REQUIRE(disk.rename(path(2), path(9)).has_value());
    CHECK(open_log(disk, 600).error().code == ErrorCode::corrupt);
    CHECK(read_all(disk).error->code == ErrorCode::corrupt);
  }
  SECTION("one of another log lies among them") {
    RecordingFileSystem other;
    const ManualClock clock(0);
    auto stranger =
        Log::open(other, clock, kDirectory, small_segments(600), {0, kLogId + 1, 0}).value();
    disk.bytes_of(path(segments.back().number)) = other.bytes_of(path(1));
    CHECK_FALSE(open_log(disk, 600).has_value());
  }
  SECTION("a newer format") {
    std::string& bytes = disk.bytes_of(path(segments.back().number));
    bytes[8] = 2;
    const std::uint32_t crc = crc32c(std::string_view(bytes).substr(0, 60));
    bytes.replace(60, 4, reinterpret_cast<const char*>(&crc), 4);
    const auto opened = open_log(disk, 600);
    CHECK(opened.error().code == ErrorCode::invalid);
    CHECK(opened.error().message.find("newer") != std::string::npos);
  }
}
