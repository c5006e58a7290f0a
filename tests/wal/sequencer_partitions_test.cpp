// Sources of several partitions: each has its own order and its own time.
#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "sequencer_support.h"

namespace {

using namespace streamobs;  // NOLINT
using wal::Advanced;
using wal::EventBatchPtr;
using wal::PartitionId;
using wal::PartitionsJoined;
using wal::Sequenced;
using wal::Sequencer;

using test::block;
using test::joined;
using test::kIdleTimeout;
using test::kNobodyBusy;
using test::snapshot_of;

Sequencer fresh() {
  return test::of_topic(true);
}

}  // namespace

TEST_CASE("partitions: a slow one is not made late by a fast one", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0, 1}), out);
  sequencer.admit(block(0, 1, kHour), 0, out);
  CHECK(sequencer.watermark(0) == kMinTimestamp);  // Partition 1 has not been heard.
  out.clear();
  sequencer.admit(block(1, 1, 10 * kMinute), 0, out);
  CHECK(std::get<EventBatchPtr>(out[0].what)->stamp.others_time == kHour);
  CHECK(std::get<EventBatchPtr>(out[0].what)->stamp.partition_time == kMinTimestamp);
  CHECK(sequencer.watermark(0) == 10 * kMinute);
  sequencer.admit(block(1, 2, 2 * kHour), 0, out);
  CHECK(sequencer.watermark(0) == kHour);
}

TEST_CASE("partitions: each has its own order of blocks", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0, 1}), out);
  out.clear();
  sequencer.admit(block(1, 2, 1), 0, out);
  CHECK(out.empty());
  sequencer.admit(block(0, 1, 1), 0, out);  // Does not wait for the other's first block.
  CHECK(std::get<EventBatchPtr>(out[0].what)->origin.partition == 0);
  out.clear();
  sequencer.admit(block(1, 1, 1), 0, out);
  std::vector<std::uint64_t> numbers;
  for (const Sequenced& item : out) {
    if (const auto* b = std::get_if<EventBatchPtr>(&item.what)) {
      numbers.push_back((*b)->origin.number);
    }
  }
  CHECK(numbers == std::vector<std::uint64_t>{1, 2});
  CHECK(sequencer.waiting() == 0);
}

TEST_CASE("partitions: a silent one is left out, one that is behind is not", "[wal]") {
  for (const bool behind : {false, true}) {
    Sequencer sequencer = fresh();
    std::vector<Sequenced> out;
    sequencer.join(joined({0, 1, 2}), out);
    sequencer.admit(block(2, 1, kHour), 0, out);
    const auto busy = [behind](const PartitionId& id) {
      return id.partition == 2 || (behind && id.partition == 1);
    };
    out.clear();
    for (Timestamp now = 0; now <= kIdleTimeout; now += kSecond) sequencer.tick(now, busy, out);
    const auto* advanced = std::get_if<Advanced>(&out.at(0).what);
    REQUIRE(advanced != nullptr);
    if (behind) {
      CHECK(advanced->idle == std::vector<PartitionId>{{0, 0}});
      CHECK(sequencer.watermark(0) == kMinTimestamp);
    } else {
      CHECK(advanced->idle == std::vector<PartitionId>{{0, 0}, {0, 1}});
      CHECK(sequencer.watermark(0) == kHour);
    }
  }
}

TEST_CASE("partitions: one that joins again is waited for again", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0, 1}), out);
  sequencer.admit(block(0, 1, kMinute), 0, out);
  const auto busy = [](const PartitionId& id) { return id.partition == 0; };
  for (Timestamp now = 0; now <= kIdleTimeout; now += kSecond) sequencer.tick(now, busy, out);
  REQUIRE(sequencer.watermark(0) == kMinute);  // Without partition 1.
  sequencer.join(joined({0, 1}), out);         // The process has started again.
  sequencer.admit(block(0, 2, kHour), 0, out);
  CHECK(sequencer.watermark(0) == kMinute);
  sequencer.admit(block(1, 1, 2 * kMinute), 0, out);
  CHECK(sequencer.watermark(0) == 2 * kMinute);
}

TEST_CASE("partitions: the place of one is known from its joining on", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0, 3}), out);
  CHECK(sequencer.partitions_of(0) == std::vector<std::uint32_t>{0, 3});
  REQUIRE(sequencer.resume_of(0, 3).places.size() == 1);
  CHECK(sequencer.resume_of(0, 3).places[0].offset == 5);
  sequencer.admit(block(3, 1, 0), 0, out);
  REQUIRE(sequencer.resume_of(0, 3).places.size() == 1);
  CHECK(sequencer.resume_of(0, 3).places[0].file == "t/3");
  CHECK(sequencer.resume_of(0, 3).places[0].offset == 10);
  CHECK(sequencer.resume_of(0, 3).next_block == 2);
  CHECK(sequencer.resume_of(0, 0).places[0].offset == 5);
}

