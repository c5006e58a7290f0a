// The topology's end: what asks for it, in which order all stops, and the watch that it does end.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>

#include <fmt/format.h>

#include "app/health_watch.h"
#include "app/topology.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

constexpr Duration kDrainRequests = 3 * kSecond;
/// How long requests that have been begun may hold up a new config; those that take longer are cut
/// short like at a stop.
constexpr Duration kHandOver = 3 * kSecond;
/// What is left to those, and to sinks, whose outbox another topology delivers at once.
constexpr Duration kDrainAtHandOver = kSecond;
/// How long live readers may take to be sent what the end of the pipeline has brought.
constexpr Duration kLastWords = kSecond;
/// What is not delivered by then is in the outbox, and delivered by the next start.
constexpr Duration kDrainSinks = 5 * kSecond;
/// How long shutdown may go on without any progress before the store is given up.
constexpr auto kShutdownPatience = std::chrono::seconds(20);
/// The same where a stage has failed: for requests that wait to be told so.
constexpr auto kBrokenPatience = std::chrono::milliseconds(500);
constexpr int kExitNoMemory = 71;

bool out_of_memory(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace

int exit_code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid:
    case ErrorCode::not_found:
    case ErrorCode::too_large:
      return 78;
    case ErrorCode::unavailable:
    case ErrorCode::no_space:
      return 75;
    case ErrorCode::io:
    case ErrorCode::corrupt:
      return 74;
    case ErrorCode::internal:
      return 70;
  }
  return 70;
}

std::string Topology::what(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "an unknown exception";
  }
}

void Topology::request_stop() {
  if (stop_requested_.exchange(true)) return;
  {
    const std::lock_guard lock(past_mutex_);
    if (past_ != nullptr) past_->request_stop();
  }
  sequencing_->give_up_replay();
  asio::post(main_strand_, [this] { stop_timer_.cancel(); });
}

bool Topology::another_follows() const {
  return options_.premises != nullptr && options_.premises->another_follows.load();
}

std::optional<std::string> Topology::cannot_end() {
  if (journal_->disk_full()) return "the disk of the log is full";
  // An outbox that is full holds nothing up at the end.
  const std::string_view held_up = store_sink_->held_up();
  if (!held_up.empty() && !database_->outbox_full()) return std::string(held_up);
  const Result<> tried = database_->try_to_write();
  if (tried.has_error()) return tried.error().message;
  return std::nullopt;
}

std::vector<std::string> Topology::reads_standard_input() const {
  std::vector<std::string> names;
  const bool made = sources_made_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < plan_->config.sources.size(); ++i) {
    const source::SourceOptions& options = plan_->config.sources[i];
    const bool ended = made && sources_[i]->progress().state.load() == source::State::ended;
    if (options.type == source::Type::standard_input && !ended) names.push_back(options.name.text);
  }
  return names;
}

void Topology::note_failure(const Error& error) {
  log::error(error.message);
  {
    const std::lock_guard lock(failure_mutex_);
    if (failure_.empty()) failure_ = error.message;
  }
  set_exit_code(exit_code_of(error.code));
}

void Topology::fail_with(const Error& error) {
  note_failure(error);
  // Nothing more may be acknowledged that may not be kept.
  ingest_->stop();
  request_stop();
}

void Topology::task_failed(const std::string& name, const std::exception_ptr& error) {
  fail_with({ErrorCode::internal, fmt::format("{} ended with a bug: {}", name, what(error))});
}

/// A pipeline that lacks a stage does not drain any more: the process ends soon.
void Topology::stage_failed(const std::string& name, const std::exception_ptr& error) {
  broken_.store(true);
  if (out_of_memory(error)) {
    if (history_ != nullptr) history_->watch().pardon();
    set_exit_code(kExitNoMemory);
    fail_with(
        {ErrorCode::unavailable,
         fmt::format("out of memory, in {}: the process ends. What was acknowledged is in the "
                     "log, and the next start goes on from there. Give it more memory, or "
                     "lower max_keys of the windows and max_ids of the streams",
                     name)});
  } else {
    task_failed(name, error);
  }
}

std::string Topology::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

/// The first reason to fail is the one that is told.
void Topology::set_exit_code(int code) {
  int none = 0;
  exit_code_.compare_exchange_strong(none, code);
}

asio::awaitable<void> Topology::watch_signals() {
  const auto token = asio::as_tuple(asio::use_awaitable);
  const auto [error, number] = co_await signals_->async_wait(token);
  if (error) co_return;
  log::info("stopping: no more events are taken, what is queued is counted and stored",
            {{"signal", number == SIGINT ? "SIGINT" : "SIGTERM"}});
  interrupted_ = true;
  // Bounded input that was not read to its end has not been done.
  const bool unread = options_.input != nullptr && !sequencing_->replayed_all();
  if (unread || (options_.stop_when_input_ends && sources_running_ != 0)) set_exit_code(75);
  request_stop();
  release_signals();
}

