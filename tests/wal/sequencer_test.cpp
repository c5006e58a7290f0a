#include "wal/sequencer.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "sequencer_support.h"

namespace {

using namespace streamobs;  // NOLINT
using test::batch;
using test::kNobodyBusy;
using test::minutes;
using test::snapshot_of;
using wal::EventBatchPtr;
using wal::Mark;
using wal::Sequenced;
using wal::Sequencer;
using wal::StreamTiming;

std::vector<Timestamp> marks(const std::vector<Sequenced>& out) {
  std::vector<Timestamp> all;
  for (const Sequenced& item : out) {
    if (const auto* mark = std::get_if<Mark>(&item.what)) all.push_back(mark->watermark);
  }
  return all;
}

}  // namespace

TEST_CASE("batches of a partition are numbered in its own order, whoever was faster", "[wal]") {
  Sequencer sequencer({minutes()});
  sequencer.add_source(0, "source0", 0, true);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 3, 30 * kSecond), 0, out);
  sequencer.admit(batch(0, 2, 20 * kSecond), 0, out);
  CHECK(out.empty());
  CHECK(sequencer.waiting() == 2);
  sequencer.admit(batch(0, 1, 10 * kSecond), 0, out);
  // The first watermark there is enters the grid, which tells the lanes once.
  std::vector<std::uint64_t> numbers;
  std::vector<std::uint64_t> positions;
  for (const Sequenced& item : out) {
    if (const auto* b = std::get_if<EventBatchPtr>(&item.what)) {
      numbers.push_back((*b)->origin.number);
      positions.push_back((*b)->stamp.sequence);
    }
  }
  CHECK(numbers == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(positions == std::vector<std::uint64_t>{1, 2, 3});
  CHECK(sequencer.waiting() == 0);
}

TEST_CASE("the watermark is the least of the partitions' newest times and never falls", "[wal]") {
  Sequencer sequencer({minutes()});
  sequencer.add_source(0, "source0", 0, true);
  sequencer.add_source(1, "source1", 0, true);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 1, 5 * kMinute), 0, out);
  CHECK(marks(out).empty());  // The other one has not spoken yet.
  out.clear();
  sequencer.admit(batch(1, 1, 2 * kMinute), 0, out);
  CHECK(marks(out) == std::vector<Timestamp>{2 * kMinute});
  CHECK(std::get<EventBatchPtr>(out[0].what)->stamp.others_time == 5 * kMinute);
  CHECK(std::get<EventBatchPtr>(out[0].what)->stamp.partition_time == kMinTimestamp);
  out.clear();
  sequencer.admit(batch(1, 2, 1 * kMinute), 0, out);  // An old event.
  CHECK(marks(out).empty());
  CHECK(sequencer.watermark(0) == 2 * kMinute);
}

TEST_CASE("an idle partition stops holding the watermark back", "[wal]") {
  Sequencer sequencer({minutes()});
  sequencer.add_source(0, "source0", 0, true);
  sequencer.add_source(1, "source1", 0, true);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 1, 3 * kMinute), 10 * kSecond, out);
  const auto busy_first = [](wal::PartitionId id) { return id.source_id == 0; };
  for (Timestamp now = 0; now < 30 * kSecond; now += kSecond) {
    sequencer.tick(now, busy_first, out);
    CHECK(marks(out).empty());
  }
  sequencer.tick(30 * kSecond, busy_first, out);  // Source 1 has been silent for 30 s.
  CHECK(marks(out) == std::vector<Timestamp>{3 * kMinute});
}

TEST_CASE("being held up by backpressure is not idleness", "[wal]") {
  Sequencer sequencer({minutes()});
  sequencer.add_source(0, "source0", 0, true);
  sequencer.add_source(1, "source1", 0, true);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 1, 3 * kMinute), 10 * kSecond, out);
  out.clear();
  const auto second_is_held = [](wal::PartitionId id) { return id.source_id == 1; };
  for (Timestamp now = 0; now < 10 * kMinute; now += kSecond) {
    sequencer.tick(now, second_is_held, out);
  }
  CHECK(marks(out).empty());
}

