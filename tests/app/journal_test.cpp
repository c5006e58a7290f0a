#include "app/journal.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "flow/task_group.h"
#include "support/catch.h"
#include "support/faulty_file_system.h"
#include "support/recording_file_system.h"

// g++ 12 under AddressSanitizer takes Asio's allocation of a coroutine's frame for another one's.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
#endif

namespace {

using namespace streamobs;  // NOLINT
using app::Acknowledgement;
using app::Journal;
using app::Step;
using test::FaultyFileSystem;
using test::RecordingFileSystem;
using Fate = Acknowledgement::Fate;

constexpr std::uint64_t kLogId = 7;

/// A journal over a disk in memory, one client that sends, and one reader behind the log that looks
/// at each step as it comes, both on one strand.
struct Rig {
  explicit Rig(wal::WalOptions options = {})
      : executor(asio::make_strand(io)),
        log_thread(1),
        journal(log_thread, clock, metrics, [this](Error error) {
          ++fatal_calls;
          fatal = std::move(error);
        }) {
    options.segment_bytes = std::uint64_t{1} << 20;
    wal::LogOpenOptions open_options;
    open_options.new_log_id = kLogId;
    log = wal::Log::open(files, clock, "data/wal", options, open_options).value();
    journal.attach(*log, options);
  }

  /// A batch that takes the next place in the log, and somebody who waits for it.
  Step next(std::size_t bytes = 10) {
    auto batch = std::make_unique<EventBatch>();
    batch->encoded.bytes = "batch " + std::to_string(waiting.size() + 1);
    batch->encoded.bytes.resize(bytes, '.');
    batch->encoded.crc32c = crc32c(batch->encoded.bytes);
    Step step;
    step.acknowledgement = std::make_shared<Acknowledgement>();
    {
      const std::lock_guard lock(mutex);
      waiting.push_back(step.acknowledgement);
    }
    step.what = wal::Sequenced{waiting.size(), wal::EventBatchPtr(std::move(batch))};
    return step;
  }

  /// Runs everything until `produce`, which closes the journal, and all others have ended.
  void run(asio::awaitable<void> (*produce)(Rig&)) {
    tasks.spawn(log_thread.executor(), "journal", journal.run());
    tasks.spawn(executor, "reader", read(*this));
    tasks.spawn(executor, "client", produce(*this));
    // One of them is not of `io`, which is to run until all have ended.
    asio::co_spawn(executor, tasks.join(), [](const std::exception_ptr&) {});
    io.run();
  }

  static asio::awaitable<void> read(Rig& rig) {
    std::vector<Step> steps;
    while (true) {
      steps.clear();
      const std::size_t count = co_await rig.journal.output().pop_batch(steps, 64);
      if (count == 0) break;
      for (const Step& step : steps) {
        if (step.position() == 0) continue;
        CHECK(step.position() == rig.passed + 1);
        CHECK(rig.log->durable_sequence() >= step.position());
        rig.passed = step.position();
      }
    }
  }

  /// Any thread.
  std::size_t answered() {
    const std::lock_guard lock(mutex);
    std::size_t count = 0;
    for (const auto& each : waiting) count += each->done ? 1 : 0;
    return count;
  }

