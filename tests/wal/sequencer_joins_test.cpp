// Streams that are joined: what is told of their times, and how far silence lets time go.
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "wal/sequencer.h"

namespace {

using namespace streamobs;  // NOLINT
using wal::Advanced;
using wal::EventBatchPtr;
using wal::PartitionId;
using wal::Sequenced;
using wal::Sequencer;
using wal::StreamTime;

constexpr Duration kIdleTimeout = 10 * kSecond;
constexpr Duration kWithin = 5 * kSecond;
const auto kNobodyBusy = [](const PartitionId&) { return false; };

/// Two streams of one source each, and the one that a join makes of them.
Sequencer fresh(bool bounded) {
  std::vector<wal::StreamTiming> timings(3);
  for (std::size_t i = 0; i < timings.size(); ++i) {
    timings[i].name = std::to_string(i);
    timings[i].idle_timeout = kIdleTimeout;
    timings[i].may_go_on = !bounded;
    timings[i].told = true;
    timings[i].closing_watermark = [](Timestamp t) { return t; };
    timings[i].ending_watermark = [](Timestamp t) { return t + kWithin; };
  }
  timings[2].joins = {0, 1};
  Sequencer sequencer(std::move(timings));
  sequencer.add_source(0, "left", 0, bounded);
  sequencer.add_source(1, "right", 1, bounded);
  sequencer.add_source(2, "(join)", 2, false);
  return sequencer;
}

StreamSchema schema_of(std::uint32_t stream_id) {
  StreamSchema schema;
  schema.stream_id = stream_id;
  return schema;
}
const StreamSchema kSchemas[] = {schema_of(0), schema_of(1)};

EventBatchPtr batch(std::uint32_t source, std::uint64_t number, Timestamp time_max) {
  auto b = std::make_unique<EventBatch>();
  b->schema = &kSchemas[source];
  b->origin.source_id = source;
  b->origin.number = number;
  b->rows = 1;
  b->time_max = time_max;
  return b;
}

/// All that is told of a stream, oldest first.
std::vector<StreamTime> told(const std::vector<Sequenced>& out, std::uint32_t stream_id) {
  std::vector<StreamTime> times;
  for (const Sequenced& item : out) {
    const auto* time = std::get_if<StreamTime>(&item.what);
    if (time != nullptr && time->stream_id == stream_id) times.push_back(*time);
  }
  return times;
}

}  // namespace

TEST_CASE("joined streams: each batch tells how far its stream has come", "[wal][join]") {
  Sequencer sequencer = fresh(false);
  CHECK(sequencer.time_of(0).state == StreamTime::State::silent);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 0, kHour), 0, out);
  REQUIRE(told(out, 0).size() == 1);
  CHECK(told(out, 0)[0].watermark == kHour);
  CHECK(told(out, 0)[0].state == StreamTime::State::active);
  CHECK(out.back().position == 1);
  CHECK_FALSE(out.back().is_record());
  CHECK(told(out, 1).empty());
}

TEST_CASE("joined streams: a silent one holds up for its idle timeout, from each event on",
          "[wal][join]") {
  Sequencer sequencer = fresh(false);
  Timestamp now = 100 * kHour;
  std::vector<Sequenced> out;
  // The right has never sent anything; the left does, with a leap in the middle.
  for (int second = 0; second < 60; ++second, now += kSecond) {
    const Timestamp newest = kHour + second * kSecond + (second >= 30 ? kHour : 0);
    sequencer.admit(batch(0, 0, newest), now, out);
    out.clear();
    sequencer.tick(now, kNobodyBusy, out);
    const std::vector<StreamTime> silence = told(out, 2);
    if (second < 10) {
      REQUIRE(silence.empty());
      continue;
    }
    // As the left was ten seconds ago.
    const int then = second - 10;
    const Timestamp was = kHour + then * kSecond + (then >= 30 ? kHour : 0);
    INFO("second " << second);
    REQUIRE(silence.size() == 1);
    CHECK(silence[0].watermark == was + kWithin);
    CHECK(std::get<Advanced>(out.front().what).stream_id == 2);
  }
  // The left stops too: what it sent last counts in the end, and no more than that.
  out.clear();
  for (int second = 0; second < 40; ++second, now += kSecond) sequencer.tick(now, kNobodyBusy, out);
  CHECK(told(out, 2).back().watermark == 2 * kHour + 59 * kSecond + kWithin);
  CHECK(told(out, 0).back().state == StreamTime::State::silent);
  // Once both are active nothing is said of silence.
  sequencer.admit(batch(0, 0, 3 * kHour), now, out);
  sequencer.admit(batch(1, 0, 3 * kHour), now, out);
  out.clear();
  for (int second = 0; second < 9; ++second, now += kSecond) sequencer.tick(now, kNobodyBusy, out);
  CHECK(told(out, 2).empty());
}

