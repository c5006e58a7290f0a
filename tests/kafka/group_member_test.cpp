// A group's member against librdkafka's mock cluster. What only a real broker can show (members
// that die, zombies) is in tests/e2e/test_kafka_group.py.
#include "kafka/group_member.h"

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "kafka/cluster.h"
#include "kafka/consumer.h"
#include "support/catch.h"

namespace {

using namespace streamobs;         // NOLINT
using namespace streamobs::kafka;  // NOLINT

constexpr std::int16_t kOffsetCommit = 8;  // Of the protocol.

std::unique_ptr<GroupMember> member_of(const Cluster& cluster, const std::string& group) {
  ClientOptions options;
  options.brokers = cluster.brokers();
  options.properties.push_back({SourceText("heartbeat.interval.ms"), "100"});
  options.properties.push_back({SourceText("session.timeout.ms"), "3000"});
  auto member = GroupMember::make(options, group, [](rd_kafka_resp_err_t, std::string_view) {});
  REQUIRE(member.has_value());
  return std::move(*member);
}

/// Serves all of them until it holds; false after a long while.
bool until(const std::vector<GroupMember*>& members, const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    for (GroupMember* member : members) member->serve();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::vector<GroupOffset> taken_over(GroupMember& member) {
  REQUIRE(until({&member}, [&] { return member.has_event(); }));
  const GroupEvent event = *member.next_event();
  REQUIRE(event.assigned);
  member.accept();
  return event.partitions;
}

GroupMember::CommitOutcome committed(GroupMember& member, const std::vector<GroupOffset>& ends) {
  member.commit(ends);
  std::optional<GroupMember::CommitOutcome> outcome;
  REQUIRE(until({&member}, [&] { return (outcome = member.commit_ended()).has_value(); }));
  return *outcome;
}

TEST_CASE("a member is given partitions, commits, and finds what was committed", "[kafka]") {
  Cluster cluster({{"in", 3}});
  {
    const auto member = member_of(cluster, "g");
    REQUIRE(member->subscribe({SourceText("in")}).has_value());
    CHECK(member->generation() == -1);
    const std::vector<GroupOffset> given = taken_over(*member);
    REQUIRE(given.size() == 3);
    CHECK(member->generation() >= 0);
    const auto outcome = committed(*member, {{"in", 1, 42, "some text"}, {"in", 2, 7, {}}});
    CHECK(outcome.fates == std::vector<CommitFate>{CommitFate::stored, CommitFate::stored});
    CHECK(outcome.error == RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  // Also without being a member of it.
  const auto asking = member_of(cluster, "g");
  std::vector<GroupOffset> asked{{"in", 0, -1, {}}, {"in", 1, -1, {}}, {"in", 2, -1, {}}};
  REQUIRE(until({asking.get()}, [&] { return asking->ask(asked, kAskPatience).has_value(); }));
  CHECK(asked[0].offset == -1);
  CHECK(asked[1].offset == 42);
  CHECK(asked[1].metadata == "some text");
  CHECK(asked[2].offset == 7);
  CHECK(asked[2].metadata.empty());
}

TEST_CASE("who is no member commits nothing", "[kafka]") {
  Cluster cluster({{"in", 1}});
  const auto member = member_of(cluster, "g");
  // Brokers would take this: the group is empty.
  CHECK(committed(*member, {{"in", 0, 42, {}}}).fates ==
        std::vector<CommitFate>{CommitFate::not_sent});
  // Nor by a membership that was lost before it was accepted.
  member->accept();
  CHECK(member->generation() == -1);
  CHECK(committed(*member, {{"in", 0, 42, {}}}).fates ==
        std::vector<CommitFate>{CommitFate::not_sent});
  REQUIRE(member->subscribe({SourceText("in")}).has_value());
  taken_over(*member);
  CHECK(committed(*member, {{"in", 0, 43, {}}}).fates ==
        std::vector<CommitFate>{CommitFate::stored});
  member->release();
  CHECK(committed(*member, {{"in", 0, 44, {}}}).fates ==
        std::vector<CommitFate>{CommitFate::not_sent});
  std::vector<GroupOffset> asked{{"in", 0, -1, {}}};
  REQUIRE(until({member.get()}, [&] { return member->ask(asked, kAskPatience).has_value(); }));
  CHECK(asked[0].offset == 43);
}

TEST_CASE("what brokers say of a commit is stored, refused or not known", "[kafka]") {
  Cluster cluster({{"in", 1}});
  const auto member = member_of(cluster, "g");
  REQUIRE(member->subscribe({SourceText("in")}).has_value());
  taken_over(*member);
  const auto fate_with = [&](rd_kafka_resp_err_t error) {
    cluster.fail_next(kOffsetCommit, error, 10);  // librdkafka may try again.
    const auto outcome = committed(*member, {{"in", 0, 42, {}}});
    rd_kafka_mock_clear_request_errors(cluster.mock(), kOffsetCommit);
    CHECK(outcome.error != RD_KAFKA_RESP_ERR_NO_ERROR);
    return outcome.fates.at(0);
  };
  CHECK(fate_with(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) == CommitFate::unknown);
  CHECK(fate_with(RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS) == CommitFate::refused);
  CHECK(fate_with(RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) == CommitFate::refused);
  // It has been thrown out, and is told so.
  REQUIRE(until({member.get()}, [&] { return member->has_event(); }));
  const GroupEvent event = *member->next_event();
  CHECK_FALSE(event.assigned);
  CHECK(event.lost);
  member->release();
  CHECK(taken_over(*member).size() == 1);
}

TEST_CASE("a group waits until its members have given up what they had", "[kafka]") {
  Cluster cluster({{"a-1", 2}, {"a-2", 2}, {"b", 2}});
  const auto first = member_of(cluster, "g");
  REQUIRE(first->subscribe({SourceText("a-*")}).has_value());
  CHECK(taken_over(*first).size() == 4);
  const auto second = member_of(cluster, "g");
  REQUIRE(second->subscribe({SourceText("a-*")}).has_value());
  const std::vector<GroupMember*> both{first.get(), second.get()};
  REQUIRE(until(both, [&] { return first->has_event(); }));
  const GroupEvent event = *first->next_event();
  CHECK_FALSE(event.assigned);
  CHECK_FALSE(event.lost);
  CHECK(event.partitions.size() == 4);
  CHECK_FALSE(second->has_event());
  first->release();
  // Whoever comes first may have all of them for a moment.
  std::size_t had[2] = {0, 0};
  REQUIRE(until(both, [&] {
    for (std::size_t i = 0; i < 2; ++i) {
      const std::optional<GroupEvent> next = both[i]->next_event();
      if (!next) continue;
      had[i] = next->assigned ? next->partitions.size() : 0;
      if (next->assigned) both[i]->accept();
      if (!next->assigned) both[i]->release();
    }
    return had[0] == 2 && had[1] == 2;
  }));
}

}  // namespace
