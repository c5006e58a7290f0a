#include "app/past_events.h"

#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

#include "app/engine_run.h"
#include "base/crc32c.h"
#include "base/posix_file_system.h"
#include "support/catch.h"
#include "support/faulty_file_system.h"

namespace {

using namespace streamobs;  // NOLINT
using testing::EngineRun;
using testing::plan_of;
using testing::TemporaryDirectory;

std::string toml_of(const std::string& fields, const std::string& more = "") {
  return fmt::format(R"toml(
lanes = 2
threads = 2
[http]
listen = "127.0.0.1:0"
[wal.keep]
age = "1d"
bytes = "1GB"
[stream.requests]
time = "at"
fields = {{ {} }}
{}
[stream.other]
time = "at"
fields = {{ n = "int" }}
[window.per_minute]
from = "requests"
size = "1m"
[window.per_minute.select]
requests = "count(*)"
)toml",
                     fields, more);
}

const std::string kFields =
    R"toml(id = "int", name = "string", price = "decimal(2)", ok = "bool")toml";

void push_some(EngineRun& run, int from, int to) {
  for (int i = from; i < to; ++i) {
    const auto outcome = run->push(
        0, fmt::format(R"({{"at":"2026-01-09T12:{:02}:{:02}Z","id":{},"name":"a \"{}\" b",)"
                       R"("price":{}.25,"ok":{},"more":{{"deep":{}}}}})",
                       i / 60 % 60, i % 60, i, i % 7, i, i % 2 == 0, i));
    REQUIRE(outcome.status == source::IngestOutcome::Status::taken);
    run->push(1, fmt::format(R"({{"at":"2026-01-09T12:00:00Z","n":{}}})", i));
  }
}

struct Read {
  std::vector<wal::EventBatchPtr> batches;
  std::size_t records = 0;
  std::set<std::string> unknown;
  std::string passed_over;
  std::uint64_t rows_outside = 0;
};

/// Replays the log under `toml`; the plan outlives the batches.
Read read_as(const TemporaryDirectory& directory, const std::string& toml,
             std::shared_ptr<const app::Plan>& plan, app::TimeRange range = {}) {
  auto log = app::PastLog::open(posix_file_system(), directory.file("data"));
  REQUIRE(log.has_value());
  app::PastEvents events(std::move(*log), *plan_of(toml, directory.file("then")), "requests", range,
                         {});
  plan = events.plan();
  Read read;
  const auto unknown = events.unknown_fields();
  REQUIRE(unknown.has_value());
  read.unknown.insert(unknown->begin(), unknown->end());
  std::vector<app::Replayed> records;
  while (true) {
    records.clear();
    const Result<bool> more = events.read(records, 1000);
    REQUIRE(more.has_value());
    if (!*more) break;
    for (app::Replayed& record : records) {
      REQUIRE(record.position == events.from() + read.records++);
      if (auto* batch = std::get_if<wal::EventBatchPtr>(&record.record)) {
        read.batches.push_back(std::move(*batch));
      }
    }
  }
  CHECK(read.records == events.to() - events.from() + 1);
  read.passed_over = events.passed_over();
  read.rows_outside = events.rows_outside();
  return read;
}

struct LogItem {
  std::uint8_t type = 0;
  std::string payload;
};

std::vector<LogItem> records_of(const std::string& directory) {
  auto reader = wal::LogReader::open(posix_file_system(), directory, {});
  REQUIRE(reader.has_value());
  std::vector<LogItem> records;
  wal::LogEntry entry;
  while (true) {
    const Result<bool> more = (*reader)->next(entry);
    REQUIRE(more.has_value());
    if (!*more) return records;
    records.push_back({entry.type, std::string(entry.payload)});
  }
}

void write_log(const std::string& directory, const std::vector<LogItem>& records,
               const wal::WalOptions& options = {}) {
  wal::LogOpenOptions open;
  open.new_log_id = 77;
  auto log =
      wal::Log::open(posix_file_system(), app::Topology::system_clock(), directory, options, open);
  REQUIRE(log.has_value());
  std::uint64_t sequence = 0;
  for (const LogItem& record : records) {
    const std::array<std::string_view, 1> pieces = {record.payload};
    const wal::LogRecord written{record.type, ++sequence, pieces, crc32c(record.payload)};
    REQUIRE((*log)->append(std::span(&written, 1)).has_value());
  }
  REQUIRE((*log)->sync().has_value());
}

