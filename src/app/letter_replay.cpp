#include "app/letter_replay.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <utility>

#include <fmt/format.h>

#include "app/letter_names.h"
#include "base/hash.h"
#include "source/message_fields.h"

namespace streamobs::app {

using serve::ReplayReport;
using source::IngestOutcome;

namespace {

constexpr std::string_view kReplayOf = "replay of ";
constexpr auto kPause = std::chrono::milliseconds(50);
constexpr int kTriesWhenFull = 100;

/// Lowers the flag whichever way its holder ends.
struct Lowered {
  explicit Lowered(std::atomic<bool>& raised) : flag(raised) {}
  ~Lowered() { flag = false; }
  Lowered(const Lowered&) = delete;
  Lowered& operator=(const Lowered&) = delete;
  std::atomic<bool>& flag;
};

/// Where the event stood when it came first, however often it has been replayed; in words, since
/// "127.0.0.1:4" would be a port and not an index.
std::string origin_of(const DeadLetter& letter) {
  if (letter.origin.starts_with(kReplayOf)) return letter.origin;
  return fmt::format("{}{}", kReplayOf, letter.place());
}

void note(ReplayReport& report, std::int64_t id, std::string_view reason, std::string_view detail) {
  if (report.failures.size() == ReplayReport::kErrorsMax) return;
  ReplayReport::Failure failure;
  failure.id = id;
  failure.reason = reason;
  failure.detail = detail;
  report.failures.push_back(std::move(failure));
}

/// Why nothing more is sent; empty: go on.
std::string_view reason_to_stop(IngestOutcome::Status status) {
  switch (status) {
    case IngestOutcome::Status::taken:
    case IngestOutcome::Status::key_reused:
      return {};
    case IngestOutcome::Status::overloaded:
      return "the pipeline stayed full; replay the others when there is less to do";
    case IngestOutcome::Status::starting:
      return "the engine is recovering (/readyz says how far it is)";
    case IngestOutcome::Status::no_space:
      return "the disk is full; make room where data_dir is, then replay the others";
    default:
      return "the engine is ending; replay the others when it runs again";
  }
}

}  // namespace

/// One request. Everything in it belongs to the strand of its lane.
struct LetterReplay::Run {
  explicit Run(std::size_t of_lane) : lane(of_lane) {}

  std::size_t lane;
  ReplayReport report;
  std::set<LetterId> chosen;  ///< An event that was late for several windows is sent once.
  std::vector<store::StoredDeadLetter> letters;  ///< Of the page, those to be sent …
  std::size_t next = 0;                          ///< … and the first that was not begun.
  std::atomic<std::size_t> working{0};
  flow::Signal ended;
};

/// One of those that send; counted however it ends.
class LetterReplay::Worker {
 public:
  explicit Worker(Run& run) : run_(&run) { ++run.working; }
  Worker(Worker&& other) noexcept : run_(std::exchange(other.run_, nullptr)) {}
  Worker& operator=(Worker&&) = delete;
  ~Worker() {
    if (run_ == nullptr) return;
    --run_->working;
    run_->ended.notify();
  }
  Run& run() const { return *run_; }

