// Sources in a consumer group: partitions that leave and come back, blocks that never become
// batches.
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sequencer_support.h"

namespace {

using namespace streamobs;  // NOLINT
using wal::Advanced;
using wal::EventBatchPtr;
using wal::Mark;
using wal::PartitionId;
using wal::PartitionsJoined;
using wal::RangeDiscarded;
using wal::Sequenced;
using wal::Sequencer;

using test::block;
using test::joined;
using test::kIdleTimeout;
using test::kNobodyBusy;
using test::snapshot_of;

Sequencer fresh() {
  return test::of_topic(false);
}

}  // namespace

TEST_CASE("groups: a partition that left holds nobody back until it joins again", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0, 1}), out);
  sequencer.admit(block(0, 1, kHour), 0, out);
  sequencer.admit(block(1, 1, kMinute), 0, out);
  CHECK(sequencer.watermark(0) == kMinute);
  out.clear();
  sequencer.leave(0, {1}, 7, out);
  CHECK(sequencer.watermark(0) == kHour);
  REQUIRE(out.size() == 2);
  const auto& left = std::get<Advanced>(out[0].what);
  CHECK(left.idle == std::vector<PartitionId>{{0, 1}});
  CHECK(left.watermark == kHour);
  CHECK(left.at == 7);
  CHECK(std::get<Mark>(out[1].what).watermark == kHour);
  out.clear();
  sequencer.join(joined({1}), out);
  sequencer.admit(block(0, 2, 2 * kHour), 0, out);
  CHECK(sequencer.watermark(0) == kHour);
  sequencer.admit(block(1, 2, kHour + kMinute), 0, out);
  CHECK(sequencer.watermark(0) == kHour + kMinute);
}

TEST_CASE("groups: who is left with nothing goes by the wall clock only after the idle timeout",
          "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0, 1}), out);
  sequencer.admit(block(0, 1, kHour), kHour, out);
  sequencer.admit(block(1, 1, kHour), kHour, out);
  out.clear();
  sequencer.leave(0, {0, 1, 9}, kHour, out);
  CHECK(out.empty());
  Timestamp now = 2 * kHour;
  for (; now < 2 * kHour + kIdleTimeout; now += kSecond) sequencer.tick(now, kNobodyBusy, out);
  CHECK(out.empty());
  sequencer.tick(now, kNobodyBusy, out);
  REQUIRE_FALSE(out.empty());
  CHECK(sequencer.idle(0));
  CHECK(sequencer.watermark(0) == kHour + kMinute);
}

TEST_CASE("groups: leaving what is not there says nothing", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0}), out);
  sequencer.admit(block(0, 1, kHour), 0, out);
  const std::string before = snapshot_of(sequencer);
  out.clear();
  sequencer.leave(0, {}, 0, out);
  sequencer.leave(0, {5}, 0, out);
  CHECK(out.empty());
  CHECK(snapshot_of(sequencer) == before);
}

TEST_CASE("groups: behind a discarded block the next one is the next", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({3}), out);
  sequencer.admit(block(3, 1, kHour), 0, out);
  out.clear();
  sequencer.discard({0, {0, 3}, 2}, out);
  sequencer.discard({0, {0, 3}, 3}, out);
  sequencer.admit(block(3, 4, kHour), 0, out);
  REQUIRE(out.size() == 3);
  CHECK(std::get<RangeDiscarded>(out[1].what).number == 3);
  CHECK(std::get<EventBatchPtr>(out[2].what)->origin.number == 4);
  CHECK(sequencer.resume_of(0, 3).next_block == 5);
  CHECK(sequencer.resume_of(0, 3).places.back().offset == 40);
}

TEST_CASE("groups: a discarded block of nobody is refused", "[wal]") {
  std::vector<Sequenced> out;
  for (const PartitionId id : {PartitionId{2, 0}, PartitionId{0, 1024}}) {
    Sequencer sequencer = fresh();
    CHECK(sequencer.replay(1, RangeDiscarded{0, id, 1}, out).error().code == ErrorCode::corrupt);
  }
}

TEST_CASE("groups: replayed from any snapshot they come to the same", "[wal]") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    Sequencer live = fresh();
    std::vector<Sequenced> history;
    std::vector<std::pair<std::size_t, std::string>> snapshots{{0, snapshot_of(live)}};
    std::map<std::uint32_t, std::uint64_t> numbers;
    std::vector<std::uint32_t> owned;
    Timestamp now = kHour;
    for (int step = 0; step < 150; ++step) {
      std::vector<Sequenced> out;
      now += static_cast<Duration>(random() % (3 * kSecond));
      const std::uint64_t what = random() % 12;
      if (what == 0 || owned.empty()) {  // Shared out anew.
        owned.clear();
        std::vector<std::uint32_t> others;
        for (std::uint32_t p = 0; p < 5; ++p) (random() % 2 == 0 ? owned : others).push_back(p);
        if (!owned.empty()) live.join(joined(owned), out);
        live.leave(0, others, now, out);
      } else if (what < 8) {
        const std::uint32_t partition = owned[random() % owned.size()];
        const Timestamp time = now - static_cast<Duration>(random() % (90 * kSecond));
        live.admit(block(partition, ++numbers[partition], time), now, out);
      } else if (what < 10) {
        const std::uint32_t partition = owned[random() % owned.size()];
        live.discard({now, {0, partition}, ++numbers[partition]}, out);
      } else {
        live.tick(now, kNobodyBusy, out);
      }
      for (Sequenced& item : out) history.push_back(std::move(item));
      if (random() % 10 == 0) snapshots.emplace_back(history.size(), snapshot_of(live));
    }
    const std::string end = snapshot_of(live);
    INFO("seed " << seed);
    test::check_replays(false, history, snapshots, end);
  }
}