TEST_CASE("when all are idle windows close, but never before the wall clock has passed them",
          "[wal]") {
  const Timestamp start = 1'000 * kMinute;
  Sequencer sequencer({minutes(10 * kSecond)});
  sequencer.add_source(0, "source0", 0, false);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 0, start + 50 * kSecond), start + 50 * kSecond, out);
  out.clear();
  const Timestamp closes_at = start + 70 * kSecond;  // End plus lateness.
  Timestamp closed_at = 0;
  for (Timestamp now = start + 50 * kSecond; now < start + 5 * kMinute; now += kSecond) {
    out.clear();
    sequencer.tick(now, kNobodyBusy, out);
    CHECK(sequencer.watermark(0) <= now);
    if (closed_at == 0 && sequencer.watermark(0) >= closes_at) closed_at = now;
  }
  CHECK(closed_at == start + 80 * kSecond);  // Idle since 50 s, for 30 s; its end is past by then.
  // Nothing has come since, so nothing further needs to be decided: a late-comer for the next
  // minute is still welcome.
  CHECK(sequencer.watermark(0) == closes_at);
}

TEST_CASE("old files are not closed early by the wall clock, and do not run ahead of it", "[wal]") {
  Sequencer sequencer({minutes()});
  sequencer.add_source(0, "source0", 0, true);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 1, 5 * kMinute), 2'000 * kMinute, out);
  CHECK(sequencer.watermark(0) == 5 * kMinute);
  for (Timestamp now = 2'000 * kMinute; now <= 2'001 * kMinute; now += kSecond) {
    sequencer.tick(now, kNobodyBusy, out);  // Idle in the end: the open minute closes.
  }
  CHECK(sequencer.watermark(0) == 6 * kMinute);
  out.clear();
  sequencer.admit(batch(0, 2, 6 * kMinute + kSecond), 2'002 * kMinute, out);
  CHECK(std::get<EventBatchPtr>(out[0].what)->stamp.floor_time ==
        6 * kMinute);  // So it is not late.
}

TEST_CASE("the end of the last bounded source closes all that has events", "[wal]") {
  Sequencer sequencer({minutes(kMinute)});
  sequencer.add_source(0, "source0", 0, true);
  std::vector<Sequenced> out;
  sequencer.end_source(0, 2, 0, out);  // Announced before its blocks are through.
  sequencer.admit(batch(0, 2, 90 * kSecond), 0, out);
  CHECK(sequencer.watermark(0) == kMinTimestamp);
  sequencer.admit(batch(0, 1, 10 * kSecond), 0, out);
  CHECK(sequencer.watermark(0) == 3 * kMinute);
  CHECK(marks(out).back() == 3 * kMinute);
  // An end without any event decides nothing.
  Sequencer empty({minutes()});
  empty.add_source(0, "source0", 0, true);
  out.clear();
  empty.end_source(0, 0, 0, out);
  CHECK(marks(out).empty());
}

TEST_CASE("a file's end does not run ahead of the clock where others may still send", "[wal]") {
  StreamTiming timing = minutes();
  timing.may_go_on = true;
  Sequencer sequencer({timing});
  sequencer.add_source(0, "source0", 0, true);
  sequencer.add_source(1, "source1", 0, false);
  std::vector<Sequenced> out;
  const Timestamp now = 100 * kMinute + 20 * kSecond;
  sequencer.admit(batch(0, 1, 100 * kMinute + 10 * kSecond), now, out);
  sequencer.end_source(0, 1, now, out);
  CHECK(sequencer.watermark(0) == now);  // Not 101 minutes: HTTP may send more of this one.
  out.clear();
  sequencer.admit(batch(1, 0, 100 * kMinute + 30 * kSecond), now, out);
  CHECK(std::get<EventBatchPtr>(out[0].what)->stamp.floor_time == now);
}