 private:
  Run* run_;
};

asio::awaitable<Result<ReplayReport>> LetterReplay::replay(std::size_t lane,
                                                           store::DeadLetterQuery which) {
  if (under_way_.exchange(true)) {
    co_return fail(ErrorCode::unavailable,
                   "dead letters are being replayed already; wait until that has ended");
  }
  const Lowered at_the_end(under_way_);
  Run run(lane);
  const Result<> done = co_await replay_pages(run, std::move(which));
  if (done.has_error()) co_return done.error();
  co_return std::move(run.report);
}

asio::awaitable<Result<>> LetterReplay::replay_pages(Run& run, store::DeadLetterQuery which) {
  std::size_t left = which.list.limit;
  which.replayed = false;
  // What is refused again on the way becomes a new letter, which is not of this replay.
  which.list.limit = 1;
  store::DeadLetterQuery newest = which;
  Result<std::vector<store::StoredDeadLetter>> page =
      co_await queries_.dead_letters(std::move(newest));
  if (page.has_error()) co_return page.error();
  if (page->empty()) {
    const Result<> said = co_await say_why_none(run, std::move(which));
    co_return said;
  }
  which.below = page->front().id + 1;
  which.oldest_first = true;
  while (run.report.stopped.empty()) {
    which.list.limit = std::clamp<std::size_t>(left, 1, kPage);
    store::DeadLetterQuery next = which;
    page = co_await queries_.dead_letters(std::move(next));
    if (page.has_error()) co_return page.error();
    run.report.more = left == 0 && !page->empty();
    if (left == 0 || page->empty()) break;
    left -= page->size();
    which.above = page->back().id;
    choose(run, std::move(*page));
    co_await send_all(run);
  }
  co_return Result<>();
}

/// Nothing waits that fits: whether it could have, or was meant to be something else.
asio::awaitable<Result<>> LetterReplay::say_why_none(Run& run, store::DeadLetterQuery which) {
  const Result<std::vector<store::DeadLetterCount>> counts = co_await queries_.dead_letter_counts();
  if (counts.has_error()) co_return counts.error();
  std::string unknown = unknown_name(which.list, *counts, &plan_);
  if (!unknown.empty()) co_return fail(ErrorCode::not_found, std::move(unknown));
  if (!which.id) co_return Result<>();
  store::DeadLetterQuery one;
  one.id = which.id;
  const Result<std::vector<store::StoredDeadLetter>> found =
      co_await queries_.dead_letters(std::move(one));
  if (found.has_error()) co_return found.error();
  if (found->empty()) {
    co_return fail(ErrorCode::not_found,
                   fmt::format("there is no dead letter {}; `streamobs dlq list` shows those there "
                               "are. They are kept for [store] keep_dead_letters",
                               *which.id));
  }
  if (found->front().letter.replayed_at != 0) ++run.report.repeated;
  co_return Result<>();
}

void LetterReplay::choose(Run& run, std::vector<store::StoredDeadLetter> page) {
  run.letters.clear();
  run.next = 0;
  for (store::StoredDeadLetter& stored : page) {
    std::string why_not(stored.letter.not_replayable());
    const std::optional<std::uint32_t> stream = plan_.stream_id(stored.letter.stream);
    if (why_not.empty() && !stream) {
      why_not = fmt::format("there is no stream {} any more", stored.letter.stream);
    } else if (why_not.empty() && plan_.config.streams[*stream].joined) {
      why_not = fmt::format("{} is a join now: events are sent to the streams it joins",
                            stored.letter.stream);
    }
    if (why_not.empty()) why_not = own_event(stored.letter);
    if (!why_not.empty()) {
      ++run.report.passed_over;
      note(run.report, stored.id, "", why_not);
    } else if (run.chosen.insert(stored.letter.letter_id()).second) {
      run.letters.push_back(std::move(stored));
    }
  }
}

/// Of an event that was refused since its source gave it what it had itself, takes that back. Why
/// not, where the source would do so again; else empty.
std::string LetterReplay::own_event(DeadLetter& letter) const {
  const bool is_json = letter.format == Format::json || letter.format == Format::ndjson;
  if (!is_json || letter.header == nullptr) return {};
  source::OwnEvent own = source::take_back(letter.payload, *letter.header);
  letter.header = nullptr;
  for (const source::SourceOptions& options : plan_.config.sources) {
    if (options.name.text != letter.source) continue;
    for (const source::MessageField& field : options.message_fields) {
      if (std::find(own.clashing.begin(), own.clashing.end(), field.name.text) ==
          own.clashing.end()) {
        continue;
      }
      return fmt::format(
          "[source.{0}] still gives {1} to its events, and this one has it itself: take {1} out of "
          "its fields, or give it another name there",
          letter.source, field.name.text);
    }
  }
  letter.payload = std::move(own.text);
  return {};
}

asio::awaitable<void> LetterReplay::send_all(Run& run) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  std::exception_ptr failed;
  try {
    for (std::size_t n = std::min(kAtOnce, run.letters.size()); n > 0; --n) {
      tasks_.spawn(executor, "dead letters", work(Worker(run)));
    }
  } catch (...) {
    failed = std::current_exception();  // Those that have begun refer to the run.
  }
  const auto all_ended = [&run] { return run.working == 0; };
  co_await run.ended.wait(all_ended);
  if (failed) std::rethrow_exception(failed);
}

asio::awaitable<void> LetterReplay::work(Worker worker) {
  Run& run = worker.run();
  while (run.next < run.letters.size() && run.report.stopped.empty()) {
    const store::StoredDeadLetter& stored = run.letters[run.next++];
    const IngestOutcome outcome = co_await send(run, stored.letter);
    if (const std::string_view why = reason_to_stop(outcome.status); !why.empty()) {
      run.report.stopped = why;
    } else if (outcome.repeated || outcome.status == IngestOutcome::Status::key_reused) {
      // Under this key only this event was ever sent, or one that somebody had mended.
      ++run.report.repeated;
    } else {
      run.report.accepted += outcome.accepted;
      run.report.rejected += outcome.rejected;
      for (const source::RefusedEvent& refused : outcome.errors) {
        note(run.report, stored.id, refused.reason, refused.detail);
      }
    }
  }
}

/// Where the pipeline is full, tries for a while.
asio::awaitable<IngestOutcome> LetterReplay::send(const Run& run, const DeadLetter& letter) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer pause(executor);
  IngestOutcome outcome;
  for (int tries = 0; tries < kTriesWhenFull; ++tries) {
    Block block = block_of(letter);
    outcome = co_await ingest_.submit(run.lane, std::move(block));
    if (outcome.status != IngestOutcome::Status::overloaded) break;
    pause.expires_after(kPause);
    co_await pause.async_wait(asio::use_awaitable);
  }
  co_return outcome;
}

Block LetterReplay::block_of(const DeadLetter& letter) const {
  Block block;
  block.stream_id = *plan_.stream_id(letter.stream);
  block.format = *letter.format;
  block.header = letter.header;
  block.bytes = std::make_shared<BlockBuffer>();
  block.bytes->append(letter.payload);
  block.bytes->append("\n");
  block.origin.source_id = plan_.streams[block.stream_id].http_source;
  block.origin.received_at = clock_.now();
  block.origin.name = origin_of(letter);
  block.origin.request_key = replay_key(letter.letter_id());
  block.origin.request_digest = hash_bytes(letter.payload);
  return block;
}

}  // namespace streamobs::app
