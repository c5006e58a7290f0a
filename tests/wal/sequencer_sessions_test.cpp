// Sessions in the log: each start says which sources there are, and so who is waited for.
#include <string>
#include <utility>
#include <vector>

#include "sequencer_support.h"

namespace {

using namespace streamobs;  // NOLINT
using test::batch;
using test::minutes;
using test::snapshot_of;
using wal::EventBatchPtr;
using wal::Sequenced;
using wal::Sequencer;
using wal::StreamTiming;

/// One stream of two files, replayed: a log's records of their sessions and batches.
struct Sessions {
  Sequencer sequencer = fresh();
  StreamSchema schema;
  std::vector<Sequenced> out;

  static Sequencer fresh() {
    StreamTiming timing = minutes();
    timing.name = "requests";
    Sequencer made({timing});
    made.add_source(0, "old", 0, true);
    made.add_source(1, "new", 0, true);
    made.add_source(2, "(http)", 0, false);
    return made;
  }

  void record(const wal::ControlRecord& what) {
    REQUIRE(sequencer.replay(sequencer.position() + 1, what, out).has_value());
  }
  void session(const std::vector<std::string>& sources) {
    wal::SessionStarted started;
    started.streams = {"requests"};
    for (const std::string& source : sources) started.sources.push_back({source, 0});
    record(started);
  }
  void batch_of(std::uint32_t source, Timestamp time) {
    EventBatchPtr b = batch(source, 0, time);
    b->schema = &schema;
    REQUIRE(sequencer.replay(sequencer.position() + 1, std::move(b), out).has_value());
  }
  Timestamp watermark() const { return sequencer.watermark(0); }
};

}  // namespace

TEST_CASE("a source that a session does not have no longer holds the watermark back", "[wal]") {
  Sessions log;
  log.session({"old", "new", "(http)"});
  log.batch_of(0, 2 * kMinute);
  log.batch_of(1, kMinute);
  CHECK(log.watermark() == kMinute);
  log.batch_of(0, 5 * kMinute);
  CHECK(log.watermark() == kMinute);

  SECTION("it is gone") {
    log.session({"old", "(http)"});
  }
  SECTION("it feeds another stream") {
    wal::SessionStarted moved;
    moved.streams = {"requests", "orders"};
    moved.sources = {{"old", 0}, {"new", 1}, {"(http)", 0}};
    log.record(moved);
  }
  CHECK(log.watermark() == kMinute);  // Time goes on with events, not with a session.
  log.batch_of(0, 6 * kMinute);
  CHECK(log.watermark() == 6 * kMinute);
}

TEST_CASE("an expected source that a session brings is waited for from there on", "[wal]") {
  Sessions log;
  log.session({"old", "(http)"});
  log.batch_of(0, 3 * kMinute);
  CHECK(log.watermark() == 3 * kMinute);
  log.session({"old", "new", "(http)"});
  log.batch_of(0, 9 * kMinute);
  CHECK(log.watermark() == 3 * kMinute);  // "(http)" is there, too, but nobody expects it.
  log.batch_of(1, 5 * kMinute);
  CHECK(log.watermark() == 5 * kMinute);
}

TEST_CASE("a session with the sources of the one before changes nothing", "[wal]") {
  Sessions log;
  log.session({"old", "new", "(http)"});
  log.batch_of(0, 2 * kMinute);
  log.batch_of(2, 3 * kMinute);
  log.record(wal::Advanced{4 * kMinute, 0, {{1, 0}}, kMinTimestamp});
  log.record(wal::SourceEnded{4 * kMinute, 0, 1});
  const Timestamp watermark = log.watermark();
  log.session({"old", "new", "(http)"});
  CHECK(log.watermark() == watermark);
  log.batch_of(2, 8 * kMinute);
  CHECK(log.watermark() == 8 * kMinute);  // Neither the idle nor the ended one is waited for.
}

TEST_CASE("a snapshot behind a session knows who holds the watermark back", "[wal]") {
  for (const bool brought : {false, true}) {
    INFO("brought " << brought);
    const std::vector<std::string> with{"old", "new", "(http)"};
    const std::vector<std::string> without{"old", "(http)"};
    Sessions log;
    log.session(brought ? without : with);
    log.batch_of(0, 2 * kMinute);
    log.session(brought ? with : without);
    const std::string bytes = snapshot_of(log.sequencer);
    Sessions again;
    REQUIRE(again.sequencer.restore(bytes).has_value());
    CHECK((snapshot_of(again.sequencer) == bytes));
    for (Sessions* each : {&log, &again}) {
      each->batch_of(0, 7 * kMinute);
      CHECK(each->watermark() == (brought ? 2 * kMinute : 7 * kMinute));
      each->batch_of(1, 4 * kMinute);
      CHECK(each->watermark() == (brought ? 4 * kMinute : 7 * kMinute));
    }
    CHECK((snapshot_of(again.sequencer) == snapshot_of(log.sequencer)));
  }
}