TEST_CASE("a jump of the wall clock makes nobody idle", "[wal]") {
  Sequencer sequencer({minutes()});
  sequencer.add_source(0, "source0", 0, true);
  std::vector<Sequenced> out;
  sequencer.tick(0, kNobodyBusy, out);
  sequencer.admit(batch(0, 1, 5 * kMinute), 5 * kMinute, out);
  out.clear();
  sequencer.tick(3 * kHour, kNobodyBusy, out);
  sequencer.tick(kHour, kNobodyBusy, out);
  CHECK(out.empty());
  CHECK_FALSE(sequencer.idle(0));
}

TEST_CASE("a batch of nothing but refused events does not hold the watermark back", "[wal]") {
  Sequencer sequencer({minutes()});
  sequencer.add_source(0, "source0", 0, true);
  sequencer.add_source(1, "source1", 0, false);
  std::vector<Sequenced> out;
  EventBatchPtr refused = batch(1, 0, kMinTimestamp);
  refused->rows = 0;
  sequencer.admit(std::move(refused), 0, out);
  REQUIRE(out.size() == 1);
  sequencer.admit(batch(0, 1, 5 * kMinute), 0, out);
  CHECK(sequencer.watermark(0) == 5 * kMinute);
}

TEST_CASE("the row-by-row watermark does not depend on how a partition is cut into batches",
          "[wal]") {
  // The contract of Stamp: max(floor, min(others, max(partition, rows before))). Two partitions,
  // random times; partition 1 is fixed at a point, partition 0 is cut differently each time.
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<Timestamp> times(50);
    for (Timestamp& t : times) t = static_cast<Timestamp>(random() % (10 * kMinute));
    const Timestamp other = static_cast<Timestamp>(random() % (10 * kMinute));
    std::vector<std::vector<Timestamp>> seen;
    for (const std::size_t cut : {std::size_t{1}, std::size_t{7}, std::size_t{50}}) {
      Sequencer sequencer({minutes()});
      sequencer.add_source(0, "source0", 0, true);
      sequencer.add_source(1, "source1", 0, true);
      std::vector<Sequenced> out;
      sequencer.admit(batch(1, 1, other), 0, out);
      std::vector<Timestamp> watermarks;
      std::uint64_t number = 0;
      for (std::size_t i = 0; i < times.size(); i += cut) {
        const std::size_t end = std::min(times.size(), i + cut);
        out.clear();
        sequencer.admit(batch(0, ++number,
                              *std::max_element(times.begin() + static_cast<long>(i),
                                                times.begin() + static_cast<long>(end))),
                        0, out);
        const Stamp stamp = std::get<EventBatchPtr>(out[0].what)->stamp;
        Timestamp running = stamp.partition_time;
        for (std::size_t row = i; row < end; ++row) {
          watermarks.push_back(std::max(stamp.floor_time, std::min(stamp.others_time, running)));
          running = std::max(running, times[row]);
        }
      }
      seen.push_back(watermarks);
    }
    CHECK(seen[0] == seen[1]);
    CHECK(seen[0] == seen[2]);
  }
}

namespace {

/// Two streams, three sources; `drive` draws what happens and keeps what was said.
struct Lived {
  static Sequencer fresh() {
    StreamTiming first = minutes(5 * kSecond, 10 * kSecond);
    first.name = "first";
    first.may_go_on = true;
    StreamTiming second = minutes(0, 20 * kSecond);
    second.name = "second";
    second.may_go_on = true;
    Sequencer sequencer({first, second});
    sequencer.add_source(0, "file", 0, true);
    sequencer.add_source(1, "(http)", 0, false);
    sequencer.add_source(2, "(http)", 1, false);
    return sequencer;
  }
};

/// After so many of the things said.
struct Snapshot {
  std::size_t after = 0;
  std::string bytes;
  ResumeState resume;  ///< Of the file.
};

EventBatchPtr copy_of(const EventBatch& from) {
  auto to = std::make_unique<EventBatch>();
  to->origin = from.origin;
  to->schema = from.schema;
  to->rows = from.rows;
  to->time_max = from.time_max;
  return to;
}

}  // namespace

