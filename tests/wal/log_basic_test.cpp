// The log on its good days: what was appended is read back, over restarts, rolls, seals and trims.
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <unistd.h>

#include "base/posix_file_system.h"
#include "wal/log_support.h"

using namespace streamobs;             // NOLINT: a test.
using namespace streamobs::wal;        // NOLINT
using namespace streamobs::wal::test;  // NOLINT

namespace {

Items make_items(Random& random, std::uint64_t first, std::size_t count, std::size_t bytes_max) {
  Items items;
  for (std::size_t i = 0; i < count; ++i) {
    items[first + i] = {static_cast<std::uint8_t>(1 + random() % 5),
                        random_payload(random, random() % (bytes_max + 1))};
  }
  return items;
}

}  // namespace

TEST_CASE("log: records come back byte for byte, over restarts") {
  RecordingFileSystem files;
  Random random(1);
  Items all;
  for (int life = 0; life < 5; ++life) {
    auto log = open_log(files, 4096).value();
    CHECK(log->state().created == (life == 0));
    CHECK(log->state().log_id == kLogId);
    CHECK(log->next_sequence() == all.size() + 1);
    CHECK_FALSE(log->state().torn);
    for (int group = 0; group < 6; ++group) {
      const Items items = make_items(random, log->next_sequence(), 1 + random() % 4, 700);
      REQUIRE(append(*log, items).has_value());
      REQUIRE(log->sync().has_value());
      all.insert(items.begin(), items.end());
      CHECK(log->durable_sequence() == all.size());
    }
  }
  const ReadBack back = read_all(files);
  CHECK_FALSE(back.error);
  CHECK_FALSE(back.torn);
  CHECK(back.items == all);
}

TEST_CASE("log: a start that writes nothing leaves no segment behind") {
  RecordingFileSystem files;
  for (int life = 0; life < 10; ++life) {
    auto log = open_log(files, 4096).value();
    if (life == 4) {
      REQUIRE(append(*log, {{1, {1, "x"}}}).has_value());
      REQUIRE(log->sync().has_value());
    }
    if (life > 6) REQUIRE(log->reserve(10).has_value());
  }
  CHECK(list_segments(files, kDirectory).value().size() == 1);
}

TEST_CASE("log: a record larger than a segment gets one that fits") {
  RecordingFileSystem files;
  Random random(2);
  auto log = open_log(files, 4096).value();
  Items all;
  for (const std::size_t size : {100UL, 50'000UL, 10UL, 4096UL, 4095UL, 0UL, 20'000UL}) {
    const Items items = {{log->next_sequence(), {7, random_payload(random, size)}}};
    REQUIRE(append(*log, items).has_value());
    REQUIRE(log->sync().has_value());
    all.insert(items.begin(), items.end());
  }
  CHECK(read_all(files).items == all);
}

