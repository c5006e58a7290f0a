// What asks for another config while a topology runs, and how the next one is read and tried; and
// signals, which ask for that or for the end.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "app/config_arguments.h"
#include "app/run.h"
#include "base/failpoint.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

/// How long POST /-/reload waits for the outcome, from when it began to be read; then it says where
/// to look for it.
constexpr auto kAnswerAtLast = std::chrono::seconds(60);
/// How long the reading of a config may take: names are looked up, and file systems may hang.
constexpr auto kReadingMax = std::chrono::seconds(30);
/// How long the end of the process waits for one that is being read.
constexpr auto kReaderAtEnd = std::chrono::seconds(2);
const char* const kStillReading =
    "the config has not been read for 30 s: does its file, or one that it names, stand on a file "
    "system that hangs, or is it a pipe? The config before stays in force. No other can be read "
    "until that ends; if it never does, restart the process";

}  // namespace

asio::awaitable<std::optional<serve::ConfigReload::Refusal>> Run::prepare() {
  const auto asked = std::make_shared<Asked>();
  {
    const std::lock_guard lock(mutex_);
    asked->refusal = hindrance();
    if (asked->refusal) {
      asked->done = true;
    } else {
      begin_reading(asked);
    }
  }
  const auto told = [&asked] { return asked->done.load(); };
  co_await asked->told.wait(told);
  co_return asked->refusal;
}

/// Under the mutex.
std::optional<Run::Refusal> Run::hindrance() const {
  switch (phase_) {
    case Phase::running:
      return std::nullopt;
    case Phase::starting:
      return Refusal{503, "the engine is recovering; ask again when it is ready"};
    case Phase::preparing:
      if (too_late_) return Refusal{503, kStillReading};
      [[fallthrough]];
    case Phase::changing:
      return Refusal{409, "another reload is under way; ask again when it has ended"};
    case Phase::ending:
      return Refusal{503, "the engine is stopping"};
  }
  return std::nullopt;
}

/// Under the mutex, where nothing hinders it. Null: nobody waits for what comes of it.
void Run::begin_reading(std::shared_ptr<Asked> asked) {
  phase_ = Phase::preparing;
  asked_ = std::move(asked);
  asked_at_ = std::chrono::steady_clock::now();
  reading_ = true;
  ++readings_;
  asio::post(strand_, [this, number = readings_] { wait_for_reader(number); });
  asio::post(threads_.executor(), [this, now = now_] { read(now); });
}

/// On a thread that may be held up, for ever.
void Run::read(const Setting& now) {
  Result<NextConfig> next = fail(ErrorCode::internal, "");
  try {
    next = try_next(now);
  } catch (const std::exception& error) {
    next = fail(ErrorCode::internal, fmt::format("the config could not be read: {}; the file is as "
                                                 "it was, try again",
                                                 error.what()));
  }
  have_read(std::move(next));
}

Result<NextConfig> Run::try_next(const Setting& now) {
  const auto running = [this] {
    const std::lock_guard lock(mutex_);
    return topology_;
  };
  std::vector<std::string> reading;
  {
    const std::lock_guard lives(topology_lives_);
    if (const Topology* const topology = running()) reading = topology->reads_standard_input();
  }
  Result<NextConfig> next = read_next_config(read_plan_, now, reading);
  if (next.has_error()) return next;
  // Last, since it may change any time.
  const std::lock_guard lives(topology_lives_);
  Topology* const topology = running();
  if (topology == nullptr) return next;
  if (const std::optional<std::string> why = topology->cannot_end()) {
    return fail(ErrorCode::unavailable,
                "what is queued could not be stored now, before another config takes over: " +
                    *why + ". Ask again when that is over");
  }
  return next;
}

void Run::have_read(Result<NextConfig> next) {
  {
    const std::lock_guard lock(mutex_);
    reading_ = false;
    has_read_.notify_all();
    if (phase_ == Phase::ending) return;
    if (std::exchange(too_late_, false)) {
      log::warn(
          "the config has been read at last; it is not taken over, since nobody waits for it");
      go_on();
      return;
    }
    if (next.has_error()) {
      const Error& error = next.error();
      log::error("the config is not taken over; the one before stays in force",
                 {{"error", error.message}});
      refused(error.message);
      tell(Refusal{error.code == ErrorCode::unavailable ? 503 : 400, error.message});
      go_on();
      return;
    }
    next_ = std::move(*next);
    if (asked_ != nullptr) {
      tell(std::nullopt);
      return;
    }
  }
  take_over(nullptr);
}

/// The strand.
void Run::wait_for_reader(std::uint64_t number) {
  reading_patience_.expires_after(kReadingMax);
  reading_patience_.async_wait([this, number](const error_code& error) {
    if (error) return;
    const std::lock_guard lock(mutex_);
    if (reading_ && readings_ == number && phase_ == Phase::preparing) reading_takes_too_long();
  });
}