TEST_CASE("partitions: a source ends when the blocks of all of them are through", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  sequencer.join(joined({0, 1}), out);
  sequencer.admit(block(0, 1, 30 * kSecond), 0, out);
  sequencer.end_source(0, 3, kHour, out);
  sequencer.admit(block(1, 1, 40 * kSecond), kHour, out);
  CHECK(sequencer.watermark(0) == 30 * kSecond);
  sequencer.admit(block(1, 2, 50 * kSecond), kHour, out);
  CHECK(sequencer.watermark(0) == kMinute);
  CHECK(sequencer.idle(0));
}

TEST_CASE("partitions: a snapshot of the time before them is taken over", "[wal]") {
  // By hand, as version 1 wrote it: docs/wal-format.md.
  std::string old;
  put_u8(old, 1);
  put_u64(old, 77);
  put_varint(old, 1);
  put_text(old, "stream");
  put_signed(old, kMinute);
  put_signed(old, kHour);
  put_varint(old, 1);
  put_text(old, "topic");
  put_text(old, "stream");
  put_u8(old, 1);  // Active.
  put_signed(old, 2 * kMinute);
  put_varint(old, 9);
  put_varint(old, 0);
  put_varint(old, 1);
  wal::put_place(old, {"a.log", 1, 2, 300, 4, 5});
  Sequencer sequencer = fresh();
  const auto lost = sequencer.restore(old);
  REQUIRE(lost.has_value());
  CHECK(lost->empty());
  CHECK(sequencer.position() == 77);
  CHECK(sequencer.watermark(0) == kMinute);
  CHECK(sequencer.partitions_of(0) == std::vector<std::uint32_t>{0});
  CHECK(sequencer.resume_of(0).next_block == 9);
  CHECK((sequencer.resume_of(0).places ==
         std::vector<ResumePoint>{ResumePoint{"a.log", 1, 2, 300, 4, 5}}));
}

TEST_CASE("partitions: what no source can have is refused", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  CHECK(sequencer.replay(1, joined({BlockOrigin::kPartitionsMax}), out).has_error());
  CHECK(sequencer.replay(1, block(BlockOrigin::kPartitionsMax, 1, 0), out).has_error());
  CHECK(
      sequencer.replay(1, Advanced{0, 0, {{0, BlockOrigin::kPartitionsMax}}, 0}, out).has_error());
  PartitionsJoined unknown = joined({0});
  unknown.source_id = 2;
  CHECK(sequencer.replay(1, unknown, out).has_error());
  CHECK(sequencer.position() == 0);
  std::string bytes = snapshot_of(sequencer);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    CHECK(fresh().restore(std::string_view(bytes).substr(0, cut)).has_error());
  }
}

TEST_CASE("partitions: replayed from any snapshot they come to the same", "[wal]") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    Sequencer live = fresh();
    std::vector<Sequenced> history;
    std::vector<std::pair<std::size_t, std::string>> snapshots{{0, snapshot_of(live)}};
    std::map<std::uint32_t, std::uint64_t> numbers;
    std::uint32_t partitions = 0;
    Timestamp now = kHour;
    for (int step = 0; step < 100; ++step) {
      std::vector<Sequenced> out;
      now += static_cast<Duration>(random() % (3 * kSecond));
      const std::uint64_t what = random() % 12;
      if (what == 0 || partitions == 0) {
        partitions = std::min<std::uint32_t>(partitions + 1, 5);
        live.join(joined({partitions - 1}), out);
      } else if (what < 8) {
        const auto partition = static_cast<std::uint32_t>(random() % partitions);
        const Timestamp time = now - static_cast<Duration>(random() % (90 * kSecond));
        live.admit(block(partition, ++numbers[partition], time), now, out);
      } else if (what == 8) {
        live.admit(block(0, 0, now, 1), now, out);
      } else {
        live.tick(now, kNobodyBusy, out);
      }
      for (Sequenced& item : out) history.push_back(std::move(item));
      if (random() % 10 == 0) snapshots.emplace_back(history.size(), snapshot_of(live));
    }
    const std::string end = snapshot_of(live);
    INFO("seed " << seed);
    test::check_replays(true, history, snapshots, end);
  }
}