TEST_CASE("joined streams: silence never takes time beyond the wall clock", "[wal][join]") {
  Sequencer sequencer = fresh(false);
  Timestamp now = kHour;
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 0, kHour + 3 * kSecond), now, out);
  for (int second = 0; second < 13; ++second, now += kSecond) {
    out.clear();
    sequencer.tick(now, kNobodyBusy, out);
  }
  CHECK(sequencer.watermark(2) <= now);
}

TEST_CASE("joined streams: what has been read to its end is over", "[wal][join]") {
  Sequencer sequencer = fresh(true);
  CHECK(sequencer.time_of(0).state == StreamTime::State::active);
  std::vector<Sequenced> out;
  sequencer.admit(batch(0, 1, kHour), 0, out);
  out.clear();
  sequencer.end_source(0, 1, 0, out);
  REQUIRE(told(out, 0).size() == 1);
  CHECK(told(out, 0)[0].state == StreamTime::State::over);
  CHECK(told(out, 0)[0].watermark == kHour + kWithin);
}

TEST_CASE("joined streams: where all input is bounded, one without a source is over",
          "[wal][join]") {
  std::vector<wal::StreamTiming> timings(1);
  timings[0].told = true;
  timings[0].may_go_on = false;
  Sequencer sequencer(timings);
  sequencer.add_source(0, "(http)", 0, false);
  CHECK(sequencer.time_of(0).state == StreamTime::State::over);
  timings[0].may_go_on = true;
  Sequencer open(timings);
  open.add_source(0, "(http)", 0, false);
  CHECK(open.time_of(0).state == StreamTime::State::silent);
}

TEST_CASE("joined streams: what the log says of silence is what was said", "[wal][join]") {
  Sequencer sequencer = fresh(false);
  Sequencer replayed = fresh(false);
  Timestamp now = 100 * kHour;
  std::vector<Sequenced> out;
  for (int second = 0; second < 40; ++second, now += kSecond) {
    out.clear();
    if (second % 7 == 0) {
      const Timestamp time = kHour + second * kSecond;
      sequencer.admit(batch(0, 0, time), now, out);
      std::vector<Sequenced> again;
      REQUIRE(replayed.replay(sequencer.position(), batch(0, 0, time), again).has_value());
    }
    out.clear();
    sequencer.tick(now, kNobodyBusy, out);
    for (const Sequenced& item : out) {
      const auto* advanced = std::get_if<Advanced>(&item.what);
      if (advanced == nullptr) continue;
      std::vector<Sequenced> again;
      REQUIRE(replayed.replay(item.position, wal::ControlRecord(*advanced), again).has_value());
      if (advanced->stream_id == 2) REQUIRE(told(again, 2).size() == 1);
    }
    for (std::uint32_t id = 0; id < 3; ++id) {
      CHECK(replayed.watermark(id) == sequencer.watermark(id));
      CHECK(replayed.time_of(id).state == sequencer.time_of(id).state);
    }
  }
  std::string a;
  std::string b;
  sequencer.snapshot(a);
  replayed.snapshot(b);
  CHECK(a == b);
}
