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

}  // namespace

KafkaGroup::KafkaGroup(const SourceOptions& options, const SourceRuntime& runtime,
                       OnTrouble on_trouble)
    : options_(options), runtime_(runtime), on_trouble_(std::move(on_trouble)) {}

asio::awaitable<Result<>> KafkaGroup::open() {
  const auto make = [this] {
    return kafka::GroupMember::make(
        options_.kafka, options_.group.text,
        [this](rd_kafka_resp_err_t error, std::string_view) { on_trouble_(error, "the group"); });
  };
  Result<std::unique_ptr<kafka::GroupMember>> made = co_await runtime_.pool.run(make);
  if (made.has_error()) co_return made.error();
  member_ = std::move(*made);
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

asio::awaitable<bool> KafkaGroup::settle_past() {
  if (runtime_.undecided.empty()) co_return true;
  std::vector<std::uint32_t> ids;
  std::vector<kafka::GroupOffset> partitions;
  std::size_t ranges = 0;
  for (const auto& [id, proposed] : runtime_.undecided) {
    // Its name has been in the log since it first joined.
    const ResumeState known = runtime_.resume_of(id);
    if (known.places.empty()) continue;
    const std::string& name = known.places.back().file;
    const std::size_t slash = name.rfind('/');
    kafka::GroupOffset partition;
    partition.topic = name.substr(0, slash);
    partition.partition = std::atoi(name.c_str() + slash + 1);
    ids.push_back(id);
    partitions.push_back(std::move(partition));
    ranges += proposed.size();
  }
  while (!stopping()) {
    const auto ask = [&] { return member_->ask(partitions, kafka::kAskPatience); };
    const Result<> answered = co_await runtime_.pool.run(ask);
    if (answered.has_value()) break;
    on_trouble_(RD_KAFKA_RESP_ERR__TIMED_OUT, "what was proposed to the group before the start");
    co_await nap(kTryAgainAfter);
  }
  if (stopping()) co_return false;
  std::vector<RangeVerdict> verdicts;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const kafka::CommitMarks marks = kafka::CommitMarks::parse(partitions[i].metadata);
    verdicts.push_back({ids[i], marks.of(runtime_.log_id)});
  }
  log::info("Kafka: the group was asked about what was proposed to it before the start",
            {{"source", options_.name.text}, {"group", options_.group.text}, {"blocks", ranges}});
  const bool decided = co_await runtime_.sink.decide(std::move(verdicts));
  co_return decided;
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

void KafkaGroup::remember_marks(const std::vector<kafka::GroupOffset>& found) {
  marks_.clear();
  for (const kafka::GroupOffset& partition : found) {
    marks_[name_of(partition)] = kafka::CommitMarks::parse(partition.metadata);
  }
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

asio::awaitable<std::optional<std::vector<bool>>> KafkaGroup::agree(
    std::uint64_t position, std::vector<kafka::GroupOffset> ends) {
  std::vector<kafka::CommitMarks> written;
  for (kafka::GroupOffset& end : ends) {
    kafka::CommitMarks marks = marks_[name_of(end)];
    if (position != 0) marks.set(runtime_.log_id, position);
    end.metadata = marks.text();
    written.push_back(std::move(marks));
  }
  std::vector<std::optional<bool>> ours(ends.size());
  std::vector<bool> uncertain(ends.size(), false);
  while (true) {
    std::vector<std::size_t> open;
    std::vector<kafka::GroupOffset> tried;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (ours[i]) continue;
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
        ours[i] = true;
      } else if (outcome->fates[k] == kafka::CommitFate::unknown) {
        uncertain[i] = true;
      } else if (!uncertain[i]) {
        ours[i] = false;
        count_refusal(outcome->error);
      } else {
        // From the refusal on no earlier try of it can come in any more: what is there stays.
        const bool answered = co_await read_back(position, ends[i], ours[i]);
        if (!answered) co_return std::nullopt;
      }
    }
    const bool again = std::any_of(ours.begin(), ours.end(), [](const auto& o) { return !o; });
    if (!again) break;
    on_trouble_(outcome->error, "a commit");
    if (stopping()) co_return std::nullopt;
    co_await nap(kTryAgainAfter);
  }
  std::vector<bool> all;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    all.push_back(*ours[i]);
    if (*ours[i]) marks_[name_of(ends[i])] = std::move(written[i]);
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
                                            std::optional<bool>& ours) {
  std::vector<kafka::GroupOffset> asked{std::move(end)};
  while (!stopping()) {
    const auto ask = [&] { return member_->ask(asked, kafka::kAskPatience); };
    const Result<> answered = co_await runtime_.pool.run(ask);
    if (answered.has_value()) {
      const kafka::CommitMarks marks = kafka::CommitMarks::parse(asked[0].metadata);
      ours = marks.of(runtime_.log_id) >= position;
      co_return true;
    }
    co_await nap(kTryAgainAfter);
  }
  co_return false;
}

}  // namespace streamobs::source
