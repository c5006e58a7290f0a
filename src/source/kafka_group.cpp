#include "source/kafka_group.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/log.h"
#include "kafka/consumer.h"

namespace streamobs::source {

namespace {

constexpr Duration kLookAtCommitEvery = kMillisecond;
constexpr Duration kTryAgainAfter = 250 * kMillisecond;
/// What a stop waits for an answer that is on its way.
constexpr Duration kStopPatience = 2 * kSecond;

std::string name_of(const kafka::GroupOffset& partition) {
  return fmt::format("{}/{}", partition.topic, partition.partition);
}

/// A mark alone may be of a time that our log knows nothing of: it was put back from a backup.
bool is_ours(const kafka::GroupOffset& committed, std::uint64_t mark, const ProposedRange& range) {
  return mark >= range.position && committed.offset >= static_cast<std::int64_t>(range.end);
}

}  // namespace

KafkaGroup::KafkaGroup(const SourceOptions& options, const SourceRuntime& runtime,
                       OnTrouble on_trouble)
    : options_(options),
      runtime_(runtime),
      on_trouble_(std::move(on_trouble)),
      reached_(runtime.log_position) {}

asio::awaitable<Result<>> KafkaGroup::open() {
  const auto make = [this] {
    return kafka::GroupMember::make(
        options_.kafka, options_.group.text,
        [this](rd_kafka_resp_err_t error, std::string_view) { on_trouble_(error, "the group"); });
  };
  Result<std::unique_ptr<kafka::GroupMember>> made = co_await runtime_.pool.run(make);
  if (made.has_error()) co_return made.error();
  member_ = std::move(*made);
  take_past();
  co_return Result<>();
}

asio::awaitable<void> KafkaGroup::close() {
  const auto leave = [this] { member_.reset(); };
  co_await runtime_.pool.run(leave);
}

void KafkaGroup::serve() {
  if (member_ != nullptr) member_->serve();
}

Result<> KafkaGroup::join() {
  return member_->subscribe(options_.topics);
}

asio::awaitable<void> KafkaGroup::nap(Duration duration) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  timer.expires_after(std::chrono::microseconds(duration));
  error_code ignored;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

/// What an earlier life left undecided is open from the start.
void KafkaGroup::take_past() {
  for (const auto& [id, ranges] : runtime_.undecided) {
    // Its name has been in the log since it first joined.
    const ResumeState known = runtime_.resume_of(id);
    const std::size_t slash =
        known.places.empty() ? std::string::npos : known.places.back().file.rfind('/');
    if (slash == std::string::npos) {
      log::error(
          "Kafka: the group cannot be asked about what was proposed to it, since the log does not "
          "say which partition that was; it stays undecided",
          {{"source", options_.name.text}, {"partition", id}, {"blocks", ranges.size()}});
      continue;
    }
    const std::string& name = known.places.back().file;
    Open past;
    past.id = id;
    past.partition.topic = name.substr(0, slash);
    past.partition.partition = std::atoi(name.c_str() + slash + 1);
    past.ranges = ranges;
    open_.push_back(std::move(past));
  }
}

void KafkaGroup::leave_open(std::uint32_t id, const kafka::GroupOffset& end,
                            std::uint64_t position) {
  Open left;
  left.id = id;
  left.partition.topic = end.topic;
  left.partition.partition = end.partition;
  left.ranges.push_back({0, position, static_cast<std::uint64_t>(end.offset)});
  open_.push_back(std::move(left));
}

asio::awaitable<KafkaGroup::Settled> KafkaGroup::settle() {
  if (open_.empty()) co_return Settled::all;
  std::vector<kafka::GroupOffset> partitions;
  for (const Open& open : open_) partitions.push_back(open.partition);
  const std::optional<std::vector<kafka::GroupOffset>> found = co_await ask(std::move(partitions));
  if (!found) co_return stopping() ? Settled::end : Settled::later;
  std::vector<RangeVerdict> verdicts;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    const kafka::GroupOffset& committed = (*found)[i];
    const std::uint64_t mark = kafka::CommitMarks::parse(committed.metadata).of(runtime_.log_id);
    RangeVerdict verdict{open_[i].id, 0, open_[i].ranges.back().position};
    for (const ProposedRange& range : open_[i].ranges) {
      if (is_ours(committed, mark, range)) verdict.committed_up_to = range.position;
    }
    verdicts.push_back(verdict);
  }
  log::info("Kafka: the group was asked about what was proposed to it before",
            {{"source", options_.name.text},
             {"group", options_.group.text},
             {"partitions", open_.size()}});
  const bool decided = co_await runtime_.sink.decide(std::move(verdicts));
  if (!decided) co_return Settled::end;
  open_.clear();
  co_return Settled::all;
}

asio::awaitable<std::optional<std::vector<kafka::GroupOffset>>> KafkaGroup::ask(
    std::vector<kafka::GroupOffset> partitions) {
  while (!stopping()) {
    const auto ask = [&] { return member_->ask(partitions, kafka::kAskPatience); };
    const Result<> answered = co_await runtime_.pool.run(ask);
    if (answered.has_value()) co_return partitions;
    on_trouble_(RD_KAFKA_RESP_ERR__TIMED_OUT, "the group's offsets");
    if (member_->has_event()) break;
    co_await nap(kTryAgainAfter);
  }
  co_return std::nullopt;
}