  asio::io_context io;
  asio::strand<asio::io_context::executor_type> executor;
  /// Outlives the log's thread, on which the last of it may still be ending.
  flow::TaskGroup tasks{[](const std::string& name, const std::exception_ptr&) {
    FAIL_CHECK(name << " ended with an exception");
  }};
  RecordingFileSystem disk;
  FaultyFileSystem files{disk};
  ManualClock clock{kHour};
  flow::BlockingPool log_thread;
  telemetry::Registry metrics;
  std::unique_ptr<wal::Log> log;
  Journal journal;
  std::mutex mutex;                              ///< Held to change it, and off the strand.
  std::vector<app::AcknowledgementPtr> waiting;  ///< Of each record, in their order.
  std::uint64_t passed = 0;                      ///< What has come out behind the log.
  int fatal_calls = 0;
  std::optional<Error> fatal;
};

asio::awaitable<void> wait_for(const app::AcknowledgementPtr& acknowledgement) {
  const auto done = [&acknowledgement] { return acknowledgement->done.load(); };
  co_await acknowledgement->signal.wait(done);
}

/// Lets everybody else on the strand go on until the reader has seen that record.
asio::awaitable<void> wait_until_passed(Rig& rig, std::uint64_t position) {
  while (rig.passed < position) co_await asio::post(rig.executor, asio::use_awaitable);
}

asio::awaitable<void> send_one_by_one(Rig& rig) {
  for (std::uint64_t i = 1; i <= 20; ++i) {
    Step step = rig.next();
    co_await rig.journal.push(std::move(step));
    co_await wait_for(rig.waiting.back());
    CHECK(rig.waiting.back()->fate == Fate::taken);
    CHECK(rig.log->durable_sequence() >= i);
  }
  // Several in one group, and one that brings nothing but has to wait for them.
  for (int i = 0; i < 5; ++i) {
    Step step = rig.next();
    co_await rig.journal.push(std::move(step));
  }
  const std::uint64_t last = rig.waiting.size();
  Step repeat;
  repeat.what = app::Answer{Fate::repeated};
  const auto again = std::make_shared<Acknowledgement>();
  repeat.acknowledgement = again;
  co_await rig.journal.push(std::move(repeat));
  co_await wait_for(again);
  CHECK(again->fate == Fate::repeated);
  CHECK(rig.log->durable_sequence() >= last);
  rig.journal.close();
}

asio::awaitable<void> send_until_the_disk_fails(Rig& rig) {
  for (int i = 0; i < 3; ++i) {
    Step step = rig.next();
    co_await rig.journal.push(std::move(step));
    co_await wait_for(rig.waiting.back());
  }
  rig.disk.fail_next_sync();
  for (int i = 0; i < 4; ++i) {
    Step step = rig.next();
    co_await rig.journal.push(std::move(step));
  }
  for (std::size_t i = 3; i < 7; ++i) co_await wait_for(rig.waiting[i]);
  // The next sync would succeed; nobody may believe it.
  Step later = rig.next();
  co_await rig.journal.push(std::move(later));
  co_await wait_for(rig.waiting.back());
  rig.journal.close();
}

asio::awaitable<void> send_at_intervals(Rig& rig) {
  Step first = rig.next();
  co_await rig.journal.push(std::move(first));
  co_await wait_until_passed(rig, 1);  // Nothing was ever synced: the first is, at once.
  for (int i = 0; i < 3; ++i) {
    Step step = rig.next();
    co_await rig.journal.push(std::move(step));
    co_await wait_for(rig.waiting.back());
  }
  // Acknowledged, not yet synced, and seen by nobody: also of the first two, which were done with
  // before the third was begun.
  CHECK(rig.log->next_sequence() == 5);
  CHECK(rig.log->durable_sequence() == 1);
  for (int i = 0; i < 100; ++i) co_await asio::post(rig.executor, asio::use_awaitable);
  CHECK(rig.passed == 1);
  rig.clock.advance(2 * kSecond);
  Step nudge;
  nudge.what = app::Nudge{};
  co_await rig.journal.push(std::move(nudge));
  co_await wait_until_passed(rig, 4);
  CHECK(rig.log->durable_sequence() == 4);
  Step last = rig.next();
  co_await rig.journal.push(std::move(last));
  rig.journal.close();
}

asio::awaitable<void> send_much_at_intervals(Rig& rig) {
  Step first = rig.next();
  co_await rig.journal.push(std::move(first));
  co_await wait_until_passed(rig, 1);
  // 256 KiB are the most that wait; the clock stands still.
  for (int i = 0; i < 3; ++i) {
    Step step = rig.next(std::size_t{80} << 10);
    co_await rig.journal.push(std::move(step));
    co_await wait_for(rig.waiting.back());
  }
  CHECK(rig.log->durable_sequence() == 1);
  Step step = rig.next(std::size_t{80} << 10);
  co_await rig.journal.push(std::move(step));
  co_await wait_until_passed(rig, 5);
  CHECK(rig.log->durable_sequence() == 5);
  rig.journal.close();
}

}  // namespace

TEST_CASE("nobody hears of a record before it is on disk", "[app][journal]") {
  Rig rig;
  std::atomic<int> syncs{0};
  std::atomic<int> too_early{0};
  // Who answers is the thread that syncs: what it has answered then is what was durable before.
  rig.files.fault = [&](FaultyFileSystem::Call call, const std::string&) -> std::optional<Error> {
    if (call != FaultyFileSystem::Call::sync_data) return std::nullopt;
    ++syncs;
    if (rig.answered() > rig.log->durable_sequence()) ++too_early;
    return std::nullopt;
  };
  rig.run(send_one_by_one);
  CHECK(syncs >= 21);
  CHECK(too_early == 0);
  CHECK(rig.passed == 25);
  CHECK(rig.fatal_calls == 0);
}

TEST_CASE("where a sync has failed nothing is acknowledged or passed on any more",
          "[app][journal]") {
  Rig rig;
  rig.run(send_until_the_disk_fails);
  REQUIRE(rig.waiting.size() == 8);
  std::uint64_t taken = 0;
  while (taken < 8 && rig.waiting[taken]->fate == Fate::taken) ++taken;
  // In however many groups the others came: the first of them failed.
  CHECK(taken == 3);
  for (std::size_t i = taken; i < 8; ++i) CHECK(rig.waiting[i]->fate == Fate::not_durable);
  CHECK(rig.passed == taken);
  CHECK(rig.fatal_calls == 1);
  REQUIRE(rig.fatal);
  CHECK(rig.fatal->code == ErrorCode::io);
  CHECK(rig.fatal->message.find("next start recovers") != std::string::npos);
}

TEST_CASE("with durability = interval nobody behind the log sees what is not synced",
          "[app][journal]") {
  wal::WalOptions options;
  options.durability = wal::Durability::interval;
  Rig rig(options);
  rig.run(send_at_intervals);
  CHECK(rig.passed == 5);
  CHECK(rig.log->durable_sequence() == 5);
}

TEST_CASE("with durability = interval what waits for the sync is bounded", "[app][journal]") {
  wal::WalOptions options;
  options.durability = wal::Durability::interval;
  Rig rig(options);
  rig.run(send_much_at_intervals);
  CHECK(rig.passed == 5);
}
