#include "app/past_events.h"

#include <map>
#include <set>

#include <fmt/format.h>

#include "app/engine_run.h"
#include "base/posix_file_system.h"
#include "support/catch.h"

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

const std::string kFields = R"toml(id = "int", name = "string", price = "decimal(2)", ok = "bool")toml";

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
  for (const std::string& field : events.unknown_fields()) read.unknown.insert(field);
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
  return read;
}

}  // namespace

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
  }
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