bool is_session(const LogItem& record) {
  return static_cast<wal::RecordType>(record.type) == wal::RecordType::session_started;
}

std::string config_of(const LogItem& session) {
  const auto record = wal::decode_control(wal::RecordType::session_started, session.payload);
  REQUIRE(record.has_value());
  return std::get<wal::SessionStarted>(*record).config_text;
}

}  // namespace

TEST_CASE("a kept text is told from a line of another format", "[past]") {
  EventBatch batch;
  CHECK(app::kept_json(batch, 0).empty());
  for (const char* text : {" {\"a\":1}\r", "a,b,1", "", "{a,1", "10.0.0.1 - - [x] {}"}) {
    batch.raw.push_back(text);
  }
  CHECK(app::kept_json(batch, 0) == "{\"a\":1}");
  for (std::size_t row = 1; row < 5; ++row) CHECK(app::kept_json(batch, row).empty());
}

TEST_CASE("events of a log are as they were, also under other fields", "[past]") {
  const TemporaryDirectory directory;
  const bool raw = GENERATE(false, true);
  CAPTURE(raw);
  const std::string then = toml_of(kFields, raw ? "keep = \"raw\"" : "");
  {
    EngineRun run(plan_of(then, directory.file("data")));
    push_some(run, 0, 100);
    run.stop();
  }
  {
    EngineRun run(plan_of(then + "\n# another life\n", directory.file("data")));
    push_some(run, 100, 150);
    run.stop();
  }
  std::shared_ptr<const app::Plan> plan;

  SECTION("the same fields") {
    const Read read = read_as(directory, toml_of(kFields), plan);
    REQUIRE(read.batches.size() == 150);
    CHECK(read.unknown.empty());
    for (std::size_t i = 0; i < read.batches.size(); ++i) {
      const EventBatch& batch = *read.batches[i];
      REQUIRE(batch.rows == 1);
      CHECK(batch.columns[0].view().int_at(0) == static_cast<std::int64_t>(i));
      CHECK(batch.columns[1].view().string_at(0) == fmt::format("a \"{}\" b", i % 7));
      CHECK(batch.columns[2].view().int_at(0) == static_cast<std::int64_t>(i) * 100 + 25);
      CHECK(plan->sources[batch.origin.source_id].name == "(embedded)");
    }
  }
  SECTION("other types, another order, a field more and one less") {
    const Read read = read_as(
        directory,
        toml_of(R"(name = "string", price = "float", "more.deep" = "int", id = "float")"), plan);
    REQUIRE(read.batches.size() == 150);
    CHECK(read.unknown ==
          (raw ? std::set<std::string>{} : std::set<std::string>{"requests.more.deep"}));
    for (std::size_t i = 0; i < read.batches.size(); ++i) {
      const EventBatch& batch = *read.batches[i];
      REQUIRE(batch.rows == 1);
      CHECK(batch.columns[0].view().string_at(0) == fmt::format("a \"{}\" b", i % 7));
      CHECK(batch.columns[1].view().float_at(0) == static_cast<double>(i) + 0.25);
      CHECK(batch.columns[2].view().is_null(0) == !raw);
      if (raw) CHECK(batch.columns[2].view().int_at(0) == static_cast<std::int64_t>(i));
      CHECK(batch.columns[3].view().float_at(0) == static_cast<double>(i));
    }
  }
  SECTION("a check of now refuses, with the place of then") {
    const Read read =
        read_as(directory, toml_of(kFields, "[stream.requests.check]\nodd = \"id % 2 = 1\""), plan);
    std::size_t rows = 0;
    for (const wal::EventBatchPtr& batch : read.batches) {
      rows += batch->rows;
      CHECK(batch->rows + batch->dead_letters.size() == 1);
      for (const DeadLetter& letter : batch->dead_letters) CHECK(letter.reason == "odd");
    }
    CHECK(rows == 75);
  }
  SECTION("only a part of time") {
    const Timestamp noon = 1'767'960'000 * kSecond;
    const Read read =
        read_as(directory, toml_of(kFields), plan, {noon + 10 * kSecond, noon + 90 * kSecond});
    std::size_t counted = 0;
    for (const wal::EventBatchPtr& batch : read.batches) {
      counted += batch->excluded.empty() || batch->excluded[0] == 0 ? 1 : 0;
    }
    CHECK(counted == 80);
    CHECK(read.rows_outside == 70);
  }
}

