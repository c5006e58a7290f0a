#include "wal/log_tool.h"

#include <string>

#include "wal/log_support.h"

using namespace streamobs;             // NOLINT: a test.
using namespace streamobs::wal;        // NOLINT
using namespace streamobs::wal::test;  // NOLINT

namespace {

/// Twenty records in segments of some four, the first two sealed.
struct Fixture {
  RecordingFileSystem files;
  Items items;
  std::string said;
  Print print = [this](std::string_view line) { said.append(line).append("\n"); };

  Fixture() {
    auto log = open_log(files, 800).value();
    for (std::uint64_t i = 1; i <= 20; ++i) {
      const Items group = {{i,
                            {static_cast<std::uint8_t>(i % 5 == 0 ? 3 : 2),
                             "record " + std::to_string(i) + std::string(140, '.')}}};
      REQUIRE(append(*log, group).has_value());
      REQUIRE(log->sync().has_value());
      items.insert(group.begin(), group.end());
    }
    REQUIRE(log->seal_next().value());
    REQUIRE(log->seal_next().value());
  }

  std::string path(const std::string& name) { return kDirectory + "/" + name; }
  bool says(const std::string& text) { return said.find(text) != std::string::npos; }
  /// Spoils the payload of a record in a raw segment.
  void spoil(std::uint64_t segment, std::uint64_t record) {
    const std::string& bytes = files.bytes_of(path(raw_name(segment)));
    const std::size_t at = bytes.find("record " + std::to_string(record) + ".");
    auto file = files.open_for_writing(path(raw_name(segment))).value();
    REQUIRE(file->write_at(at, "R").has_value());
    REQUIRE(file->sync_data().has_value());
  }
  Items up_to(std::uint64_t last) { return {items.begin(), items.upper_bound(last)}; }
  Items from(std::uint64_t first) { return {items.lower_bound(first), items.end()}; }
};

}  // namespace

TEST_CASE("log tool: inspect lists segments, and records where asked") {
  Fixture f;
  REQUIRE(inspect(f.files, kDirectory, {}, f.print).has_value());
  CHECK(f.says("log 1122334455667788"));
  CHECK(f.says("segment-0000000001.sealed"));
  CHECK(f.says("records 1 to 3"));
  CHECK(f.says("segment-0000000007.log"));
  CHECK(f.says("batch"));
  CHECK_FALSE(f.says("record 2 "));
  f.said.clear();
  InspectOptions options;
  options.records = true;
  options.from_sequence = 2;
  options.to_sequence = 10;
  REQUIRE(inspect(f.files, kDirectory, options, f.print).has_value());
  CHECK(f.says("record 2 batch of 148 bytes at offset"));
  CHECK(f.says("record 10 advanced"));
  CHECK_FALSE(f.says("record 1 "));
  CHECK_FALSE(f.says("record 11 "));

  RecordingFileSystem empty;
  CHECK(inspect(empty, kDirectory, {}, f.print).error().code == ErrorCode::not_found);
  CHECK(verify(empty, kDirectory, {1, 0, 0}, f.print).error().code == ErrorCode::not_found);
}

TEST_CASE("log tool: verify says what is wrong where") {
  Fixture f;
  CHECK(verify(f.files, kDirectory, {1, 0, 20}, f.print).has_value());
  CHECK(f.says("7 segments, 20 records: all good"));
  CHECK(verify(f.files, kDirectory, {1, 0, 21}, f.print).error().code == ErrorCode::corrupt);
  f.spoil(4, 11);
  f.spoil(6, 18);
  f.said.clear();
  const auto verified = verify(f.files, kDirectory, {1, 0, 20}, f.print);
  CHECK(verified.error().code == ErrorCode::corrupt);
  CHECK(verified.error().message.find("2 of 7") != std::string::npos);
  CHECK(f.says("segment-0000000004.log is damaged at offset 256 (record 11)"));
  CHECK(f.says("segment-0000000006.log"));
}