std::vector<bool> KafkaGroup::remember_marks(const std::vector<kafka::GroupOffset>& found) {
  marks_.clear();
  std::vector<bool> from_beyond;
  for (const kafka::GroupOffset& partition : found) {
    kafka::CommitMarks marks = kafka::CommitMarks::parse(partition.metadata);
    from_beyond.push_back(marks.of(runtime_.log_id) > reached_);
    if (from_beyond.back()) marks.forget(runtime_.log_id);
    marks_[name_of(partition)] = std::move(marks);
  }
  return from_beyond;
}

/// librdkafka tries again by itself; only its answer ends one, so that no earlier commit comes in
/// behind a later one.
asio::awaitable<std::optional<kafka::GroupMember::CommitOutcome>> KafkaGroup::commit(
    std::vector<kafka::GroupOffset> ends) {
  member_->commit(ends);
  Duration stopping_for = 0;
  while (stopping_for < kStopPatience) {
    std::optional<kafka::GroupMember::CommitOutcome> outcome = member_->commit_ended();
    if (outcome) co_return outcome;
    co_await nap(kLookAtCommitEvery);
    if (stopping()) stopping_for += kLookAtCommitEvery;
  }
  co_return std::nullopt;
}

asio::awaitable<std::optional<std::vector<KafkaGroup::Fate>>> KafkaGroup::agree(
    std::uint64_t position, std::vector<kafka::GroupOffset> ends) {
  reached_ = std::max(reached_, position);
  std::vector<kafka::CommitMarks> written;
  for (kafka::GroupOffset& end : ends) {
    kafka::CommitMarks marks = marks_[name_of(end)];
    if (position != 0) marks.set(runtime_.log_id, position);
    end.metadata = marks.text();
    written.push_back(std::move(marks));
  }
  std::vector<std::optional<Fate>> fates(ends.size());
  std::vector<bool> uncertain(ends.size(), false);
  while (true) {
    std::vector<std::size_t> open;
    std::vector<kafka::GroupOffset> tried;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (fates[i]) continue;
      open.push_back(i);
      tried.push_back(ends[i]);
    }
    if (open.empty()) break;
    const std::optional<kafka::GroupMember::CommitOutcome> outcome =
        co_await commit(std::move(tried));
    if (!outcome) co_return std::nullopt;
    for (std::size_t k = 0; k < open.size(); ++k) {
      const std::size_t i = open[k];
      if (outcome->fates[k] == kafka::CommitFate::stored) {
        fates[i] = Fate::ours;
      } else if (outcome->fates[k] == kafka::CommitFate::unknown) {
        uncertain[i] = true;
      } else if (!uncertain[i] || position == 0) {
        // Of where reading begins nothing has been read: whoever is given it next asks for it.
        fates[i] = Fate::others;
        count_refusal(outcome->error);
      } else if (outcome->fates[k] == kafka::CommitFate::not_sent) {
        // Only our next generation keeps an earlier try out.
        fates[i] = Fate::open;
      } else {
        // From the refusal on no earlier try of it can come in any more: what is there stays.
        const bool answered = co_await read_back(position, ends[i], fates[i]);
        if (!answered) co_return std::nullopt;
      }
    }
    const bool again = std::any_of(fates.begin(), fates.end(), [](const auto& f) { return !f; });
    if (!again) break;
    on_trouble_(outcome->error, "a commit");
    if (stopping()) co_return std::nullopt;
    co_await nap(kTryAgainAfter);
  }
  std::vector<Fate> all;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    all.push_back(*fates[i]);
    if (*fates[i] == Fate::ours) marks_[name_of(ends[i])] = std::move(written[i]);
  }
  co_return all;
}

/// By what the brokers said, or "_ASSIGNMENT_LOST" where we knew before we asked.
void KafkaGroup::count_refusal(rd_kafka_resp_err_t error) {
  runtime_.metrics
      .counter("streamobs_kafka_group_refused_commits_total",
               "Commits of a partition that the consumer group has refused.",
               {{"source", options_.name.text}, {"error", rd_kafka_err2name(error)}})
      .add();
}

asio::awaitable<bool> KafkaGroup::read_back(std::uint64_t position, kafka::GroupOffset end,
                                            std::optional<Fate>& fate) {
  const ProposedRange range{0, position, static_cast<std::uint64_t>(end.offset)};
  std::vector<kafka::GroupOffset> asked{std::move(end)};
  while (!stopping()) {
    const auto ask = [&] { return member_->ask(asked, kafka::kAskPatience); };
    const Result<> answered = co_await runtime_.pool.run(ask);
    if (answered.has_value()) {
      const kafka::CommitMarks marks = kafka::CommitMarks::parse(asked[0].metadata);
      const bool ours = is_ours(asked[0], marks.of(runtime_.log_id), range);
      fate = ours ? Fate::ours : Fate::others;
      co_return true;
    }
    co_await nap(kTryAgainAfter);
  }
  co_return false;
}

}  // namespace streamobs::source