TEST_CASE("a field is read where the plan of now looks for it", "[past]") {
  const TemporaryDirectory directory;
  const bool raw = GENERATE(false, true);
  CAPTURE(raw);
  {
    // The place of `deep` was mistaken, that of `id` is not the name.
    const std::string fields =
        R"toml(deep = { type = "int", path = "nowhere" }, number = { type = "int", path = "id" }, name = "string")toml";
    EngineRun run(plan_of(toml_of(fields, raw ? "keep = \"raw\"" : ""), directory.file("data")));
    push_some(run, 0, 20);
    run.stop();
  }
  std::shared_ptr<const app::Plan> plan;

  SECTION("a place is put right, and only kept lines have what stands there") {
    const Read read = read_as(
        directory,
        toml_of(
            R"toml(deep = { type = "int", path = "more.deep" }, number = { type = "int", path = "id" }, name = "string")toml"),
        plan);
    REQUIRE(read.batches.size() == 20);
    for (std::size_t i = 0; i < read.batches.size(); ++i) {
      const EventBatch& batch = *read.batches[i];
      REQUIRE(batch.rows == 1);
      CHECK(batch.columns[0].view().is_null(0) == !raw);
      if (raw) CHECK(batch.columns[0].view().int_at(0) == static_cast<std::int64_t>(i));
      CHECK(batch.columns[1].view().int_at(0) == static_cast<std::int64_t>(i));
      CHECK(batch.columns[2].view().string_at(0) == fmt::format("a \"{}\" b", i % 7));
    }
  }
  SECTION("what goes by another name is found at its place, by path and by alias") {
    const Read read = read_as(
        directory,
        toml_of(
            R"toml(id = "int", label = { type = "string", path = "label", aliases = ["name"] })toml"),
        plan);
    CHECK(read.unknown.empty());
    REQUIRE(read.batches.size() == 20);
    for (std::size_t i = 0; i < read.batches.size(); ++i) {
      const EventBatch& batch = *read.batches[i];
      REQUIRE(batch.rows == 1);
      CHECK(batch.columns[0].view().int_at(0) == static_cast<std::int64_t>(i));
      CHECK(batch.columns[1].view().string_at(0) == fmt::format("a \"{}\" b", i % 7));
    }
  }
  SECTION("one of the same name goes before what stood where it is looked for now") {
    const Read read = read_as(
        directory, toml_of(R"toml(name = { type = "string", path = "id" }, missing = "int")toml"),
        plan);
    CHECK(read.unknown ==
          (raw ? std::set<std::string>{} : std::set<std::string>{"requests.missing"}));
    REQUIRE(read.batches.size() == 20);
    for (std::size_t i = 0; i < read.batches.size() && !raw; ++i) {
      const EventBatch& batch = *read.batches[i];
      REQUIRE(batch.rows == 1);
      CHECK(batch.columns[0].view().string_at(0) == fmt::format("a \"{}\" b", i % 7));
    }
  }
  SECTION("what is required now refuses the events without it") {
    const Read read = read_as(
        directory,
        toml_of(
            R"toml(deep = { type = "int", path = "nowhere", required = true }, number = { type = "int", path = "id" }, name = "string")toml"),
        plan);
    for (const wal::EventBatchPtr& batch : read.batches) {
      CHECK(batch->rows == 0);
      REQUIRE(batch->dead_letters.size() == 1);
      CHECK(batch->dead_letters[0].reason == "missing_field");
    }
  }
}

