// The sink when the disk is full, and when the engine is cut off and replays its log.
#include <random>
#include <sys/mount.h>
#include <unistd.h>

#include "sink/support.h"

namespace {

using namespace streamobs;              // NOLINT
using namespace streamobs::sink::test;  // NOLINT

/// A disk of a few megabytes, or none where mounting is not permitted.
class SmallDisk {
 public:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {
    std::filesystem::create_directory(path_);
    mounted_ = ::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=3m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  void grow() const { ::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, "size=256m"); }

 private:
  std::string path_;
  bool mounted_ = false;
};

/// A sink over a database on a small disk.
struct OnSmallDisk {
  explicit OnSmallDisk(std::size_t keep_bytes_max) : disk(temp.file("disk")) {
    if (!disk.mounted()) return;
    const std::string path = temp.file("disk") + "/streamobs.db";
    database = open(path, {services()});
    store::StoreOptions made = options(path);
    made.rows_per_transaction = 200;
    sink.emplace(
        *database, input, pool, clock, metrics, made, [this](const Error& error) { fatal = error; },
        sink::StoreSink::SaveCheckpoint(), keep_bytes_max);
  }

  TempDir temp;
  SmallDisk disk;
  asio::io_context io;
  Channel input{512};
  flow::BlockingPool pool{1};
  ManualClock clock{kNoon};
  telemetry::Registry metrics;
  std::unique_ptr<store::Database> database;
  std::optional<sink::StoreSink> sink;
  std::optional<Error> fatal;
};

asio::awaitable<void> fill_the_disk(OnSmallDisk& f) {
  // Two cuts that fit, and then one step that does not: it fails in the midst of its transaction.
  for (std::uint64_t p = 1; p <= 3; ++p) {
    for (int i = 0; i < (p < 3 ? 2 : 100); ++i) {
      std::vector<WindowRow> rows;
      for (int k = 0; k < 20; ++k) {
        rows.push_back(service_row(kNoon + static_cast<Timestamp>(p) * kMinute,
                                   Value::of_string(std::to_string(i * 20 + k)), 1));
        rows.back().state = std::string(3'000, 's');
      }
      Record record = batch(services(), std::move(rows));
      co_await f.input.push(std::move(record));
      Record refused = letter_at(0, 0);
      co_await f.input.push(std::move(refused));
    }
    Record line = cut(p);
    co_await f.input.push(std::move(line));
  }
  const std::function<bool()> in_trouble = [&f] {
    return f.fatal.has_value() || f.metrics.value("streamobs_store_retries_total") >= 2;
  };
  const bool seen = co_await until(in_trouble);
  CHECK(seen);
  f.disk.grow();
  f.input.close();
}

void run(OnSmallDisk& f) {
  flow::TaskGroup tasks([](const std::string& name, const std::exception_ptr&) {
    FAIL_CHECK(name << " ended with an exception");
  });
  tasks.spawn(asio::make_strand(f.io), "sink", f.sink->run());
  tasks.spawn(asio::make_strand(f.io), "fill", fill_the_disk(f));
  f.io.run();
}

}  // namespace

TEST_CASE("a disk that fills in the midst of a transaction costs no row and counts none twice",
          "[sink]") {
  OnSmallDisk f(sink::StoreSink::kKeepBytesMax);
  if (!f.disk.mounted()) {
    WARN("mounting a small file system is not permitted here: skipped");
    return;
  }
  run(f);
  CHECK_FALSE(f.fatal.has_value());
  CHECK(f.database->window_rows(rows_of("service_metrics"))->size() == 40 + 40 + 2'000);
  CHECK(f.database->dead_letter_counts()->at(0).count == 2 + 2 + 100);
  CHECK(f.database->applied_position() == 3);
  CHECK(f.database->stats().transactions <= 3);
}

TEST_CASE("what is too much to be kept in memory ends the engine instead, with nothing half done",
          "[sink]") {
  OnSmallDisk f(1'000'000);
  if (!f.disk.mounted()) {
    WARN("mounting a small file system is not permitted here: skipped");
    return;
  }
  run(f);
  REQUIRE(f.fatal.has_value());
  CHECK(f.fatal->code == ErrorCode::unavailable);
  CHECK(f.fatal->message.find("made again from the log") != std::string::npos);
  CHECK(f.database->window_rows(rows_of("service_metrics"))->size() == 40 + 40);
  CHECK(f.database->dead_letter_counts()->at(0).count == 2 + 2);
  CHECK(f.database->applied_position() == 2);
}

namespace {

/// What a log position gives rise to, always the same: results, anomalies, refused events, nothing.
std::vector<Record> of_position(std::uint64_t p) {
  std::mt19937_64 random(p);
  std::vector<Record> records;
  for (std::uint64_t i = 0; i < random() % 4; ++i) {
    auto made = std::make_shared<WindowBatch>();
    made->schema = services();
    made->position = p;
    for (std::uint64_t k = 0; k < random() % 30; ++k) {
      const auto start = kNoon + static_cast<Timestamp>(random() % 20) * kMinute;
      made->rows.push_back(service_row(start, Value::of_string(std::to_string(random() % 9)),
                                       static_cast<std::int64_t>(random() % 1'000)));
      made->rows.back().revision = static_cast<std::uint32_t>(p);
    }
    made->early = random() % 5 == 0;
    records.push_back(WindowBatchPtr(std::move(made)));
    if (random() % 3 == 0) {
      Anomaly raised = anomaly(fmt::format("a{}", random() % 20), kNoon, {});
      raised.position = p;
      raised.resolved = random() % 4 == 0;
      records.push_back(std::make_shared<const Anomaly>(std::move(raised)));
    }
    if (random() % 2 == 0) records.push_back(letter_at(p, static_cast<std::uint32_t>(i)));
  }
  return records;
}

/// One life of the engine: replays from behind the checkpoint, and is cut off after `records`.
/// Gives the position of the newest checkpoint it has made.
std::uint64_t live(const std::string& path, std::uint64_t checkpoint, std::uint64_t last,
                   std::size_t records, std::mt19937_64& random) {
  asio::io_context io;
  Channel input(1 + random() % 40);
  flow::BlockingPool pool(1);
  ManualClock clock(kNoon);
  telemetry::Registry metrics;
  const auto database = open(path, {services()});
  REQUIRE(database->bind_log(3).has_value());
  REQUIRE(database->applied_position() >= checkpoint);
  store::StoreOptions made = options(path);
  made.rows_per_transaction = 1 + random() % 100;
  std::uint64_t saved = checkpoint;
  const auto save = [&saved](const std::shared_ptr<CheckpointParts>& parts) -> Result<> {
    saved = parts->position;
    return {};
  };
  sink::StoreSink sink(
      *database, input, pool, clock, metrics, made, [](const Error& e) { FAIL_CHECK(e.message); },
      save);
  std::vector<Record> all;
  for (std::uint64_t p = checkpoint + 1; p <= last; ++p) {
    for (Record& record : of_position(p)) all.push_back(std::move(record));
    // Cuts come after every few positions; some are barriers.
    if (p == last || random() % 3 == 0) {
      all.push_back(cut(p, random() % 6 == 0 ? barrier(p) : nullptr));
    }
  }
  if (all.size() > records) all.resize(records);
  flow::TaskGroup tasks([](const std::string& name, const std::exception_ptr&) {
    FAIL_CHECK(name << " ended with an exception");
  });
  tasks.spawn(asio::make_strand(io), "sink", sink.run());
  tasks.spawn(asio::make_strand(io), "produce", push_all(input, std::move(all)));
  io.run();
  return saved;
}

}  // namespace

TEST_CASE("however often it is cut off and replayed, the database is that of one run", "[sink]") {
  constexpr std::uint64_t kLast = 120;
  const std::string contents =
      "SELECT * FROM window_service_metrics ORDER BY 1, 2; SELECT * FROM anomaly ORDER BY id;"
      "SELECT * FROM dead_letter ORDER BY id; SELECT * FROM dead_letter_count;"
      "SELECT * FROM sqlite_sequence;";
  std::mt19937_64 random(1);
  const TempDir whole(TempDir::Where::memory);
  live(whole.database(), 0, kLast, 1'000'000, random);
  const std::string expected = shell(whole.database(), contents);
  REQUIRE(expected.size() > 5'000);
  for (int seed = 0; seed < 25; ++seed) {
    INFO("seed " << seed);
    random.seed(static_cast<std::uint64_t>(seed) + 100);
    const TempDir temp(TempDir::Where::memory);
    std::uint64_t checkpoint = 0;
    for (int lives = 0; lives < 4; ++lives) {
      checkpoint = live(temp.database(), checkpoint, kLast, random() % 150, random);
    }
    live(temp.database(), checkpoint, kLast, 1'000'000, random);
    CHECK(shell(temp.database(), contents) == expected);
  }
}