TEST_CASE("log tool: repair cuts at the damage and says what is lost") {
  Fixture f;
  SECTION("nothing is wrong") {
    REQUIRE(repair(f.files, kDirectory, {}, f.print).has_value());
    CHECK(f.said.empty());
    CHECK(read_all(f.files).items == f.items);
  }
  SECTION("in a raw segment") {
    f.spoil(4, 11);
    CHECK(repair(f.files, kDirectory, {}, f.print).value().last_sequence == 10);
    CHECK(f.says("the log is cut before record 11. Lost: records 11 to 20."));
    CHECK(read_all(f.files).error);
    REQUIRE(repair(f.files, kDirectory, {true, {}}, f.print).has_value());
    CHECK(read_all(f.files).items == f.up_to(10));
    CHECK(f.files.exists(f.path("damaged-1/segment-0000000004.log")).value());
    CHECK(f.files.exists(f.path("damaged-1/segment-0000000007.log")).value());
  }
  SECTION("in a sealed segment") {
    std::string& bytes = f.files.bytes_of(f.path("segment-0000000002.sealed"));
    bytes[bytes.size() / 2] ^= 1;
    REQUIRE(repair(f.files, kDirectory, {true, {}}, f.print).has_value());
    CHECK(f.says("Lost: records 4 to 20."));
    CHECK(read_all(f.files).items == f.up_to(3));
    CHECK(f.files.exists(f.path("damaged-1/segment-0000000002.sealed")).value());
  }
  SECTION("a header") {
    f.files.bytes_of(f.path(raw_name(5)))[20] ^= 1;
    REQUIRE(repair(f.files, kDirectory, {true, {}}, f.print).has_value());
    CHECK(f.says("Lost: records 13 to 20."));
    CHECK(read_all(f.files).items == f.up_to(12));
  }
  SECTION("a segment is missing") {
    REQUIRE(f.files.remove(f.path(raw_name(3))).has_value());
    REQUIRE(repair(f.files, kDirectory, {true, {}}, f.print).has_value());
    CHECK(f.says("Lost: records 7 to 20."));
    CHECK(read_all(f.files).items == f.up_to(6));
  }
  SECTION("twice: what was taken out first is not overwritten") {
    f.spoil(4, 11);
    REQUIRE(repair(f.files, kDirectory, {true, {}}, f.print).has_value());
    f.spoil(4, 10);
    // The last record of a log: without a witness it would be a torn tail.
    CHECK(verify(f.files, kDirectory, {1, 0, 10}, f.print).error().code == ErrorCode::corrupt);
    f.files.bytes_of(f.path(raw_name(3)))[20] ^= 1;
    REQUIRE(repair(f.files, kDirectory, {true, {}}, f.print).has_value());
    CHECK(f.files.exists(f.path("damaged-1/segment-0000000004.log")).value());
    CHECK(f.files.exists(f.path("damaged-2/segment-0000000004.log")).value());
  }
  // It goes on behind what is left.
  const std::uint64_t next = read_all(f.files).items.size() + 1;
  auto log = open_log(f.files, 800).value();
  CHECK(log->next_sequence() == next);
  REQUIRE(append(*log, {{next, {1, "new"}}}).has_value());
  REQUIRE(log->sync().has_value());
  CHECK(verify(f.files, kDirectory, {1, 0, 0}, f.print).has_value());
}

TEST_CASE("log tool: damage in history that recovery does not need costs only history") {
  Fixture f;
  f.spoil(4, 11);
  REQUIRE(repair(f.files, kDirectory, {true, {15, 14, 14}}, f.print).has_value());
  CHECK(f.says("begin with record 13"));
  CHECK(read_all(f.files).items == f.from(13));
  CHECK(open_log(f.files, 800).value()->next_sequence() == 21);
  CHECK(f.files.exists(f.path("damaged-1/segment-0000000001.sealed")).value());
}

TEST_CASE(
    "log tool: history is given up only as far as it is damaged, and the tail apart from it") {
  Fixture f;
  f.spoil(3, 8);
  f.spoil(6, 18);
  const Known known{17, 16, 17};
  CHECK(verify(f.files, kDirectory, known, f.print).error().code == ErrorCode::corrupt);
  const std::size_t history = f.said.find("recovery does not need it");
  const std::size_t tail = f.said.find("recovery needs it");
  CHECK(history != std::string::npos);
  CHECK(tail != std::string::npos);
  CHECK(history < tail);
  f.said.clear();
  // What it says that it would do is what it does.
  const RepairOutcome foretold = repair(f.files, kDirectory, {false, known}, f.print).value();
  const std::string would = f.said;
  CHECK(read_all(f.files).error);
  const RepairOutcome done = repair(f.files, kDirectory, {true, known}, f.print).value();
  for (const RepairOutcome& outcome : {foretold, done}) {
    CHECK(outcome.damaged);
    CHECK(outcome.first_sequence == 10);
    CHECK(outcome.last_sequence == 17);
  }
  for (const char* words : {"begin with record 10", "cut before record 18"}) {
    CHECK(would.find(words) != std::string::npos);
  }
  Items left = f.up_to(17);
  left.erase(left.begin(), left.lower_bound(10));
  CHECK(read_all(f.files).items == left);
}