/// From here on a signal means "now": the default action ends the process.
void Topology::release_signals() {
  if (signals_ == nullptr) return;
  error_code ignored;
  signals_->clear(ignored);
  signals_.reset();
}

asio::awaitable<void> Topology::supervise() {
  while (!stop_requested_.load()) {
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await stop_timer_.async_wait(token);
  }
  service_tasks_.spawn(main_strand_, "shutdown watch", watch_shutdown());
  co_await shut_down();
  drained_ = true;
  patience_.cancel();
}

/// Shutdown takes as long as there is progress; a store that takes nothing any more ends it.
asio::awaitable<void> Topology::watch_shutdown() {
  std::uint64_t seen = progress();
  bool given_up = false;
  while (!drained_) {
    const bool broken = broken_.load();
    patience_.expires_after(broken ? kBrokenPatience : kShutdownPatience);
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await patience_.async_wait(token);
    if (drained_) break;
    if (broken) std::_Exit(exit_code_);
    const std::uint64_t now = progress();
    if (now == seen) {
      note_failure({ErrorCode::unavailable,
                    "shutdown has come to a standstill; what the store or the log does not take "
                    "now is left"});
      if (given_up) {
        // Somebody waits for what will not come. What was acknowledged is in the log, and the next
        // start takes it up from there.
        log::error("shutdown does not end; the process does");
        std::_Exit(exit_code_);
      }
      given_up = true;
      store_sink_->give_up();
      journal_->give_up();
    }
    seen = now;
  }
}

std::uint64_t Topology::progress() const {
  return database_->stats().rows_written + store_sink_->steps_kept_up() +
         lane_metrics_.windowed_batches.value() + lane_metrics_.decoded_batches.value();
}

asio::awaitable<void> Topology::shut_down() {
  // First phase: nothing new comes in.
  ready_.store(false, std::memory_order_release);
  stop_sources_.store(true, std::memory_order_relaxed);
  // Sources that wait in a full ring are let go by the lanes, which go on taking.
  co_await source_tasks_.join();
  // Also those of sources that were never made: a stop may come before recovery has ended.
  for (std::size_t i = 0; i < plan_->config.sources.size(); ++i) sequencing_->end_of(i).close();
  lookup_watch_->stop();
  health_->stop();
  sequencing_->lookup_versions().close();
  const bool hands_over = server_ != nullptr && another_follows();
  if (hands_over) {
    // Before anything is turned away: clients are to see one engine, a little slow to answer.
    co_await server_->hand_over(kHandOver);
  }
  ingest_->stop();
  const auto no_pushes = [this] { return pushes_.load() == 0; };
  co_await pushes_ended_.wait(no_pushes);
  if (server_ != nullptr) {
    if (!hands_over) server_->stop_accepting();
    co_await server_->drain_requests(hands_over ? kDrainAtHandOver : kDrainRequests);
  }
  release_signals();
  const auto stop_ticks = [this] {
    sequencing_->stop_ticking();
    journal_->stop_maintaining();
  };
  asio::post(history_strand_, stop_ticks);
  asio::post(store_strand_, [this] { store_sink_->stop_ticking(); });

  // Second phase: what is queued flows out, each stage closing the next behind itself.
  for (const auto& lane : lanes_) {
    lane->blocks().close();
    sequencing_->requests_of(lane->index()).close();
  }
  store_sink_->ignore_full_outboxes();
  co_await stage_tasks_.join();
  // A run of its own over what there is leaves nothing for later.
  const bool of_its_own = options_.stop_when_input_ends || options_.input != nullptr;
  if (of_its_own) co_await store_sink_->keep_up();
  co_await let_live_readers_go();
  co_await finish_sinks();
}

/// Behind the stages: what they have closed and found at the last is for them, too.
asio::awaitable<void> Topology::let_live_readers_go() {
  live_->close();
  if (options_.premises != nullptr) options_.premises->told = live_->history();
  if (server_ == nullptr) co_return;
  co_await server_->await_live_end(kLastWords);
  co_await server_->drain(kDrainAtHandOver);
}

asio::awaitable<void> Topology::finish_sinks() {
  const Duration patience = another_follows() ? kDrainAtHandOver : kDrainSinks;
  for (const auto& sink : sinks_) sink->finish(patience);
  co_await sink_tasks_.join();
  for (const auto& sink : sinks_) {
    const std::string& name = sink->options().name.text;
    const std::uint64_t left = database_->outbox_stats(name).rows;
    if (left == 0 || another_follows()) continue;
    log::warn("results wait in a sink's outbox; the next start delivers them",
              {{"sink", name}, {"undelivered", left}});
  }
}

}  // namespace streamobs::app
