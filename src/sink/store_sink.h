// The store as a sink: takes records from its channel and writes them to SQLite in transactions.
//
// The one sink that may hold ingest back: while the database does not take anything, its channel
// fills, and so does the pipeline behind it. One coroutine on its own strand; writing happens on
// the blocking pool. Lives as long as the engine; ends when its channel is closed and drained, with
// everything committed.
#pragma once

#include <atomic>
#include <functional>

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
  /// `on_fatal` is called once, when the store cannot go on (disk full is not fatal: it is tried
  /// again), with what to tell the user. All references must outlive run().
  StoreSink(store::Database& database, flow::Channel<Record>& input, flow::BlockingPool& pool,
            const Clock& clock, telemetry::Registry& metrics, store::StoreOptions options,
            std::function<void(Error)> on_fatal);

  /// Runs until the input is closed and drained.
  asio::awaitable<void> run();

  /// Any thread: shutdown has waited long enough; a store that does not take anything now is left,
  /// and what it was given is lost (and said so by the caller).
  void give_up() { give_up_.store(true, std::memory_order_relaxed); }

  /// Records taken but not yet committed; any thread.
  std::uint64_t pending() const { return pending_.load(std::memory_order_relaxed); }

 private:
  asio::awaitable<bool> commit(const Records& records);

  store::Database& database_;
  flow::Channel<Record>& input_;
  flow::BlockingPool& pool_;
  const Clock& clock_;
  store::StoreOptions options_;
  std::function<void(Error)> on_fatal_;
  std::atomic<std::uint64_t> pending_{0};
  std::atomic<bool> give_up_{false};
  telemetry::Histogram& commit_seconds_;
  telemetry::Counter& rows_written_;
  telemetry::Counter& retries_;
};

}  // namespace streamobs::sink