TEST_CASE("log: sealing keeps every byte, makes it smaller, and reading starts in the middle") {
  RecordingFileSystem files;
  Random random(3);
  auto log = open_log(files, std::uint64_t{3} << 20).value();
  Items all;
  while (list_segments(files, kDirectory).value().size() < 4) {
    const Items items = make_items(random, log->next_sequence(), 20, 60'000);
    REQUIRE(append(*log, items).has_value());
    REQUIRE(log->sync().has_value());
    all.insert(items.begin(), items.end());
  }
  const std::uint64_t before = log->stats().disk_bytes;
  while (log->seal_next().value()) {
  }
  CHECK(log->stats().segments_sealed == 3);
  CHECK(log->stats().disk_bytes < before);
  CHECK_FALSE(log->seal_next().value());
  CHECK(read_all(files).items == all);
  for (int i = 0; i < 30; ++i) {
    LogReaderOptions options;
    options.from_sequence = 1 + random() % all.size();
    options.to_sequence = options.from_sequence + random() % 50;
    const ReadBack back = read_all(files, options);
    Items expected(all.find(options.from_sequence), all.upper_bound(options.to_sequence));
    CHECK(back.items == expected);
  }
  // Sealing goes on where an earlier process left it.
  log = open_log(files, std::uint64_t{3} << 20).value();
  CHECK_FALSE(log->seal_next().value());
  CHECK(read_all(files).items == all);
}

TEST_CASE("log: trimming removes whole old segments only, and keeps what it was told to") {
  RecordingFileSystem files;
  ManualClock clock(1'700'000'000 * kSecond);
  WalOptions options = small_segments(1024);
  SECTION("nothing kept") {}
  SECTION("by age") {
    options.keep_age = 100 * kSecond;
  }
  SECTION("by bytes") {
    options.keep_bytes = 3000;
  }
  Random random(4);
  auto log = Log::open(files, clock, kDirectory, options, {0, kLogId, 0}).value();
  Items all;
  for (int i = 0; i < 40; ++i) {
    const Items items = {{log->next_sequence(), {1, random_payload(random, 300)}}};
    REQUIRE(append(*log, items).has_value());
    REQUIRE(log->sync().has_value());
    all.insert(items.begin(), items.end());
    clock.advance(10 * kSecond);
  }
  REQUIRE(log->trim(20).has_value());
  const std::uint64_t first = log->first_sequence();
  CHECK(first <= 21);
  const auto segments = read_segments(files, kDirectory, 0).value();
  CHECK(segments[0].header.first_sequence == first);
  if (options.keep_age == 0 && options.keep_bytes == 0) {
    // As far as whole segments allow: the next one holds something younger.
    CHECK(segments[1].header.first_sequence > 21);
  } else if (options.keep_age != 0) {
    // 40 records 10 s apart: those that ended within the last 100 s are behind record 20 anyway.
    CHECK(segments[1].header.first_sequence > 21);
    REQUIRE(log->trim(40).has_value());
    const std::uint64_t kept = log->first_sequence();
    CHECK(kept > 21);
    CHECK(kept <= 31);
  } else {
    REQUIRE(log->trim(40).has_value());
    const auto left = read_segments(files, kDirectory, 0).value();
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i + 1 < left.size(); ++i) {
      bytes += files.file_size(kDirectory + "/" + name_of(left[i])).value();
    }
    CHECK(bytes <= 3000);
    CHECK(bytes > 1500);
  }
  const ReadBack back = read_all(files);
  CHECK(back.items == Items(all.find(log->first_sequence()), all.end()));
  LogReaderOptions too_old;
  too_old.from_sequence = 1;
  REQUIRE(read_all(files, too_old).error);
  CHECK(read_all(files, too_old).error->code == ErrorCode::corrupt);
}

TEST_CASE("log: another log, a lost log and a log that ends too early are refused") {
  RecordingFileSystem files;
  const ManualClock clock(0);
  {
    auto log = open_log(files, 4096).value();
    REQUIRE(append(*log, {{1, {1, "one"}}, {2, {1, "two"}}}).has_value());
    REQUIRE(log->sync().has_value());
  }
  const auto other = Log::open(files, clock, kDirectory, {}, {kLogId + 1, 5, 0});
  REQUIRE_FALSE(other.has_value());
  CHECK(other.error().code == ErrorCode::invalid);
  CHECK(other.error().message.find("1122334455667789") != std::string::npos);

  const auto early = open_log(files, 4096, 3);
  REQUIRE_FALSE(early.has_value());
  CHECK(early.error().code == ErrorCode::corrupt);
  CHECK(early.error().message.find("segment-0000000001.log") != std::string::npos);
  CHECK(open_log(files, 4096, 2).has_value());

  RecordingFileSystem empty;
  const auto lost = Log::open(empty, clock, kDirectory, {}, {kLogId, 5, 3});
  REQUIRE_FALSE(lost.has_value());
  CHECK(lost.error().code == ErrorCode::corrupt);
}

TEST_CASE("log: a record out of order, without type or too large is refused and changes nothing") {
  RecordingFileSystem files;
  auto log = open_log(files, 4096).value();
  CHECK(append(*log, {{2, {1, "x"}}}).error().code == ErrorCode::internal);
  CHECK(append(*log, {{1, {0, "x"}}}).error().code == ErrorCode::internal);
  const std::string piece(std::size_t{1} << 20, 'x');
  const std::vector<std::string_view> pieces(257, piece);
  const LogRecord large{1, 1, pieces, 0};
  CHECK(log->append({&large, 1}).error().code == ErrorCode::too_large);
  REQUIRE(append(*log, {{1, {1, "good"}}}).has_value());
  REQUIRE(log->sync().has_value());
  CHECK(read_all(files).items == Items{{1, {1, "good"}}});
}

TEST_CASE("log: space is prepared when it is due, and taken at once") {
  RecordingFileSystem files;
  auto log = open_log(files, 4096).value();
  CHECK_FALSE(log->prepare_next().value());
  const std::string payload(300, 'p');
  std::uint64_t next = 1;
  const auto write = [&] {
    REQUIRE(append(*log, {{next++, {1, payload}}}).has_value());
    REQUIRE(log->sync().has_value());
  };
  const auto segments = [&] { return list_segments(files, kDirectory).value().size(); };
  write();
  CHECK(log->prepare_next().value());
  CHECK_FALSE(log->prepare_next().value());
  // The first segment was only allocated: it is left for the better one.
  CHECK(segments() == 1);
  write();
  CHECK(segments() == 2);
  // The next one is due when this one is half full.
  CHECK_FALSE(log->prepare_next().value());
  while (segments() == 2 && next < 8) write();
  CHECK(log->prepare_next().value());
  write();
  CHECK(segments() == 2);
  while (segments() == 2) write();
  CHECK(next == 14);
  // A record that does not fit into what was prepared.
  while (!log->prepare_next().value()) write();
  REQUIRE(append(*log, {{next++, {1, std::string(10'000, 'q')}}}).has_value());
  REQUIRE(log->sync().has_value());
  CHECK(read_all(files).items.size() == next - 1);
  // What was not used goes with the log.
  log.reset();
  for (const std::string& path : files.paths()) CHECK_FALSE(path.ends_with(".tmp"));
}

TEST_CASE("log: a reader beside a writer sees records in order and stops cleanly") {
  RecordingFileSystem files;
  Random random(5);
  auto log = open_log(files, 2000).value();
  Items all;
  LogReaderOptions options;
  options.live = true;
  auto reader = LogReader::open(files, kDirectory, options).value();
  std::uint64_t seen = 0;
  for (int i = 0; i < 300; ++i) {
    const Items items = make_items(random, log->next_sequence(), 1 + random() % 3, 400);
    REQUIRE(append(*log, items).has_value());
    all.insert(items.begin(), items.end());
    if (random() % 2 == 0) REQUIRE(log->sync().has_value());
    if (random() % 5 == 0) REQUIRE(log->seal_next().has_value());
    if (random() % 10 == 0) REQUIRE(log->trim(seen / 2).has_value());
    if (random() % 3 == 0) {
      for (std::uint64_t n = random() % 6; n > 0; --n) {
        LogEntry entry;
        const auto more = reader->next(entry);
        REQUIRE(more.has_value());
        if (!*more) {
          CHECK(seen == all.size());
          // The end is the end; to read on, one opens again.
          options.from_sequence = seen + 1;
          reader = LogReader::open(files, kDirectory, options).value();
          break;
        }
        ++seen;
        REQUIRE(entry.sequence == seen);
        REQUIRE(all.at(seen).payload == entry.payload);
      }
    }
  }
  CHECK(seen > 100);
}

TEST_CASE("log: one thread writes while others maintain, ask and read") {
  RecordingFileSystem files;
  auto log = open_log(files, 5000).value();
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> may_trim = 0;
  std::thread maintenance([&] {
    while (!done) {
      if (!log->prepare_next()) std::abort();
      if (!log->seal_next()) std::abort();
      if (!log->trim(may_trim)) std::abort();
    }
  });
  std::thread questions([&] {
    while (!done) {
      const LogStats stats = log->stats();
      if (stats.durable_sequence > stats.appended_sequence) std::abort();
      if (log->poisoned() || log->first_sequence() > log->next_sequence()) std::abort();
    }
  });
  std::thread reader([&] {
    LogReaderOptions options;
    options.live = true;
    while (!done) {
      auto live = LogReader::open(files, kDirectory, options);
      std::uint64_t last = 0;
      for (LogEntry entry; live.has_value();) {
        const auto more = (*live)->next(entry);
        // Trimmed faster than read, which is fair.
        if (!more && more.error().code != ErrorCode::unavailable) std::abort();
        if (!more || !*more) break;
        if (last != 0 && entry.sequence != last + 1) std::abort();
        if (entry.payload != std::string(entry.sequence % 700, 'x')) std::abort();
        last = entry.sequence;
      }
      if (!live && live.error().code != ErrorCode::unavailable) std::abort();
    }
  });
  for (std::uint64_t i = 1; i <= 2000; ++i) {
    REQUIRE(append(*log, {{i, {1, std::string(i % 700, 'x')}}}).has_value());
    REQUIRE(log->sync().has_value());
    if (i % 50 == 0) may_trim = i - 40;
  }
  done = true;
  maintenance.join();
  questions.join();
  reader.join();
  const ReadBack back = read_all(files);
  CHECK_FALSE(back.error);
  CHECK(back.items.rbegin()->first == 2000);
}

TEST_CASE("log: on the machine's own file system") {
  std::string directory = "/tmp/streamobs-log-test-XXXXXX";
  REQUIRE(mkdtemp(directory.data()) != nullptr);
  FileSystem& files = posix_file_system();
  const SystemClock clock;
  const std::string path = directory + "/deep/wal";
  Random random(6);
  Items all;
  for (int life = 0; life < 3; ++life) {
    auto log = Log::open(files, clock, path, small_segments(100'000), {0, kLogId, 0}).value();
    for (int group = 0; group < 10; ++group) {
      // More pieces than one system call takes.
      const Items items = make_items(random, log->next_sequence(), group == 3 ? 700 : 5, 3000);
      REQUIRE(append(*log, items).has_value());
      REQUIRE(log->sync().has_value());
      all.insert(items.begin(), items.end());
    }
    while (log->seal_next().value()) {
    }
  }
  auto reader = LogReader::open(files, path, {}).value();
  Items back;
  for (LogEntry entry; reader->next(entry).value();) {
    back[entry.sequence] = {entry.type, std::string(entry.payload)};
  }
  CHECK(back == all);
  CHECK(reader->bytes_read() == reader->bytes_total());
  for (const std::string& name : files.list(path).value()) {
    REQUIRE(files.remove(path + "/" + name).has_value());
  }
  CHECK(::rmdir(path.c_str()) == 0);
  CHECK(::rmdir((directory + "/deep").c_str()) == 0);
  CHECK(::rmdir(directory.c_str()) == 0);
}
