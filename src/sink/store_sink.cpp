#include "sink/store_sink.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "base/log.h"
#include "event/dead_letter.h"

namespace streamobs::sink {

namespace {

constexpr Duration kRetryFirst = 100 * kMillisecond;
constexpr Duration kRetryLongest = 5 * kSecond;
constexpr Duration kSayAgain = kMinute;
constexpr Duration kOutboxLookEvery = 50 * kMillisecond;
/// Told to whoever has to wait, and in the engine's log.
constexpr const char* kStoreRefuses =
    "the store cannot take results at the moment; nothing is lost, ingest waits. Free the disk, or "
    "end the program that holds the database";
constexpr const char* kOutboxFull =
    "the outbox of a required sink is full: results wait, and ingest with them. Bring its brokers "
    "back, give it a larger outbox_max, or do without required";
constexpr Duration kMaintainEvery = kMinute;
constexpr Duration kMaintainWhenBehind = kSecond;
constexpr std::size_t kRecordsPerTake = 256;

/// Rows that a record brings to the store.
std::size_t rows_of(const Record& record) {
  if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
    return (*window)->early ? 0 : (*window)->rows.size();  // Early rows are shown, never stored.
  }
  if (const auto* letters = std::get_if<DeadLettersPtr>(&record)) return (*letters)->size();
  if (const auto* events = std::get_if<OutboundEventsPtr>(&record)) return (*events)->events.size();
  return 1;
}

std::size_t bytes_of(const std::vector<Value>& values) {
  std::size_t bytes = values.size() * sizeof(Value);
  for (const Value& value : values) bytes += value.text.size();
  return bytes;
}

/// About what a record takes in memory.
std::size_t bytes_of(const Record& record) {
  constexpr std::size_t kOfOne = 1'024;  // An anomaly or an incident, with its texts.
  std::size_t bytes = 0;
  if (const auto* window = std::get_if<WindowBatchPtr>(&record)) {
    for (const WindowRow& row : (*window)->rows) {
      bytes += sizeof row + bytes_of(row.keys) + bytes_of(row.metrics) + row.state.size();
    }
  } else if (const auto* letters = std::get_if<DeadLettersPtr>(&record)) {
    for (const DeadLetter& letter : **letters) {
      bytes += sizeof letter + letter.detail.size() + letter.payload.size();
    }
  } else if (const auto* events = std::get_if<OutboundEventsPtr>(&record)) {
    bytes = bytes_of(**events);
  } else {
    bytes = kOfOne;
  }
  return bytes;
}

/// The events of a batch that was set aside: the database may have been told of what they gave rise
/// to before, but not of this. (Told twice, they are kept once.)
bool tells_set_aside(const Record& record) {
  const auto* const letters = std::get_if<DeadLettersPtr>(&record);
  return letters != nullptr && !(*letters)->empty() &&
         (*letters)->front().reason == reason::set_aside;
}

}  // namespace

StoreSink::StoreSink(store::Database& database, flow::Channel<Record>& input,
                     flow::BlockingPool& pool, const Clock& clock, telemetry::Registry& metrics,
                     store::StoreOptions options, std::function<void(Error)> on_fatal,
                     SaveCheckpoint save_checkpoint, std::size_t keep_bytes_max)
    : database_(database),
      input_(input),
      pool_(pool),
      clock_(clock),
      options_(std::move(options)),
      on_fatal_(std::move(on_fatal)),
      save_checkpoint_(std::move(save_checkpoint)),
      keep_bytes_max_(keep_bytes_max),
      commit_seconds_(metrics.histogram("streamobs_store_commit_seconds",
                                        "Time of one transaction's end: the records written since "
                                        "the last step, and the commit.",
                                        telemetry::latency_bounds())),
      rows_written_(metrics.counter("streamobs_store_rows_total", "Rows written to the store.")),
      rows_skipped_(metrics.counter("streamobs_store_skipped_rows_total",
                                    "Rows of a replayed log that the store had already.")),
      retries_(metrics.counter("streamobs_store_retries_total",
                               "Transactions tried again, the store being busy or the disk full.")),
      checkpoints_(metrics.counter("streamobs_checkpoints_total", "Checkpoints made.")),
      checkpoints_failed_(metrics.counter("streamobs_checkpoints_failed_total",
                                          "Checkpoints not made, the disk being full.")) {}

asio::awaitable<void> StoreSink::run() {
  applied_at_start_ = database_.applied_position();
  maintained_at_ = clock_.now();
  while (true) {
    const bool any = co_await take();
    if (!any && !std::exchange(tick_due_, false)) break;
    const bool stored = !any || co_await store();
    if (!stored) {
      // Nobody can take results any more: let producers see it instead of waiting for ever.
      input_.close();
      break;
    }
    const bool sound = co_await maintain();
    if (!sound) {
      input_.close();
      break;
    }
  }
  co_await leave_the_rest();
}

