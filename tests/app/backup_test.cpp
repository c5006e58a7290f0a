#include "app/backup.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <sys/stat.h>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/backup_support.h"
#include "base/posix_file_system.h"
#include "base/time_format.h"
#include "store/database.h"

namespace {

using namespace streamobs;           // NOLINT
using namespace streamobs::app;      // NOLINT
using namespace streamobs::testing;  // NOLINT

constexpr std::size_t kBatch = 20;
constexpr std::size_t kThreads = 3;

/// Segments and checkpoints far smaller and more frequent than a config can ask for, so that what
/// is being copied goes away all the time.
std::shared_ptr<const Plan> restless_plan(const std::string& data_dir) {
  Plan plan = *plan_of(kToml, data_dir);
  plan.config.wal.segment_bytes = 32 << 10;
  plan.config.wal.checkpoint_every = 20 * kMillisecond;
  plan.config.wal.checkpoint_bytes = 64 << 10;
  return std::make_shared<const Plan>(std::move(plan));
}

/// Sends batches of events that are never sent twice, on several threads.
class Load {
 public:
  explicit Load(EngineRun& engine) {
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads_.emplace_back([this, i, &engine] { run(i, engine); });
    }
  }
  ~Load() { stop(); }
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  std::size_t acknowledged(std::size_t thread) const { return acknowledged_[thread]; }
  std::size_t sent(std::size_t thread) const { return sent_[thread]; }
  std::size_t failed() const { return failed_; }

 private:
  void run(std::size_t thread, EngineRun& engine) {
    while (!stop_) {
      std::string body;
      const Timestamp at = kBegin + static_cast<Timestamp>(++steps_) * 50 * kMillisecond;
      for (std::size_t i = 0; i < kBatch; ++i) {
        body += fmt::format("{{\"name\":\"{}-{}\",\"at\":\"{}\",\"at_step\":1}}\n", thread,
                            sent_[thread] + i, to_rfc3339(at));
      }
      sent_[thread] += kBatch;
      const source::IngestOutcome outcome = engine->push(0, body);
      if (outcome.status != source::IngestOutcome::Status::taken) ++failed_;
      acknowledged_[thread] += kBatch;
    }
  }

  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> steps_{0};
  std::atomic<std::size_t> failed_{0};
  std::atomic<std::size_t> sent_[kThreads]{};
  std::atomic<std::size_t> acknowledged_[kThreads]{};
  std::vector<std::thread> threads_;
};

/// How often each name was counted in closed windows, by what an engine that has ended has stored.
std::map<std::string, std::uint64_t> counted(const std::string& data_dir) {
  const auto plan = plan_of(kToml, data_dir);
  store::StoreOptions options = plan->config.store;
  options.path = data_dir + "/streamobs.db";
  const auto database = store::Database::open(options, plan->schemas());
  REQUIRE(database.has_value());
  store::WindowQuery query;
  query.window = "names";
  query.limit = 10'000'000;
  const auto rows = (*database)->window_rows(query);
  REQUIRE(rows.has_value());
  std::map<std::string, std::uint64_t> counts;
  for (const WindowRow& row : *rows) {
    if (row.closed) counts[row.keys[0].to_string()] += std::stoull(row.metrics[0].to_string());
  }
  return counts;
}

/// Starts an engine on a restored data directory, closes what is open and stops it again.
std::map<std::string, std::uint64_t> counted_in_restored(const std::string& data_dir) {
  EngineRun engine(plan_of(kToml, data_dir));
  push(engine, "new", kBegin + 30 * kDay);
  push(engine, "end", kBegin + 60 * kDay);
  REQUIRE(engine.stop() == 0);
  auto counts = counted(data_dir);
  CHECK(counts["new"] == 1);
  counts.erase("new");
  return counts;
}

std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      paths.push_back(std::filesystem::relative(entry.path(), directory).string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

unsigned mode_of(const std::string& path) {
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return info.st_mode & 0777;
}

}  // namespace