TEST_CASE("records from before the first config in the log are read where they fit it", "[past]") {
  const TemporaryDirectory directory;
  const TemporaryDirectory written;
  const bool fits = GENERATE(false, true);
  CAPTURE(fits);
  const std::string now = toml_of(kFields);
  {
    EngineRun run(plan_of(fits ? now + "\n# before\n" : toml_of(R"(name = "string", id = "int")"),
                          written.file("data")));
    push_some(run, 0, 10);
    run.stop();
  }
  {
    EngineRun run(plan_of(now, written.file("data")));
    push_some(run, 10, 30);
    run.stop();
  }
  std::vector<LogItem> records = records_of(written.file("data/wal"));
  // The config's own records are trimmed away; each start and checkpoint writes one.
  std::string newest;
  for (const LogItem& item : records) {
    if (is_session(item)) newest = config_of(item);
  }
  std::erase_if(records,
                [&](const LogItem& item) { return is_session(item) && config_of(item) != newest; });
  std::size_t before = 0;
  while (!is_session(records[before])) ++before;
  REQUIRE(before >= 20);
  write_log(directory.file("data/wal"), records);

  std::shared_ptr<const app::Plan> plan;
  const Read read = read_as(directory, now, plan);
  CHECK(read.batches.size() == (fits ? 30 : 20));
  for (std::size_t i = 0; i < read.batches.size(); ++i) {
    const std::size_t id = i + 30 - read.batches.size();
    REQUIRE(read.batches[i]->rows == 1);
    CHECK(read.batches[i]->columns[0].view().int_at(0) == static_cast<std::int64_t>(id));
  }
  CHECK(read.passed_over.empty() == fits);
  if (!fits) {
    CHECK(read.passed_over.find("10 of their batches") != std::string::npos);
    CHECK(read.passed_over.find(fmt::format("(record {})", before + 1)) != std::string::npos);
  }
}

TEST_CASE("a log that is trimmed while it is opened begins where it then begins", "[past]") {
  const TemporaryDirectory directory;
  const std::string toml = toml_of(kFields);
  {
    EngineRun run(plan_of(toml, directory.file("then")));
    push_some(run, 0, 200);
    run.stop();
  }
  wal::WalOptions small;
  small.segment_bytes = std::uint64_t{1} << 16;
  std::vector<LogItem> records = records_of(directory.file("then/wal"));
  while (records.size() < 3000) {
    const std::vector<LogItem> again(records.begin() + 1, records.end());
    records.insert(records.end(), again.begin(), again.end());
  }
  const std::string wal = directory.file("data/wal");
  write_log(wal, records, small);
  std::vector<std::string> segments;
  for (const std::string& name : *posix_file_system().list(wal)) {
    if (name.starts_with("segment-")) segments.push_back(wal + "/" + name);
  }
  REQUIRE(segments.size() >= 3);

  // Each reading opens the newest segment for its head first, and last for its records: there the
  // engine trims the oldest.
  int opened = 0;
  streamobs::test::FaultyFileSystem files(posix_file_system());
  using Call = streamobs::test::FaultyFileSystem::Call;
  files.fault = [&](Call call, const std::string& path) {
    if (call == Call::open && path == segments.back() && ++opened == 2) {
      std::filesystem::remove(segments.front());
    }
    return std::optional<Error>();
  };
  auto log = app::PastLog::open(files, directory.file("data"));
  INFO((log.has_error() ? log.error().message : ""));
  REQUIRE(log.has_value());
  CHECK((*log)->first() > 1);
  CHECK_FALSE((*log)->lacks().empty());
  wal::LogEntry entry;
  REQUIRE(*(*log)->next(entry));
  CHECK(entry.sequence == (*log)->first());
  app::PastEvents events(std::move(*log), *plan_of(toml, directory.file("again")), "", {}, {});
  for (const app::PlannedSource& source : events.plan()->sources) CHECK_FALSE(source.awaited);
}

TEST_CASE("what is no log is told from one", "[past]") {
  const TemporaryDirectory directory;
  const auto log = app::PastLog::open(posix_file_system(), directory.file("nothing"));
  REQUIRE(log.has_error());
  CHECK(log.error().code == ErrorCode::not_found);
  CHECK(app::parse_time_range("2026-01-09", "2026-01-08").has_error());
  CHECK(app::parse_time_range("soon", "").has_error());
  const auto range = app::parse_time_range("2026-01-09", "");
  REQUIRE(range.has_value());
  CHECK(range->contains(range->from));
  CHECK_FALSE(range->contains(range->from - 1));
}