/// Takes what is there, so that under low load each cut is committed at once, and under high load
/// several of them by themselves become one transaction. False: nothing came; a tick is due, or the
/// input is closed and drained.
asio::awaitable<bool> StoreSink::take() {
  std::size_t rows = 0;
  taken_.clear();
  const auto tick_due = [this] { return tick_due_; };
  std::size_t count = co_await input_.pop_batch_or(taken_, 1, tick_due);
  if (count == 0) co_return false;
  for (std::size_t records = 1; count != 0; ++records) {
    rows += rows_of(taken_.front());
    take_in(std::move(taken_.front()));
    taken_.clear();
    const bool barrier = cut_ && cut_->checkpoint != nullptr;
    if (barrier || rows >= options_.rows_per_transaction || records == kRecordsPerTake) break;
    count = input_.try_pop_batch(taken_, 1);
  }
  co_return true;
}

void StoreSink::take_in(Record record) {
  if (const auto* cut = std::get_if<CutPtr>(&record)) {
    const std::uint64_t before = cut_ ? cut_->position : 0;
    cut_ = **cut;
    cut_->position = std::max(cut_->position, before);
    kept_at_cut_ = kept_.size();
    return;
  }
  const std::size_t rows = rows_of(record);
  if (rows == 0) return;
  const std::uint64_t position = position_of(record);
  if (position != 0 && position <= applied_at_start_ && !tells_set_aside(record)) {
    rows_skipped_.add(rows);
    return;
  }
  rows_unwritten_ += rows;
  kept_bytes_ += bytes_of(record);
  pending_.fetch_add(rows, std::memory_order_relaxed);
  kept_.push_back(std::move(record));
}

/// Commits up to the newest cut; without one, writes ahead what has become much. False: the store
/// cannot go on.
asio::awaitable<bool> StoreSink::store() {
  if (!cut_) {
    if (rows_unwritten_ < options_.rows_per_transaction) co_return true;
    const bool written = co_await put(kept_.size(), nullptr);
    if (!written) co_return false;
    rows_unwritten_ = 0;
    release_written();
    co_return true;
  }
  const Cut cut = *cut_;
  cut_.reset();
  const bool nothing = kept_at_cut_ == 0 && !released_ && cut.checkpoint == nullptr;
  if (!nothing) {
    const bool done = co_await put(kept_at_cut_, &cut);
    if (!done) co_return false;
    committed(kept_at_cut_);
  }
  settled_.store(cut.position, std::memory_order_relaxed);
  if (cut.checkpoint == nullptr || save_checkpoint_ == nullptr) co_return true;
  const bool saved = co_await save(cut.checkpoint);
  co_return saved;
}

/// Has the first `count` of the kept records written, and committed if there is a cut, however
/// often that must be tried.
asio::awaitable<bool> StoreSink::put(std::size_t count, const Cut* cut) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer pause(executor);
  Duration wait = kRetryFirst;
  Timestamp said_at = kMinTimestamp;
  const bool begins = written_ == 0 && !released_;
  if (begins) co_await wait_for_outboxes();
  while (true) {
    const auto started = std::chrono::steady_clock::now();
    const auto work = [this, count, cut] { return attempt(count, cut); };
    const Result<> done = co_await pool_.run(work);
    if (done.has_value()) {
      if (cut != nullptr) {
        commit_seconds_.observe(
            std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
      }
      if (said_at != kMinTimestamp) {
        held_up_.store(nullptr, std::memory_order_relaxed);
        log::info("the store takes results again");
      }
      co_return true;
    }
    written_ = 0;  // The whole transaction has been undone.
    if (is_hopeless(done.error())) co_return false;
    if (give_up_.load(std::memory_order_relaxed)) co_return false;
    retries_.add();
    const Timestamp now = clock_.now();
    if (said_at == kMinTimestamp || now - said_at >= kSayAgain) {
      said_at = now;
      held_up_.store(kStoreRefuses, std::memory_order_relaxed);
      log::warn(kStoreRefuses, {{"error", done.error().message}});
    }
    pause.expires_after(std::chrono::microseconds(wait));
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await pause.async_wait(token);
    wait = std::min(wait * 2, kRetryLongest);
  }
}

asio::awaitable<void> StoreSink::wait_for_outboxes() {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer pause(executor);
  bool said = false;
  while (database_.outbox_full() && !ignore_outboxes_.load(std::memory_order_relaxed) &&
         !give_up_.load(std::memory_order_relaxed)) {
    if (!said) {
      held_up_.store(kOutboxFull, std::memory_order_relaxed);
      log::warn(kOutboxFull);
    }
    said = true;
    pause.expires_after(std::chrono::microseconds(kOutboxLookEvery));
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await pause.async_wait(token);
  }
  if (!said) co_return;
  held_up_.store(nullptr, std::memory_order_relaxed);
  log::info("the outboxes of required sinks have room again");
}

