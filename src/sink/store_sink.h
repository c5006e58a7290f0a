// The store as a sink: takes records from its channel and writes them to SQLite, exactly once.
//
// Cuts make the transactions. Records become part of the database with the next cut
// (event/record.h) and only so: whoever feeds the channel sends cuts, also where there is no log
// (position 0), and a last one before closing it. What follows the last cut is not stored. Several
// cuts that wait in the channel may share a transaction; however many records lie between two, they
// go into one: they are written as they come, and only committed at the cut. Records of log
// positions that the database had applied before the start are passed over: that is how a replayed
// tail is not counted twice.
//
// Undone by a busy database or a full disk, a transaction is written again from its first record.
// So its records are kept (shared, read-only) until it is committed, up to kKeepBytesMax. Beyond
// that, failing ends the engine with `unavailable`: the log has it all, and the next start replays.
//
// The one sink that may hold ingest back: while the database does not take anything, its channel
// fills, and so does the pipeline behind it. So it is while the outbox of a required sink is full:
// no transaction is begun then. One coroutine on its own strand; writing happens on
// the blocking pool. Lives as long as the engine; ends when its channel is closed and drained.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "event/record.h"
#include "flow/asio.h"
#include "flow/blocking_pool.h"
#include "flow/channel.h"
#include "store/database.h"
#include "telemetry/registry.h"

namespace streamobs::sink {

class StoreSink {
 public:
  /// Makes a checkpoint of the parts that a barrier has gathered, and may trim the log.
  using SaveCheckpoint = std::function<Result<>(std::shared_ptr<CheckpointParts>)>;

  /// Most of the memory that an open transaction's records may take, by estimate.
  static constexpr std::size_t kKeepBytesMax = 128 << 20;

  /// `on_fatal` is called once, when the store cannot go on (disk full is not fatal: it is tried
  /// again), with what to tell the user. `save_checkpoint` is called on the blocking pool for each
  /// cut that is a checkpoint's barrier, once everything before it is durable in the database; its
  /// failure is fatal, unless it is `no_space` or `unavailable`: then there is no checkpoint this
  /// time, and it is said and counted. All references must outlive run().
  StoreSink(store::Database& database, flow::Channel<Record>& input, flow::BlockingPool& pool,
            const Clock& clock, telemetry::Registry& metrics, store::StoreOptions options,
            std::function<void(Error)> on_fatal, SaveCheckpoint save_checkpoint = {},
            std::size_t keep_bytes_max = kKeepBytesMax);

  /// Runs until the input is closed and drained. The database has been bound to its log before.
  asio::awaitable<void> run();
  /// Wakes it, so that the database is also tidied up while nothing comes, until stop_ticking().
  /// Both on the strand of run().
  asio::awaitable<void> run_ticks();
  void stop_ticking();

  /// Once run() has ended: merges and removes whatever is due, however much that is.
  asio::awaitable<void> keep_up();

  /// Any thread: shutdown has waited long enough; a store that does not take anything now is left,
  /// and what it was given is lost (and said so by the caller).
  void give_up() { give_up_.store(true, std::memory_order_relaxed); }

  /// Any thread: from now on full outboxes hold nothing back. At shutdown, when no more than what
  /// is queued comes, and where no sink takes anything out of them.
  void ignore_full_outboxes() { ignore_outboxes_.store(true, std::memory_order_relaxed); }

  /// Any thread: why nothing is stored for the time being, and the way out; empty while all is
  /// well.
  std::string_view held_up() const {
    const char* why = held_up_.load(std::memory_order_relaxed);
    return why == nullptr ? std::string_view() : std::string_view(why);
  }

  /// Position of the newest cut up to which all is stored that there was to store; any thread.
  std::uint64_t settled() const { return settled_.load(std::memory_order_relaxed); }
  /// Rows taken but not yet committed; any thread.
  std::uint64_t pending() const { return pending_.load(std::memory_order_relaxed); }
  /// When what is due was last merged and removed without a failure; 0: not yet. Any thread.
  Timestamp tidied_at() const { return tidied_at_.load(std::memory_order_relaxed); }
  /// Steps of tidying up; any thread.
  std::uint64_t steps_kept_up() const { return steps_kept_up_.load(std::memory_order_relaxed); }

 private:
  asio::awaitable<bool> take();
  void take_in(Record record);
  asio::awaitable<bool> store();
  asio::awaitable<void> wait_for_outboxes();
  asio::awaitable<bool> put(std::size_t count, const Cut* cut);
  Result<> attempt(std::size_t count, const Cut* cut);
  bool is_hopeless(const Error& error);
  void committed(std::size_t count);
  void release_written();
  asio::awaitable<bool> save(std::shared_ptr<CheckpointParts> parts);
  asio::awaitable<bool> maintain();
  asio::awaitable<void> leave_the_rest();

  store::Database& database_;
  flow::Channel<Record>& input_;
  flow::BlockingPool& pool_;
  const Clock& clock_;
  store::StoreOptions options_;
  std::function<void(Error)> on_fatal_;
  SaveCheckpoint save_checkpoint_;
  std::size_t keep_bytes_max_;
  std::uint64_t applied_at_start_ = 0;
  Timestamp maintained_at_ = 0;
  asio::steady_timer* timer_ = nullptr;  ///< While run_ticks() runs.
  bool ticking_ = true;
  bool tick_due_ = false;
  bool behind_ = true;  ///< Windows wait to be merged or removed; at the start they may.

  Records taken_;  ///< Just off the channel.
  Records kept_;   ///< Not yet committed, in order; not those that were released.
  std::size_t kept_bytes_ = 0;
  std::size_t written_ = 0;  ///< How many of kept_ are in the open transaction.
  std::size_t rows_unwritten_ = 0;
  bool released_ = false;        ///< The open transaction has records that are kept no longer.
  std::optional<Cut> cut_;       ///< The newest cut taken and not yet committed.
  std::size_t kept_at_cut_ = 0;  ///< How many of kept_ stand before it.

  std::atomic<std::uint64_t> settled_{0};
  std::atomic<std::uint64_t> pending_{0};
  std::atomic<std::uint64_t> steps_kept_up_{0};
  std::atomic<Timestamp> tidied_at_{0};
  std::atomic<bool> give_up_{false};
  std::atomic<const char*> held_up_{nullptr};
  std::atomic<bool> ignore_outboxes_{false};
  telemetry::Histogram& commit_seconds_;
  telemetry::Counter& rows_written_;
  telemetry::Counter& rows_skipped_;
  telemetry::Counter& retries_;
  telemetry::Counter& checkpoints_;
  telemetry::Counter& checkpoints_failed_;
};

}  // namespace streamobs::sink