TEST_CASE("replayed from any of its snapshots the sequencer says the same and comes to the same",
          "[wal]") {
  StreamSchema schemas[2];
  schemas[1].stream_id = 1;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    Sequencer live = Lived::fresh();
    std::vector<Sequenced> history;
    std::vector<Snapshot> snapshots{{0, snapshot_of(live), live.resume_of(0)}};
    Timestamp now = kHour;
    std::uint64_t number = 0;
    for (int step = 0; step < 80; ++step) {
      std::vector<Sequenced> out;
      now += static_cast<Duration>(random() % (3 * kSecond));
      const std::uint64_t what = random() % 10;
      if (what < 6) {
        const auto source = static_cast<std::uint32_t>(random() % 3);
        if (source == 0 && number == 40) continue;
        EventBatchPtr b = batch(source, source == 0 ? ++number : 0,
                                now - static_cast<Duration>(random() % (90 * kSecond)));
        b->schema = &schemas[source == 2 ? 1 : 0];
        if (source == 0) b->origin.resume = {"f", 1, 1 + random() % 3, number * 100, number, 9};
        live.admit(std::move(b), now, out);
      } else if (what < 9) {
        now += kSecond;
        live.tick(now, kNobodyBusy, out);
      } else if (step > 60) {
        live.end_source(0, number, now, out);
      }
      for (Sequenced& item : out) history.push_back(std::move(item));
      if (random() % 10 == 0) {
        snapshots.push_back({history.size(), snapshot_of(live), live.resume_of(0)});
      }
    }
    const std::string end = snapshot_of(live);
    for (const auto& [from, bytes, resume] : snapshots) {
      INFO("seed " << seed << " from " << from);
      Sequencer again = Lived::fresh();
      REQUIRE(again.restore(bytes).has_value());
      CHECK((snapshot_of(again) == bytes));
      CHECK((again.resume_of(0) == resume));
      std::vector<Sequenced> said;
      for (std::size_t i = from; i < history.size(); ++i) {
        const Sequenced& item = history[i];
        Result<> replayed;
        if (const auto* b = std::get_if<EventBatchPtr>(&item.what)) {
          replayed = again.replay(item.position, copy_of(**b), said);
        } else if (const auto* advanced = std::get_if<wal::Advanced>(&item.what)) {
          replayed = again.replay(item.position, *advanced, said);
        } else if (const auto* ended = std::get_if<wal::SourceEnded>(&item.what)) {
          replayed = again.replay(item.position, *ended, said);
        }
        REQUIRE(replayed.has_value());
      }
      REQUIRE(said.size() == history.size() - from);
      for (std::size_t i = 0; i < said.size(); ++i) {
        const Sequenced& was = history[from + i];
        REQUIRE(said[i].position == was.position);
        REQUIRE(said[i].what.index() == was.what.index());
        if (const auto* b = std::get_if<EventBatchPtr>(&said[i].what)) {
          const Stamp& a = (*b)->stamp;
          const Stamp& w = std::get<EventBatchPtr>(was.what)->stamp;
          REQUIRE(a.sequence == w.sequence);
          REQUIRE(a.partition_time == w.partition_time);
          REQUIRE(a.others_time == w.others_time);
          REQUIRE(a.floor_time == w.floor_time);
        } else if (const auto* mark = std::get_if<Mark>(&said[i].what)) {
          REQUIRE(mark->watermark == std::get<Mark>(was.what).watermark);
        }
      }
      CHECK((snapshot_of(again) == end));
    }
  }
}

TEST_CASE("a record that is not the next, or of a source that is not there, is refused", "[wal]") {
  StreamSchema schema;
  Sequencer sequencer = Lived::fresh();
  std::vector<Sequenced> out;
  EventBatchPtr skipped = batch(1, 0, kHour);
  skipped->schema = &schema;
  CHECK(sequencer.replay(2, std::move(skipped), out).has_error());
  EventBatchPtr unknown = batch(7, 0, kHour);
  unknown->schema = &schema;
  CHECK(sequencer.replay(1, std::move(unknown), out).has_error());
  wal::Advanced advanced;
  advanced.stream_id = 5;
  CHECK(sequencer.replay(1, advanced, out).has_error());
  CHECK(sequencer.position() == 0);
  CHECK(out.empty());
}