TEST_CASE("backups of a running engine hold what was acknowledged before, once", "[app]") {
  TemporaryDirectory temp;
  const std::string data_dir = temp.file("data");
  constexpr std::size_t kBackups = 6;
  std::vector<std::vector<std::size_t>> acknowledged(kBackups);
  std::vector<std::vector<std::size_t>> sent(kBackups);
  std::uint64_t first_record = 0;
  {
    EngineRun engine(restless_plan(data_dir));
    Load load(engine);
    for (std::size_t i = 0; i < kBackups; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(i * 60));
      for (std::size_t t = 0; t < kThreads; ++t) acknowledged[i].push_back(load.acknowledged(t));
      const auto made = back_up_to(data_dir, temp.file(fmt::format("backup-{}", i)));
      if (made.has_error()) FAIL(made.error().message);
      for (std::size_t t = 0; t < kThreads; ++t) sent[i].push_back(load.sent(t));
      CHECK(made->database_position >= made->checkpoint_position);
      CHECK(made->last_record >= made->database_position);
      CHECK(made->first_record <= made->checkpoint_position + 1);
      first_record = made->first_record;
    }
    load.stop();
    CHECK(load.failed() == 0);
    REQUIRE(engine.stop() == 0);
  }
  CHECK(first_record > 1);  // The log was trimmed meanwhile, so the race was run.
  for (std::size_t i = 0; i < kBackups; ++i) {
    const std::string restored = temp.file(fmt::format("restored-{}", i));
    const auto done = restore_to(temp.file(fmt::format("backup-{}", i)), restored);
    if (done.has_error()) FAIL(done.error().message);
    const auto counts = counted_in_restored(restored);
    std::size_t wrong = 0;
    std::size_t known = 0;
    for (std::size_t t = 0; t < kThreads; ++t) {
      for (std::size_t n = 0; n < sent[i][t]; ++n) {
        const auto found = counts.find(fmt::format("{}-{}", t, n));
        const std::uint64_t count = found == counts.end() ? 0 : found->second;
        known += count;
        if (count > 1 || (n < acknowledged[i][t] && count != 1)) ++wrong;
      }
    }
    CHECK(wrong == 0);
    CHECK(counts.size() == known);  // And nothing that was sent only later.
  }
}

TEST_CASE("a backup of a stopped engine is closed to others and goes on where it was", "[app]") {
  TemporaryDirectory temp;
  const std::string data_dir = temp.file("data");
  make_data(data_dir);
  const std::string to = temp.file("backup");
  std::filesystem::create_directory(data_dir + "/set-aside");
  std::ofstream(data_dir + "/set-aside/record-7.batch") << "a batch";
  const auto before = files_below(data_dir);
  const auto made = back_up_to(data_dir + "/", to + "/");
  if (made.has_error()) FAIL(made.error().message);
  CHECK(made->checkpoint_position > 0);
  CHECK(!std::filesystem::exists(to + ".unfinished"));
  CHECK(mode_of(to) == 0700);
  for (const char* directory : {"/wal", "/checkpoint", "/set-aside"})
    CHECK(mode_of(to + directory) == 0700);
  std::vector<std::string> named{"backup.manifest"};
  for (const BackupFile& file : made->files) {
    named.push_back(file.path);
    CHECK(std::filesystem::file_size(to + "/" + file.path) == file.sum.bytes);
    CHECK(mode_of(to + "/" + file.path) == 0600);
  }
  std::sort(named.begin(), named.end());
  CHECK(files_below(to) == named);
  // Of the original, SQLite's own files beside the database are all that may have come.
  for (const std::string& path : files_below(data_dir)) {
    const bool was_there = std::find(before.begin(), before.end(), path) != before.end();
    CHECK((was_there || path == "streamobs.db-wal" || path == "streamobs.db-shm"));
  }
  CHECK(check_backup(posix_file_system(), to, {}).value() == *made);

  // Onto a directory that is there and empty, as the root of a volume is.
  const std::string restored = temp.file("restored");
  std::filesystem::create_directories(restored + "/lost+found");
  std::filesystem::permissions(restored, std::filesystem::perms::owner_all);
  REQUIRE(restore_to(to, restored).value() == *made);
  CHECK(!std::filesystem::exists(restored + "/restoring.tmp"));
  CHECK(posix_file_system().read_file(restored + "/set-aside/record-7.batch").value() == "a batch");
  for (const BackupFile& file : made->files) CHECK(mode_of(restored + "/" + file.path) == 0600);
  const auto counts = counted_in_restored(restored);
  CHECK(counts.size() == 10);
  for (const auto& [name, count] : counts) CHECK(count == 1);
}

TEST_CASE("backups of a young engine and of a replayed database need no checkpoint", "[app]") {
  TemporaryDirectory temp;
  const std::string to = temp.file("backup");
  {
    EngineRun engine(plan_of(kToml, temp.file("data")));
    push(engine, "a", kBegin);
    const auto made = back_up_to(temp.file("data"), to);
    if (made.has_error()) FAIL(made.error().message);
    CHECK(made->checkpoint_position == 0);
    CHECK(made->first_record == 1);
    CHECK(engine.stop() == 0);
  }
  REQUIRE(restore_to(to, temp.file("restored")).has_value());
  CHECK(counted_in_restored(temp.file("restored")) ==
        std::map<std::string, std::uint64_t>{{"a", 1}});

  const std::string lines = temp.file("lines.ndjson");
  std::ofstream(lines) << fmt::format("{{\"name\":\"x\",\"at\":\"{}\",\"at_step\":1}}\n",
                                      to_rfc3339(kBegin));
  REQUIRE(run_replay(plan_of(kToml, temp.file("replayed"), {lines})) == 0);
  const auto made = back_up_to(temp.file("replayed"), temp.file("of-replayed"));
  if (made.has_error()) FAIL(made.error().message);
  CHECK(made->files.size() == 1);
  REQUIRE(restore_to(temp.file("of-replayed"), temp.file("again")).has_value());
  CHECK(counted_in_restored(temp.file("again")) == std::map<std::string, std::uint64_t>{{"x", 1}});
}