TEST_CASE("partitions: how far each is ahead of the slowest", "[wal]") {
  Sequencer sequencer = fresh();
  std::vector<Sequenced> out;
  const auto leads = [&](bool more) {
    std::map<std::uint32_t, Duration> all;
    for (const auto& [number, ahead] :
         sequencer.leads_of(0, [more](const PartitionId&) { return more; })) {
      all[number] = ahead;
    }
    return all;
  };
  using Leads = std::map<std::uint32_t, Duration>;
  sequencer.join(joined({0, 1, 2}), out);
  sequencer.admit(block(0, 1, 5 * kHour), 0, out);
  // The others have said nothing: they count while something of theirs is on its way.
  CHECK((leads(false) == Leads{{0, 0}, {1, 0}, {2, 0}}));
  CHECK((leads(true) == Leads{{0, kMaxTimestamp}, {1, 0}, {2, 0}}));
  sequencer.admit(block(1, 1, 2 * kHour), 0, out);
  CHECK((leads(false) == Leads{{0, 3 * kHour}, {1, 0}, {2, 0}}));
  sequencer.admit(block(2, 1, 4 * kHour), 0, out);
  CHECK((leads(true) == Leads{{0, 3 * kHour}, {1, 0}, {2, 2 * kHour}}));
  // Another source of the stream counts too, while it is active.
  sequencer.admit(block(0, 0, kHour, 1), 0, out);
  CHECK((leads(false) == Leads{{0, 4 * kHour}, {1, kHour}, {2, 3 * kHour}}));
  const auto others_busy = [](const PartitionId& id) { return id.source_id == 0; };
  for (Timestamp now = 0; now <= 12 * kSecond; now += kSecond) {
    sequencer.tick(now, others_busy, out);
  }
  CHECK((leads(false) == Leads{{0, 3 * kHour}, {1, 0}, {2, 2 * kHour}}));
  // And so do partitions that are idle no longer.
  const auto one_silent = [](const PartitionId& id) { return id.partition != 1; };
  for (Timestamp now = 12 * kSecond; now <= 24 * kSecond; now += kSecond) {
    sequencer.tick(now, one_silent, out);
  }
  CHECK((leads(false) == Leads{{0, kHour}, {1, 0}, {2, 0}}));
  sequencer.admit(block(1, 2, 3 * kHour), 0, out);
  CHECK((leads(false) == Leads{{0, 2 * kHour}, {1, 0}, {2, kHour}}));
}

namespace {

/// A reader that holds back what is too far ahead, as source/kafka_source does.
struct HeldReader {
  std::vector<std::vector<Timestamp>> messages;  ///< By partition.
  std::vector<std::size_t> next;
  std::vector<bool> held;
};

}  // namespace

TEST_CASE("partitions: held back by how far they are ahead, all come to their ends", "[wal]") {
  constexpr Duration kMaxSkew = 10 * kMinute;
  constexpr Duration kStepMax = 2 * kMinute;  ///< Between two messages of a partition.
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    Sequencer sequencer = fresh();
    HeldReader reader;
    const std::uint32_t partitions = 1 + random() % 5;
    std::vector<std::uint32_t> numbers;
    std::size_t left = 0;
    for (std::uint32_t p = 0; p < partitions; ++p) {
      numbers.push_back(p);
      reader.messages.emplace_back();
      Timestamp at = static_cast<Timestamp>(random() % 3) * kHour;
      for (unsigned n = random() % 100; n != 0; --n) {
        at += static_cast<Timestamp>(random()) % kStepMax;
        reader.messages.back().push_back(at);
        ++left;
      }
    }
    reader.next.resize(partitions);
    reader.held.resize(partitions);
    std::vector<Sequenced> out;
    sequencer.join(joined(numbers), out);
    const auto has_more = [&](const PartitionId& id) {
      return id.source_id == 0 && id.partition < partitions &&
             reader.next[id.partition] < reader.messages[id.partition].size();
    };
    const auto busy = [&](const PartitionId& id) {
      return has_more(id) || (id.source_id == 0 && reader.held[id.partition]);
    };
    Timestamp now = 0;
    for (int step = 0; left != 0; ++step) {
      REQUIRE(step < 20'000);  // Else they wait for each other.
      for (const auto& [p, ahead] : sequencer.leads_of(0, has_more)) {
        if (p >= partitions) continue;
        if (ahead > kMaxSkew) reader.held[p] = true;
        if (ahead <= kMaxSkew / 2) reader.held[p] = false;
      }
      const std::uint32_t p = random() % partitions;
      if (!reader.held[p] && reader.next[p] < reader.messages[p].size()) {
        const Timestamp time = reader.messages[p][reader.next[p]++];
        sequencer.admit(block(p, reader.next[p], time), now, out);
        --left;
      }
      if (random() % 4 == 0) sequencer.tick(now += kSecond, busy, out);
      // What came last of anybody came when he was not too far ahead of those who have more to
      // come.
      for (std::uint32_t q = 0; q < partitions; ++q) {
        if (!has_more({0, q})) continue;
        for (std::uint32_t r = 0; r < partitions; ++r) {
          if (reader.next[r] < 2) continue;
          REQUIRE(reader.next[q] != 0);
          const Timestamp slow = reader.messages[q][reader.next[q] - 1];
          REQUIRE(reader.messages[r][reader.next[r] - 2] - slow <= kMaxSkew);
        }
      }
    }
  }
}
