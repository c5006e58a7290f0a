#include "app/journal.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/failpoint.h"
#include "base/log.h"

namespace streamobs::app {

namespace {

constexpr std::size_t kSteps = 1024;
/// Asked of the log beforehand; more where one record is larger.
constexpr std::uint64_t kRoomBytes = std::uint64_t{16} << 20;
/// Kept back for records that are no batches: time has to go on while events are refused.
constexpr std::uint64_t kControlBytes = std::uint64_t{64} << 10;
constexpr std::uint64_t kControlRecordBytes = 512;  ///< Of one of them, about.
/// With durability = "interval", appended bytes (some 7 MiB of JSON) that do not wait for the
/// interval's end: what waits is held in memory.
constexpr std::uint64_t kUnsyncedBytesMax = std::uint64_t{256} << 10;
constexpr auto kMaintainEvery = std::chrono::seconds(1);
constexpr auto kTrySpaceEvery = std::chrono::milliseconds(250);

}  // namespace

void Journal::Group::clear() {
  records.clear();
  payloads.clear();
  control_bytes.clear();
  bytes = 0;
  queued_bytes = 0;
  sync = true;
}

Journal::Journal(flow::BlockingPool& background, const Clock& clock, telemetry::Registry& metrics,
                 std::function<void(Error)> on_fatal)
    : background_(background),
      clock_(clock),
      on_fatal_(std::move(on_fatal)),
      input_(kSteps),
      output_(kSteps),
      groups_(metrics.counter("streamobs_wal_groups_total",
                              "Groups of records written to the log in one go.")),
      commit_seconds_(metrics.histogram(
          "streamobs_wal_commit_seconds", "Writing and syncing one group of records.",
          {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5})) {}

void Journal::attach(wal::Log& log, const wal::WalOptions& options) {
  log_ = &log;
  options_ = options;
  take_room(log_->reserve(kRoomBytes), kRoomBytes);
}

bool Journal::has_room(std::uint64_t payload_bytes) const {
  if (log_ == nullptr) return true;
  const std::uint64_t queued = queued_bytes_.load();
  return queued + wal::bytes_in_log(payload_bytes) + kControlBytes <= room_bytes_.load();
}

bool Journal::has_room_for_control() const {
  if (log_ == nullptr) return true;
  const std::uint64_t queued = queued_bytes_.load();
  return queued + kControlBytes / 8 <= room_bytes_.load();
}

asio::awaitable<void> Journal::wait_for_room(std::uint64_t payload_bytes) {
  const std::uint64_t wanted = wal::bytes_in_log(payload_bytes) + kControlBytes;
  room_wanted_.store(std::max(room_wanted_.load(), wanted));
  // Where nothing is on its way to the log, nothing else would have it ask for room.
  if (queued_bytes_ == 0 && !has_room(payload_bytes)) {
    Step nudge;
    nudge.what = Nudge{};
    co_await push(std::move(nudge));
  }
  const auto decided = [this, payload_bytes] {
    return has_room(payload_bytes) || disk_full() || failed();
  };
  co_await room_changed_.wait(decided);
}

std::uint64_t Journal::size_in_log(const Step& step) {
  if (step.position() == 0 || step.replayed) return 0;
  if (const auto* sequenced = std::get_if<wal::Sequenced>(&step.what)) {
    if (const auto* batch = std::get_if<wal::EventBatchPtr>(&sequenced->what)) {
      return wal::bytes_in_log((*batch)->encoded.bytes.size());
    }
    if (const auto* joined = std::get_if<wal::PartitionsJoined>(&sequenced->what)) {
      return wal::bytes_in_log((1 + joined->partitions.size()) * kControlRecordBytes);
    }
  }
  if (const auto* proposal = std::get_if<Proposal>(&step.what)) {
    return wal::bytes_in_log(proposal->payload->size());
  }
  if (const auto* noted = std::get_if<Noted>(&step.what)) {
    return wal::bytes_in_log(wal::text_bytes(noted->record) + kControlRecordBytes);
  }
  return kControlRecordBytes;
}

asio::awaitable<void> Journal::push(Step step) {
  step.bytes_in_log = size_in_log(step);
  queued_bytes_.fetch_add(step.bytes_in_log);
  co_await input_.push(std::move(step));
}

void Journal::take_room(const Result<>& reserved, std::uint64_t bytes) {
  if (reserved.has_value()) {
    room_bytes_.store(bytes);
    if (disk_full_.exchange(false)) log::info("the log's disk has space again; events are taken");
  } else if (reserved.error().code != ErrorCode::no_space) {
    fail(reserved.error());
  } else if (!disk_full_.exchange(true)) {
    log::error(
        "the disk of the log is full: new events are refused (HTTP 507) and files wait; nothing "
        "that was acknowledged is lost, and it goes on by itself once there is space",
        {{"error", reserved.error().message}});
  }
}

void Journal::add(std::uint64_t position, wal::RecordType type, std::string_view payload,
                  std::uint32_t crc) {
  wal::LogRecord record;
  record.type = static_cast<std::uint8_t>(type);
  record.sequence = position;
  record.payload_crc = crc;
  group_.records.push_back(record);
  group_.payloads.push_back(payload);
  group_.bytes += wal::bytes_in_log(payload.size());
}

void Journal::gather(std::vector<Step>& steps) {
  group_.clear();
  barrier_ = false;
  group_.control_bytes.reserve(steps.size());  // Views into it are kept.
  const auto add_control = [this](std::uint64_t position, const wal::ControlRecord& record) {
    std::string& bytes = group_.control_bytes.emplace_back();
    wal::encode(record, bytes);
    add(position, wal::type_of(record), bytes, crc32c(bytes));
  };
  for (Step& step : steps) {
    if (step.replayed) continue;
    const auto* answer = std::get_if<Answer>(&step.what);
    barrier_ = barrier_ || std::holds_alternative<Barrier>(step.what) ||
               (answer != nullptr && answer->sync);
    group_.queued_bytes += step.bytes_in_log;
    if (const auto* noted = std::get_if<Noted>(&step.what)) {
      add_control(noted->position, noted->record);
      continue;
    }
    if (const auto* proposal = std::get_if<Proposal>(&step.what)) {
      add(proposal->position, wal::RecordType::range_proposed, *proposal->payload,
          proposal->crc32c);
      continue;
    }
    const auto* sequenced = std::get_if<wal::Sequenced>(&step.what);
    if (sequenced == nullptr) continue;
    if (const auto* batch = std::get_if<wal::EventBatchPtr>(&sequenced->what)) {
      const EncodedBatch& encoded = (*batch)->encoded;
      add(sequenced->position, wal::RecordType::batch, encoded.bytes, encoded.crc32c);
    } else if (const auto* advanced = std::get_if<wal::Advanced>(&sequenced->what)) {
      add_control(sequenced->position, *advanced);
    } else if (const auto* ended = std::get_if<wal::SourceEnded>(&sequenced->what)) {
      add_control(sequenced->position, *ended);
    } else if (const auto* joined = std::get_if<wal::PartitionsJoined>(&sequenced->what)) {
      add_control(sequenced->position, *joined);
    } else if (const auto* range = std::get_if<wal::RangeDiscarded>(&sequenced->what)) {
      add_control(sequenced->position, *range);
    }
  }
  for (std::size_t i = 0; i < group_.records.size(); ++i) {
    group_.records[i].payload = {&group_.payloads[i], 1};
  }
}

Result<> Journal::write_group() {
  if (!group_.records.empty()) {
    failpoint("log.before_append");
    if (Result<> appended = log_->append(group_.records); appended.has_error()) return appended;
    failpoint("log.before_sync");
  }
  if (!group_.sync) return {};
  Result<> synced = log_->sync();
  failpoint("log.after_sync");
  return synced;
}

bool Journal::must_sync(Timestamp now) const {
  const bool anything = unsynced_bytes_ + group_.bytes != 0;
  if (barrier_) return anything;
  if (options_.durability == wal::Durability::sync) return anything;
  if (unsynced_bytes_ + group_.bytes >= kUnsyncedBytesMax) return true;
  // A clock set back must not put the sync off.
  return anything && (now - synced_at_ >= options_.sync_every || now < synced_at_);
}

void Journal::commit() {
  const Timestamp now = clock_.now();
  group_.sync = must_sync(now);
  const auto started = std::chrono::steady_clock::now();
  Result<> written = write_group();
  // Only where the promised room was not enough; nothing was written.
  while (written.has_error() && written.error().code == ErrorCode::no_space) {
    take_room(written, 0);
    room_changed_.notify();
    if (give_up_.load(std::memory_order_relaxed)) break;
    std::this_thread::sleep_for(kTrySpaceEvery);
    written = write_group();
  }
  if (written.has_error()) return fail(written.error());
  if (group_.sync) synced_at_ = now;
  unsynced_bytes_ = group_.sync ? 0 : unsynced_bytes_ + group_.bytes;
  room_bytes_.fetch_sub(std::min(room_bytes_.load(), group_.bytes));
  queued_bytes_.fetch_sub(group_.queued_bytes);
  bytes_written_.fetch_add(group_.bytes, std::memory_order_relaxed);
  const std::uint64_t wanted = std::max(kRoomBytes, room_wanted_.load());
  take_room(log_->reserve(wanted), wanted);
  room_changed_.notify();
  if (group_.records.empty()) return;
  groups_.add();
  commit_seconds_.observe(
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
}

void Journal::fail(const Error& error) {
  if (failed_.exchange(true)) return;
  room_changed_.notify();
  const char* const kept = options_.durability == wal::Durability::sync
                               ? "What was acknowledged before is on disk"
                               : "What was acknowledged before the last sync_every is on disk";
  on_fatal_({error.code, fmt::format("{}. {}; requests that wait are answered 503, and the next "
                                     "start recovers from the log",
                                     error.message, kept)});
}

void Journal::acknowledge(Step& step) {
  if (step.acknowledgement == nullptr) return;
  Acknowledgement& waiting = *step.acknowledgement;
  using Fate = Acknowledgement::Fate;
  if (failed()) {
    waiting.complete(Fate::not_durable);
  } else if (const auto* answer = std::get_if<Answer>(&step.what)) {
    waiting.complete(answer->fate);
  } else {
    waiting.complete(Fate::taken);
  }
  step.acknowledgement.reset();
}

asio::awaitable<void> Journal::run() {
  std::vector<Step> steps;
  while (true) {
    steps.clear();
    const std::size_t count = co_await input_.pop_batch(steps, kSteps);
    if (count == 0) break;
    if (log_ != nullptr && !failed()) {
      gather(steps);
      if (!group_.records.empty() || unsynced_bytes_ != 0 || disk_full() ||
          room_wanted_.load() > room_bytes_.load()) {
        commit();
      }
    }
    // All of them first: who waits must not wait for what comes behind the log.
    for (Step& step : steps) acknowledge(step);
    co_await pass_on(steps);
  }
  if (unsynced_bytes_ != 0 && !failed()) {
    group_.clear();
    barrier_ = true;
    commit();
    steps.clear();
    co_await pass_on(steps);
  }
  output_.close();
}

asio::awaitable<void> Journal::pass_on(std::vector<Step>& steps) {
  // Nobody behind the log may see what may not be on disk.
  if (failed()) co_return;
  for (Step& step : steps) unsynced_steps_.push_back(std::move(step));
  if (unsynced_bytes_ != 0) co_return;
  for (Step& step : unsynced_steps_) co_await output_.push(std::move(step));
  unsynced_steps_.clear();
}

asio::awaitable<void> Journal::run_maintenance() {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  maintenance_timer_ = &timer;
  while (maintaining_ && log_ != nullptr) {
    timer.expires_after(kMaintainEvery);
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer.async_wait(token);
    if (!maintaining_) break;
    // What gives space back first, and none of them in the way of the others.
    const auto work = [this]() -> Result<> {
      const Result<std::uint64_t> trimmed = log_->trim(trim_up_to_.load());
      const Result<bool> sealed = log_->seal_next();
      const Result<bool> prepared = log_->prepare_next();
      if (trimmed.has_error()) return trimmed.error();
      if (sealed.has_error()) return sealed.error();
      if (prepared.has_error()) return prepared.error();
      return {};
    };
    const Result<> done = co_await background_.run(work);
    // That the disk is full has been said where it matters.
    if (done.has_error() && done.error().code != ErrorCode::no_space) {
      log::warn("the log could not be tidied up; it is tried again",
                {{"error", done.error().message}});
    }
  }
  maintenance_timer_ = nullptr;
}

void Journal::stop_maintaining() {
  maintaining_ = false;
  if (log_ != nullptr) log_->end_maintenance();
  if (maintenance_timer_ != nullptr) maintenance_timer_->cancel();
}

}  // namespace streamobs::app