TEST_CASE("a backup that was changed is refused and the file named", "[app]") {
  MemoryDirectory temp;
  make_data(temp.file("data"));
  const std::string to = temp.file("backup");
  const auto made = back_up_to(temp.file("data"), to);
  REQUIRE(made.has_value());
  const std::string restored = temp.file("restored");
  const auto refused = [&](const std::string& name) {
    for (const auto& outcome :
         {restore_to(to, restored), check_backup(posix_file_system(), to, {})}) {
      REQUIRE(outcome.has_error());
      CHECK(outcome.error().code == ErrorCode::corrupt);
      CHECK(outcome.error().message.find(name) != std::string::npos);
      CHECK(!std::filesystem::exists(restored));
    }
  };
  std::vector<std::string> names{"backup.manifest"};
  for (const BackupFile& file : made->files) names.push_back(file.path);
  for (const std::string& name : names) {
    INFO(name);
    const std::string path = to + "/" + name;
    const std::string bytes = posix_file_system().read_file(path).value();
    std::string changed = bytes;
    changed[bytes.size() / 2] = static_cast<char>(changed[bytes.size() / 2] ^ 1);
    std::ofstream(path, std::ios::binary) << changed;
    refused(name);
    std::ofstream(path, std::ios::binary) << bytes.substr(0, bytes.size() - 1);
    refused(name);
    std::filesystem::remove(path);
    if (name != "backup.manifest") refused(name);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  CHECK(restore_to(to, restored).has_value());
}

TEST_CASE("what is no backup and where none can go is said with the way out", "[app]") {
  MemoryDirectory temp;
  make_data(temp.file("data"));
  const std::string to = temp.file("backup");
  REQUIRE(back_up_to(temp.file("data"), to).has_value());

  const auto again = back_up_to(temp.file("data"), to);
  CHECK(again.error().code == ErrorCode::invalid);
  CHECK(again.error().message.find("another name") != std::string::npos);
  std::filesystem::create_directory(temp.file("other.unfinished"));
  const auto cut_short = back_up_to(temp.file("data"), temp.file("other"));
  CHECK(cut_short.error().code == ErrorCode::invalid);
  CHECK(cut_short.error().message.find("rm -r") != std::string::npos);
  CHECK(back_up_to(temp.file("data"), temp.file("no/such/place")).error().code ==
        ErrorCode::not_found);
  CHECK(back_up_to(temp.file("nothing"), temp.file("b")).error().code == ErrorCode::not_found);
  CHECK(!std::filesystem::exists(temp.file("nothing")));
  CHECK(!std::filesystem::exists(temp.file("b.unfinished")));

  CHECK(restore_to(temp.file("data"), temp.file("r")).error().code == ErrorCode::not_found);
  const auto onto = restore_to(to, temp.file("data"));
  CHECK(onto.error().code == ErrorCode::invalid);
  CHECK(onto.error().message.find("--data-dir") != std::string::npos);
  std::filesystem::create_directory(temp.file("mine"));
  std::ofstream(temp.file("mine/file")) << "x";
  CHECK(restore_to(to, temp.file("mine")).error().code == ErrorCode::invalid);
  CHECK(files_below(temp.file("mine")) == std::vector<std::string>{"file"});

  EngineRun engine(plan_of(kToml, temp.file("data")));
  CHECK(restore_to(to, temp.file("data")).error().code == ErrorCode::unavailable);
}

TEST_CASE("data that does not belong together is not backed up", "[app]") {
  MemoryDirectory temp;
  make_data(temp.file("data"));
  make_data(temp.file("other"));
  const auto swap = [&](const std::string& name) {
    std::filesystem::rename(temp.file("data/" + name), temp.file("aside"));
    std::filesystem::rename(temp.file("other/" + name), temp.file("data/" + name));
    std::filesystem::rename(temp.file("aside"), temp.file("other/" + name));
  };
  for (const char* name : {"wal", "checkpoint", "streamobs.db"}) {
    swap(name);
    const auto mixed = back_up_to(temp.file("data"), temp.file("b"));
    REQUIRE(mixed.has_error());
    CHECK(mixed.error().code == ErrorCode::invalid);
    swap(name);
  }
  std::filesystem::rename(temp.file("data/wal"), temp.file("aside"));
  CHECK(back_up_to(temp.file("data"), temp.file("b")).error().code == ErrorCode::corrupt);
  CHECK(!std::filesystem::exists(temp.file("b")));
}