/// On the blocking pool, while the coroutine waits.
Result<> StoreSink::attempt(std::size_t count, const Cut* cut) {
  if (written_ < count) {
    const std::span<const Record> records(kept_);
    const Result<> done = database_.write(records.subspan(written_, count - written_));
    if (done.has_error()) return done;
    written_ = count;
  }
  if (cut == nullptr) return {};
  return database_.commit(cut->position, cut->checkpoint != nullptr);
}

/// Says so if trying again cannot help.
bool StoreSink::is_hopeless(const Error& error) {
  if (error.code != ErrorCode::unavailable) {
    on_fatal_(error);
    return true;
  }
  if (!released_) return false;
  on_fatal_(fail(ErrorCode::unavailable,
                 error.message +
                     ". What it had taken is undone, and is too much to have been kept in memory. "
                     "Free the disk and start again: results are made again from the log, or from "
                     "the files where there is none"));
  return true;
}

void StoreSink::committed(std::size_t count) {
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(count));
  written_ = 0;
  released_ = false;
  kept_bytes_ = 0;
  rows_unwritten_ = 0;
  for (const Record& record : kept_) {
    kept_bytes_ += bytes_of(record);
    rows_unwritten_ += rows_of(record);
  }
  rows_written_.add(pending_.exchange(rows_unwritten_, std::memory_order_relaxed) -
                    rows_unwritten_);
}

/// Keeps the bound on memory: what is in the open transaction may be let go, at the price that it
/// cannot be written again.
void StoreSink::release_written() {
  if (kept_bytes_ <= keep_bytes_max_) return;
  kept_.clear();
  kept_bytes_ = 0;
  written_ = 0;
  released_ = true;
}

asio::awaitable<bool> StoreSink::save(std::shared_ptr<CheckpointParts> parts) {
  const auto work = [this, &parts] { return save_checkpoint_(parts); };
  const Result<> saved = co_await pool_.run(work);
  if (saved.has_value()) {
    checkpoints_.add();
    co_return true;
  }
  const ErrorCode code = saved.error().code;
  if (code != ErrorCode::unavailable && code != ErrorCode::no_space) {
    on_fatal_(saved.error());
    co_return false;
  }
  checkpoints_failed_.add();
  log::warn("there is no checkpoint this time; the next start has more of the log to replay",
            {{"error", saved.error().message}});
  co_return true;
}

asio::awaitable<void> StoreSink::run_ticks() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer_ = &timer;
  while (ticking_) {
    timer.expires_after(std::chrono::microseconds(kMaintainWhenBehind));
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer.async_wait(token);
    if (!ticking_) break;
    if (behind_ || clock_.now() - maintained_at_ >= kMaintainEvery) {
      tick_due_ = true;
      input_.notify_consumer();
    }
  }
  timer_ = nullptr;
}

void StoreSink::stop_ticking() {
  ticking_ = false;
  if (timer_ != nullptr) timer_->cancel();
}

asio::awaitable<void> StoreSink::keep_up() {
  const auto step = [this] { return database_.keep_up(); };
  while (!give_up_.load(std::memory_order_relaxed)) {
    const Result<bool> more = co_await pool_.run(step);
    if (more.has_error()) {
      log::warn("windows could not all be merged; the next run goes on with it",
                {{"error", more.error().message}});
      co_return;
    }
    if (!*more) co_return;
    steps_kept_up_.fetch_add(1, std::memory_order_relaxed);
  }
}

/// False: the store cannot go on.
asio::awaitable<bool> StoreSink::maintain() {
  const Timestamp now = clock_.now();
  const Duration every = behind_ ? kMaintainWhenBehind : kMaintainEvery;
  if (now - maintained_at_ < every && now >= maintained_at_) co_return true;
  if (written_ != 0 || released_) co_return true;  // Between transactions only.
  maintained_at_ = now;
  const auto work = [this, now]() -> Result<bool> {
    const Result<std::uint64_t> removed = database_.maintain(now);
    if (removed.has_error()) return removed.error();
    return database_.keep_up();
  };
  const Result<bool> behind = co_await pool_.run(work);
  behind_ = behind.has_value() && *behind;
  if (behind.has_value()) {
    tidied_at_.store(now, std::memory_order_relaxed);
    co_return true;
  }
  if (behind.error().code != ErrorCode::unavailable) {
    on_fatal_(behind.error());
    co_return false;
  }
  log::warn("the store could not be tidied up; it is tried again in a minute",
            {{"error", behind.error().message}});
  co_return true;
}

asio::awaitable<void> StoreSink::leave_the_rest() {
  const auto work = [this] { database_.roll_back(); };
  co_await pool_.run(work);
  const std::uint64_t rows = pending();
  if (rows == 0) co_return;
  log::warn(
      "the engine ends in the midst of results, and these are not stored; where there is a log, "
      "the next start makes them again",
      {{"rows", rows}});
}

}  // namespace streamobs::sink