TEST_CASE("log tool: nothing is cut at or before the checkpoint") {
  for (const std::uint64_t record : {16, 17}) {
    // Both in segment 6, where recovery begins to read.
    Fixture f;
    f.spoil(6, record);
    const RepairOptions options{true, {record + 1, record, record}};
    const auto refused = repair(f.files, kDirectory, options, f.print);
    REQUIRE(refused.has_error());
    CHECK(refused.error().code == ErrorCode::corrupt);
    CHECK(refused.error().message.find("does not start with") != std::string::npos);
    CHECK_FALSE(f.files.exists(f.path("damaged-1")).value());
    // Right behind the checkpoint it may be, and without one anywhere.
    CHECK(repair(f.files, kDirectory, {false, {record, record - 1, record}}, f.print)
              .value()
              .last_sequence == record - 1);
    CHECK(repair(f.files, kDirectory, {true, {}}, f.print).value().last_sequence == record - 1);
  }
}

TEST_CASE("log tool: a damaged sealed form gives way to its raw form") {
  Fixture f;
  const std::string raw = f.path(raw_name(3));
  const std::string sealed = f.path(sealed_name(3));
  const std::string raw_bytes = f.files.bytes_of(raw);
  REQUIRE(open_log(f.files, 800).value()->seal_next().value());
  REQUIRE(f.files.write_file(raw, raw_bytes).has_value());
  f.files.bytes_of(sealed)[150] ^= 1;
  CHECK(verify(f.files, kDirectory, {1, 0, 0}, f.print).error().code == ErrorCode::corrupt);
  // Sealing does not remove the only good form.
  CHECK(open_log(f.files, 800).value()->seal_next().error().code == ErrorCode::corrupt);
  CHECK(f.files.exists(raw).value());
  REQUIRE(repair(f.files, kDirectory, {true, {}}, f.print).has_value());
  CHECK(f.says("Nothing is lost"));
  CHECK(read_all(f.files).items == f.items);
}

TEST_CASE("log tool: a repair that is cut short can be done again") {
  std::uint64_t cut_short = 0;
  for (std::uint64_t changes = 0;; ++changes) {
    Fixture f;
    f.spoil(4, 11);
    f.files.power_off_after(changes);
    const bool done = repair(f.files, kDirectory, {true, {}}, f.print).has_value();
    Random random(changes);
    for (int i = 0; i < 20; ++i) {
      const auto disk = f.files.after_power_loss(random);
      INFO("after " << changes << " changes, state " << i);
      REQUIRE(repair(*disk, kDirectory, {true, {}}, f.print).has_value());
      REQUIRE(read_all(*disk).items == f.up_to(10));
    }
    if (done) break;
    ++cut_short;
  }
  CHECK(cut_short > 15);
}

TEST_CASE("log tool: a torn tail is mentioned and is no damage") {
  Fixture f;
  f.spoil(7, 20);
  REQUIRE(verify(f.files, kDirectory, {1, 0, 0}, f.print).has_value());
  CHECK(f.says("a torn tail of"));
  REQUIRE(repair(f.files, kDirectory, {}, f.print).has_value());
  auto log = open_log(f.files, 800).value();
  REQUIRE(log->state().torn);
  CHECK(f.files.exists(log->state().torn->saved_as).value());
  CHECK(f.files.file_size(log->state().torn->saved_as).value() == log->state().torn->bytes);
  // Cut, not only passed over: the next start does not find it again.
  log.reset();
  CHECK_FALSE(open_log(f.files, 800).value()->state().torn);
}

TEST_CASE("log tool: copies of torn tails do not pile up") {
  RecordingFileSystem files;
  for (int i = 0; i < 30; ++i) {
    auto log = open_log(files, 4096).value();
    const std::uint64_t next = log->next_sequence();
    REQUIRE(append(*log, {{next, {1, "kept"}}, {next + 1, {1, "torn off"}}}).has_value());
    const std::string path =
        kDirectory + "/" + raw_name(list_segments(files, kDirectory).value().back().number);
    log.reset();
    std::string& bytes = files.bytes_of(path);
    bytes[bytes.find("torn off")] ^= 1;
  }
  std::size_t copies = 0;
  for (const std::string& name : files.list(kDirectory).value()) {
    if (name.starts_with("torn-")) ++copies;
  }
  CHECK(copies == 8);
  CHECK(read_all(files).items.size() == 30);
}
