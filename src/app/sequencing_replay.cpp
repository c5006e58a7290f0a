// The sequencing's beginning: the tail of the log goes through the very same way as new events.
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "app/sequencing.h"
#include "base/failpoint.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kReplayBytes = std::size_t{1} << 20;
/// No more records than this are read at a time: each counts as 64 bytes and its payload.
constexpr std::uint64_t kReplayRecords = kReplayBytes / 64 + 1;
constexpr std::uint64_t kReplayInFlightBytes = std::uint64_t{32} << 20;
constexpr auto kSayProgressEvery = std::chrono::seconds(2);

}  // namespace

void Sequencing::recover(ReplayInput* tail, Care care, std::function<bool(Result<>)> on_ready) {
  tail_ = tail;
  care_ = std::move(care);
  replayed_all_ = tail == nullptr;
  if (tail != nullptr && sequencer_.position() == 0) sequencer_.begin_behind(tail->from() - 1);
  on_ready_ = std::move(on_ready);
}

asio::awaitable<void> Sequencing::replay_tail() {
  const auto started = std::chrono::steady_clock::now();
  progress_said_at_ = started;
  const std::uint64_t total = tail_->to() - tail_->from() + 1;
  if (durable_) {
    log::info("recovering: replaying what the log holds behind the last checkpoint",
              {{"records", total}, {"from", tail_->from()}, {"to", tail_->to()}});
  }
  Result<> outcome;
  co_await replay_all(outcome);
  replayed_all_ = outcome.has_value() && !gave_up() && sequencer_.position() == tail_->to();
  if (outcome.has_value() && replayed_all_ && durable_) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    log::info("recovered", {{"records", total}, {"seconds", std::round(seconds * 100) / 100}});
  } else if (outcome.has_value() && !replayed_all_ && !gave_up()) {
    outcome = streamobs::fail(ErrorCode::corrupt,
                              fmt::format("the log ends at record {} where {} was expected",
                                          sequencer_.position(), tail_->to()));
  }
  taken_up_ = on_ready_(outcome);
}

asio::awaitable<void> Sequencing::replay_all(Result<>& outcome) {
  ReplayWatch* const watch = care_.watch;
  if (watch != nullptr) {
    watch->begin();
    if (watch->doubt()) {
      log::warn(
          "the last replay did not get to its end: where it ended this one goes record by "
          "record, to find a batch that brings the process down");
    }
  }
  bool more = true;
  while (more && outcome.has_value() && !gave_up()) {
    const std::uint64_t next = sequencer_.position() + 1;
    if (watch != nullptr && watch->must_be_careful_at(next)) {
      co_await wait_until_passed(next - 1);
      if (gave_up()) break;
      watch->come_to(next);
      more = co_await replay_some(1, outcome);
      if (outcome.has_value()) co_await wait_until_passed(sequencer_.position());
    } else if (watch != nullptr) {
      watch->come_to(care_.passed() + 1, next + kReplayRecords);
      // What is in doubt must not even be read with what comes before it.
      const bool near = watch->doubt() && next + kReplayRecords >= watch->doubt()->from &&
                        next < watch->doubt()->from;
      more = co_await replay_some(near ? 1 : kReplayBytes, outcome);
    } else {
      more = co_await replay_some(kReplayBytes, outcome);
    }
    publish_times();
    say_progress();
  }
  // What is still on its way to the windows has not been replayed.
  if (watch != nullptr && outcome.has_value()) co_await wait_until_passed(sequencer_.position());
}

/// Reads and passes on about so many bytes of records; false: there are no more.
asio::awaitable<bool> Sequencing::replay_some(std::size_t bytes_max, Result<>& outcome) {
  std::vector<Replayed> records;
  const auto read = [this, &records, bytes_max] { return tail_->read(records, bytes_max); };
  const Result<bool> more = co_await pool_.run(read);
  if (more.has_error()) outcome = more.error();
  if (more.has_error() || !*more) co_return false;
  // The channels are bounded in items; this bounds what the items hold.
  asio::steady_timer pause(executor_);
  while (in_flight_.bytes.load(std::memory_order_relaxed) > kReplayInFlightBytes && !gave_up()) {
    pause.expires_after(std::chrono::milliseconds(1));
    co_await pause.async_wait(asio::use_awaitable);
  }
  for (Replayed& record : records) {
    if (gave_up()) co_return false;
    failpoint("recovery.record");
    failpoint("recovery.at", record.position);
    outcome = take_replayed(record);
    if (outcome.has_error()) co_return false;
    co_await pass_on(nullptr, true);
  }
  co_return true;
}

/// Sends a cut behind all that has been passed on, and waits until it has come through.
asio::awaitable<void> Sequencing::wait_until_passed(std::uint64_t position) {
  if (care_.passed() >= position || position == 0) co_return;
  Step last;
  last.what = Nudge{};
  last.completes = position;
  last.cut_behind = true;
  co_await journal_.push(std::move(last));
  asio::steady_timer pause(executor_);
  while (care_.passed() < position && !gave_up()) {
    pause.expires_after(std::chrono::microseconds(100));
    co_await pause.async_wait(asio::use_awaitable);
  }
}

Result<> Sequencing::take_replayed(Replayed& record) {
  if (const auto* control = std::get_if<wal::ControlRecord>(&record.record)) {
    // A run over an old log goes by the config given to it, tables included.
    const auto* loaded = durable_ ? std::get_if<wal::LookupLoaded>(control) : nullptr;
    if (loaded != nullptr) lookups_.take(*loaded);
    const auto* session = std::get_if<wal::SessionStarted>(control);
    if (session != nullptr) joins_.at(session->at);
    return sequencer_.replay(record.position, *control, sequenced_);
  }
  if (const auto* proposed = std::get_if<ProposedPayload>(&record.record)) {
    if (Result<> held = ranges_.hold(record.position, proposed->bytes); held.has_error()) {
      return held;
    }
    const wal::ControlRecord nothing = wal::SetAside{};  // It takes its place, no more.
    return sequencer_.replay(record.position, nothing, sequenced_);
  }
  EventBatchPtr batch = std::move(std::get<wal::EventBatchPtr>(record.record));
  batch->lane = static_cast<std::uint32_t>(next_lane_++ % lanes_);
  batch->counted_before = durable_;
  in_flight_.remember(*batch);
  return sequencer_.replay(record.position, std::move(batch), sequenced_);
}

void Sequencing::say_progress() {
  const std::uint64_t total = tail_->to() - tail_->from() + 1;
  const std::uint64_t done = sequencer_.position() + 1 - tail_->from();
  percent_replayed_.store(static_cast<int>(done * 100 / total), std::memory_order_relaxed);
  const auto now = std::chrono::steady_clock::now();
  if (!durable_ || now - progress_said_at_ < kSayProgressEvery) return;
  progress_said_at_ = now;
  log::info("recovering", {{"records", done}, {"of", total}, {"percent", done * 100 / total}});
}

}  // namespace streamobs::app