/// Under the mutex.
void Run::reading_takes_too_long() {
  too_late_ = true;
  log::error("the config is not taken over; the one before stays in force",
             {{"error", kStillReading}});
  refused(kStillReading);
  tell(Refusal{503, kStillReading});
}

/// Under the mutex. Whoever asked for the config to be read, once.
void Run::tell(std::optional<Refusal> refusal) {
  const std::shared_ptr<Asked> asked = std::exchange(asked_, nullptr);
  if (asked == nullptr) return;
  asked->refusal = std::move(refusal);
  asked->done = true;
  asked->told.notify();
}

/// At the very end: a thread that hangs in a file system cannot be joined.
void Run::leave_reader(int code) {
  std::unique_lock lock(mutex_);
  if (has_read_.wait_for(lock, kReaderAtEnd, [this] { return !reading_; })) return;
  log::warn("a config is still being read; the process ends without it",
            {{"config", now_.plan->config.file}});
  std::_Exit(code);
}

/// Under the mutex.
void Run::refused(const std::string& error) {
  state_.refused = serve::ConfigState::Refused{clock_.now(), error};
}

void Run::take_over(std::shared_ptr<http::LateAnswer> answer_later) {
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer_later);
  if (phase_ == Phase::ending || topology_ == nullptr) {
    answer(http::problem(503, "the engine is stopping"));
    return;
  }
  phase_ = Phase::changing;
  change_began_at_ = clock_.now();
  print(next_->warnings);
  log::info("a new config takes over: what is queued is counted under the old one first",
            {{"changes", in_words(next_->changes)}});
  if (answer_ != nullptr) {
    asio::post(strand_, [this, asked_at = asked_at_] {
      patience_.expires_at(asked_at + kAnswerAtLast);
      patience_.async_wait([this](const error_code& error) {
        if (error) return;
        const std::lock_guard late(mutex_);
        answer(http::problem(202, "not done yet; GET /api/v1/pipeline has what comes of it"));
      });
    });
  }
  failpoint("reload.prepared");
  premises_.another_follows = true;
  topology_->request_stop();
}

/// Under the mutex. Whoever has asked is told, once, on a thread that may be held up.
void Run::answer(http::Response response) {
  if (answer_ == nullptr) return;
  asio::post(threads_.executor(), [to = std::exchange(answer_, nullptr), now = clock_.now(),
                                   response = std::move(response)] { to->send(response, now); });
  asio::post(strand_, [this] { patience_.cancel(); });
}

serve::ConfigState Run::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

// ---------------------------------------------------------------------------------------------
// Signals. The strand.

void Run::watch_signals() {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) signals_.add(number);
  signals_.async_wait([this](const error_code& error, int number) {
    if (!error) take_signal(number);
  });
}

Run::Terminals::Terminals() {
  struct sigaction action{};
  ::sigaction(SIGHUP, nullptr, &action);
  hang_up_ignored_ = action.sa_handler == SIG_IGN;  // nohup
  for (int fd = 0; fd < 3; ++fd) is_terminal_.at(fd) = ::isatty(fd) == 1;
}

bool Run::Terminals::gone() const {
  if (hang_up_ignored_) return false;
  for (int fd = 0; fd < 3; ++fd) {
    if (is_terminal_.at(fd) && ::isatty(fd) == 0) return true;
  }
  return false;
}

void Run::take_signal(int number) {
  // A terminal that is closed sends SIGHUP, too.
  if (number == SIGHUP && !terminals_.gone()) {
    reload_by_signal();
  } else {
    stop_by_signal(number);
  }
  signals_.async_wait([this](const error_code& error, int next) {
    if (!error) take_signal(next);
  });
}

void Run::reload_by_signal() {
  const std::lock_guard lock(mutex_);
  if (hindrance()) {
    // Nobody waits for the answer to a signal, so it waits itself.
    reload_again_ = true;
  } else {
    begin_reading(nullptr);
  }
}

void Run::stop_by_signal(int number) {
  const char* const name = number == SIGINT ? "SIGINT" : number == SIGHUP ? "SIGHUP" : "SIGTERM";
  log::info("stopping: no more events are taken, what is queued is counted and stored",
            {{"signal", name}});
  // Another one means "now": the default action ends the process.
  for (const int last : {SIGINT, SIGTERM}) signals_.remove(last);
  const std::lock_guard lock(mutex_);
  phase_ = Phase::ending;
  premises_.another_follows = false;
  tell(Refusal{503, "the engine is stopping"});
  if (topology_ != nullptr) topology_->request_stop();
}

}  // namespace streamobs::app
