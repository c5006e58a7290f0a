#include "wal/record.h"

#include <random>
#include <string>
#include <vector>

#include "support/catch.h"

namespace {

using namespace streamobs;  // NOLINT
using namespace streamobs::wal;

std::vector<ControlRecord> examples() {
  SessionStarted session;
  session.at = 1'704'804'000'000'001;
  session.program = "0.1.0";
  session.config_text = "[source.demo]\ntype = \"demo\"\n";
  session.streams = {"requests", "logs"};
  session.sources = {{"demo", 0}, {"http", 0}, {"http", 1}};
  return {session,
          SessionStarted{},
          Advanced{1'704'804'000'000'000,
                   1,
                   {{0, 0}, {0, 3}, {2, 1023}, {4'294'967'295, 4'294'967'295}},
                   1'704'803'999'000'000},
          Advanced{-5, 0, {}, kMinTimestamp},
          SourceEnded{kMaxTimestamp, 7, 18'446'744'073'709'551'615ULL},
          SetAside{1, 99, 3},
          PartitionsJoined{},
          PartitionsJoined{7, 2, {{0, {"t/0", 0, 0, 12, 0, 0}}, {9, {"t/9", 1, 2, 3, 4, 5}}}},
          RangeDiscarded{},
          RangeDiscarded{1'704'804'000'000'000, {3, 1023}, 18'446'744'073'709'551'615ULL}};
}

std::string payload_of(const ControlRecord& record) {
  std::string out;
  encode(record, out);
  return out;
}

TEST_CASE("control records come back as they were") {
  for (const ControlRecord& record : examples()) {
    const auto back = decode_control(type_of(record), payload_of(record));
    REQUIRE(back.has_value());
    CHECK(*back == record);
    // encode() appends.
    std::string out = "before";
    encode(record, out);
    CHECK(out == "before" + payload_of(record));
  }
}

TEST_CASE("the bytes of control records are frozen") {
  // Computed by hand from docs/wal-format.md: version, then varints and zigzag varints.
  CHECK(payload_of(SetAside{1, 99, 3}) == std::string("\x01\x02\x63\x03", 4));
  CHECK(payload_of(SourceEnded{-1, 300, 2}) == std::string("\x01\x01\xac\x02\x02", 5));
  CHECK(payload_of(Advanced{0, 1, {{5, 2}}, 64}) ==
        std::string("\x02\x00\x01\x01\x05\x02\x80\x01", 8));
  CHECK(payload_of(PartitionsJoined{-1, 3, {{2, {"t/2", 0, 0, 300, 0, 0}}}}) ==
        std::string("\x01\x01\x03\x01\x02\x03t/2\x00\x00\xac\x02\x00", 14) + std::string(8, '\0'));
  CHECK(payload_of(RangeDiscarded{-1, {3, 2}, 300}) == std::string("\x01\x01\x03\x02\xac\x02", 6));
  SessionStarted session;
  session.at = 1;
  session.program = "v";
  session.config_text = "c";
  session.streams = {"s"};
  session.sources = {{"q", 0}};
  CHECK(payload_of(session) == std::string("\x01\x02\x01v\x01"
                                           "c\x01\x01s\x01\x01q\x00",
                                           13));
  CHECK(static_cast<int>(RecordType::session_started) == 1);
  CHECK(static_cast<int>(RecordType::batch) == 2);
  CHECK(static_cast<int>(RecordType::advanced) == 3);
  CHECK(static_cast<int>(RecordType::source_ended) == 4);
  CHECK(static_cast<int>(RecordType::set_aside) == 5);
  CHECK(static_cast<int>(RecordType::partitions_joined) == 6);
  CHECK(static_cast<int>(RecordType::range_proposed) == 7);
  CHECK(static_cast<int>(RecordType::range_discarded) == 8);
}

TEST_CASE("an advance of the version without partitions is still read") {
  const auto old =
      decode_control(RecordType::advanced, std::string("\x01\x00\x01\x01\x05\x80\x01", 7));
  REQUIRE(old.has_value());
  CHECK(*old == ControlRecord(Advanced{0, 1, {{5, 0}}, 64}));
}

TEST_CASE("what was not written by encode is refused") {
  for (const ControlRecord& record : examples()) {
    const RecordType type = type_of(record);
    const std::string good = payload_of(record);
    for (std::size_t cut = 0; cut < good.size(); ++cut) {
      const auto decoded = decode_control(type, std::string_view(good).substr(0, cut));
      REQUIRE(decoded.has_error());
      CHECK(decoded.error().code == ErrorCode::corrupt);
    }
    CHECK(decode_control(type, good + "x").has_error());
    std::string newer = good;
    newer[0] = static_cast<char>(newer[0] + 1);
    CHECK(decode_control(type, newer).error().code == ErrorCode::corrupt);
  }
  // A source of a stream that is not there.
  SessionStarted session;
  session.streams = {"requests"};
  session.sources = {{"demo", 1}};
  CHECK(decode_control(RecordType::session_started, payload_of(session)).has_error());
  CHECK(decode_control(RecordType::batch, "x").error().code == ErrorCode::invalid);
  CHECK(decode_control(RecordType::range_proposed, "x").error().code == ErrorCode::invalid);
  CHECK(decode_control(static_cast<RecordType>(77), "x").error().code == ErrorCode::invalid);
}

TEST_CASE("any bytes decode or are refused") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 4 == 0 ? random() : random() % 3);
    for (const auto type :
         {RecordType::session_started, RecordType::advanced, RecordType::source_ended,
          RecordType::set_aside, RecordType::partitions_joined, RecordType::range_discarded}) {
      const auto decoded = decode_control(type, bytes);
      if (decoded.has_value()) CHECK(type_of(*decoded) == type);
    }
  }
}

TEST_CASE("record types have names") {
  CHECK(to_text(RecordType::batch) == "batch");
  CHECK(to_text(RecordType::set_aside) == "set_aside");
  CHECK(to_text(RecordType::range_proposed) == "range_proposed");
  CHECK(to_text(RecordType::range_discarded) == "range_discarded");
  CHECK(to_text(static_cast<RecordType>(0)) == "unknown");
}

}  // namespace
