#include "sink/store_sink.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/log.h"

namespace streamobs::sink {

namespace {

constexpr Duration kRetryFirst = 100 * kMillisecond;
constexpr Duration kRetryLongest = 5 * kSecond;
constexpr Duration kSayAgain = kMinute;
constexpr Duration kMaintainEvery = kMinute;
constexpr std::size_t kRecordsPerTake = 256;

std::size_t rows_of(const Record& record) {
  if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
    return (*window)->early ? 0 : (*window)->rows.size();  // Early rows are shown, never stored.
  }
  if (const auto* letters = std::get_if<DeadLettersPtr>(&record)) return (*letters)->size();
  return 1;
}

}  // namespace

StoreSink::StoreSink(store::Database& database, flow::Channel<Record>& input,
                     flow::BlockingPool& pool, const Clock& clock, telemetry::Registry& metrics,
                     store::StoreOptions options, std::function<void(Error)> on_fatal)
    : database_(database),
      input_(input),
      pool_(pool),
      clock_(clock),
      options_(std::move(options)),
      on_fatal_(std::move(on_fatal)),
      commit_seconds_(metrics.histogram("streamobs_store_commit_seconds",
                                        "Time of one transaction.", telemetry::latency_bounds())),
      rows_written_(metrics.counter("streamobs_store_rows_total", "Rows written to the store.")),
      retries_(
          metrics.counter("streamobs_store_retries_total",
                          "Transactions tried again, the store being busy or the disk full.")) {}

asio::awaitable<void> StoreSink::run() {
  Records records;
  Timestamp maintained_at = clock_.now();
  while (true) {
    // Whatever is there goes into one transaction: under low load each result is committed at
    // once, under high load batches form by themselves.
    records.clear();
    const std::size_t first = co_await input_.pop_batch(records, 1);
    if (first == 0) break;
    std::size_t rows = rows_of(records.front());
    while (rows < options_.rows_per_transaction && records.size() < kRecordsPerTake) {
      if (input_.try_pop_batch(records, 1) == 0) break;
      rows += rows_of(records.back());
    }
    pending_.store(rows, std::memory_order_relaxed);
    const bool committed = co_await commit(records);
    if (!committed) {
      // Nobody can take results any more: let producers see it instead of waiting for ever.
      input_.close();
      co_return;
    }
    rows_written_.add(rows);
    pending_.store(0, std::memory_order_relaxed);

    const Timestamp now = clock_.now();
    if (now - maintained_at >= kMaintainEvery || now < maintained_at) {
      maintained_at = now;
      const auto maintain = [this, now] { return database_.maintain(now); };
      const Result<std::uint64_t> removed = co_await pool_.run(maintain);
      if (removed.has_error()) {
        log::warn("the store could not be tidied up; it is tried again in a minute",
                  {{"error", removed.error().message}});
      }
    }
  }
}

asio::awaitable<bool> StoreSink::commit(const Records& records) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer pause(executor);
  Duration wait = kRetryFirst;
  Timestamp said_at = kMinTimestamp;
  while (true) {
    const auto started = std::chrono::steady_clock::now();
    const auto write = [this, &records] { return database_.write(records); };
    const Result<> written = co_await pool_.run(write);
    if (written.has_value()) {
      commit_seconds_.observe(
          std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
      if (said_at != kMinTimestamp) log::info("the store takes results again");
      co_return true;
    }
    if (written.error().code != ErrorCode::unavailable) {
      on_fatal_(written.error());
      co_return false;
    }
    if (give_up_.load(std::memory_order_relaxed)) co_return false;
    retries_.add();
    const Timestamp now = clock_.now();
    if (said_at == kMinTimestamp || now - said_at >= kSayAgain) {
      said_at = now;
      log::warn(
          "the store cannot take results at the moment; nothing is lost, ingest waits. Free "
          "the disk, or end the program that holds the database",
          {{"error", written.error().message}});
    }
    pause.expires_after(std::chrono::microseconds(wait));
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await pause.async_wait(token);
    wait = std::min(wait * 2, kRetryLongest);
  }
}

}  // namespace streamobs::sink
