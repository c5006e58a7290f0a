// What is proposed to a consumer group and not yet decided: kept, given back, and never counted
// before its verdict.
#include "app/proposed_ranges.h"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/engine_run.h"
#include "app/recovery.h"
#include "base/crc32c.h"
#include "base/posix_file_system.h"
#include "base/time_format.h"
#include "decode/decoder.h"
#include "support/catch.h"
#include "wal/log.h"

namespace {

using namespace streamobs;           // NOLINT
using namespace streamobs::testing;  // NOLINT
using app::ProposedRanges;
using wal::PartitionId;

constexpr Timestamp kNoon = kHour * 24 * 365 * 56;

// Nobody listens there: what only the group could decide stays undecided.
std::string toml_of() {
  return R"toml(
instance = "a"
lanes = 2
threads = 2
[http]
listen = "127.0.0.1:0"
[source.orders]
type = "kafka"
stream = "orders"
brokers = "127.0.0.1:1"
topics = ["orders"]
group = "readers"
[stream.orders]
time = "t"
idle_timeout = "10m"
fields = { n = "int" }
[window.per_minute]
size = "1m"
[window.per_minute.select]
events = "count(*)"
total = "sum(n)"
)toml";
}

/// Blocks as the lane that decoded them would have them in the log.
class Blocks {
 public:
  explicit Blocks(std::shared_ptr<const app::Plan> plan)
      : plan_(std::move(plan)), decoder_(plan_->streams[0].decode, plan_->source_names) {}

  std::string payload(std::uint32_t partition, std::uint64_t number, Timestamp at,
                      const std::vector<int>& values) {
    Block block;
    block.bytes = std::make_shared<BlockBuffer>();
    for (const int value : values) {
      block.bytes->append(fmt::format("{{\"t\":\"{}\",\"n\":{}}}\n", to_rfc3339(at), value));
    }
    block.origin.partition = partition;
    block.origin.number = number;
    block.origin.received_at = at;
    block.origin.name = block.origin.resume.file = fmt::format("orders/{}", partition);
    block.origin.resume.offset = number * 10;
    EventBatch batch;
    decoder_.decode(block, batch);
    REQUIRE(batch.rows == values.size());
    encoder_.encode(batch, batch.encoded);
    return batch.encoded.bytes;
  }

 private:
  std::shared_ptr<const app::Plan> plan_;
  decode::Decoder decoder_;
  wal::BatchEncoder encoder_;
};

/// A log written by hand.
class HandMade {
 public:
  HandMade(const std::string& data_dir, const Clock& clock) {
    std::filesystem::create_directories(data_dir);
    std::filesystem::permissions(data_dir, std::filesystem::perms::owner_all);
    wal::LogOpenOptions open;
    open.new_log_id = 77;
    auto log = wal::Log::open(posix_file_system(), clock, data_dir + "/wal", {}, open);
    REQUIRE(log.has_value());
    log_ = std::move(*log);
  }
  void add(wal::RecordType type, const std::string& payload) {
    const std::string_view piece = payload;
    wal::LogRecord record;
    record.type = static_cast<std::uint8_t>(type);
    record.sequence = log_->next_sequence();
    record.payload_crc = crc32c(payload);
    record.payload = {&piece, 1};
    REQUIRE(log_->reserve(wal::bytes_in_log(payload.size())).has_value());
    REQUIRE(log_->append({&record, 1}).has_value());
    REQUIRE(log_->sync().has_value());
  }
  void add(const wal::ControlRecord& control) {
    std::string payload;
    wal::encode(control, payload);
    add(wal::type_of(control), payload);
  }
  void begin(const app::Plan& plan) {
    wal::SessionStarted session;
    session.config_text = plan.config.text;
    for (const auto& stream : plan.config.streams) session.streams.push_back(stream.name.text);
    for (const auto& source : plan.sources) {
      session.sources.push_back({source.name_in_log, source.stream_id});
    }
    add(session);
  }

 private:
  std::unique_ptr<wal::Log> log_;
};

std::vector<std::pair<PartitionId, std::uint64_t>> held(const ProposedRanges& ranges) {
  std::vector<std::pair<PartitionId, std::uint64_t>> all;
  for (const auto& [partition, proposed] : ranges.undecided(0)) {
    for (const ProposedRange& range : proposed) all.push_back({{0, partition}, range.number});
  }
  return all;
}

std::optional<CheckpointParts> checkpoint_of(const std::string& data_dir) {
  auto store = wal::CheckpointStore::open(posix_file_system(), data_dir + "/checkpoint");
  REQUIRE(store.has_value());
  auto loaded = store->load_newest(1);
  REQUIRE(loaded.has_value());
  if (!loaded->has_value()) return std::nullopt;
  return (*loaded)->state;
}

TEST_CASE("proposed ranges: what is held is what was proposed and not decided", "[app]") {
  TemporaryDirectory directory;
  const auto plan = plan_of(toml_of(), directory.file("data"));
  Blocks blocks(plan);
  std::mt19937_64 random(1);
  ProposedRanges ranges(*plan);
  std::map<std::pair<PartitionId, std::uint64_t>, std::uint64_t> oracle;  // To its position.
  std::map<std::uint32_t, std::uint64_t> numbers;
  for (std::uint64_t position = 1; position < 400; ++position) {
    if (random() % 2 == 0 || oracle.empty()) {
      const auto partition = static_cast<std::uint32_t>(random() % 4);
      const std::uint64_t number = ++numbers[partition];
      REQUIRE(ranges.hold(position, blocks.payload(partition, number, kNoon, {1})).has_value());
      oracle[{{0, partition}, number}] = position;
    } else {
      const auto at = std::next(oracle.begin(), static_cast<long>(random() % oracle.size()));
      ranges.forget(at->first.first, at->first.second);
      oracle.erase(at);
    }
    ranges.forget({0, 9}, 1);  // Of which nobody knows.
    REQUIRE(ranges.size() == oracle.size());
    if (random() % 20 != 0) continue;
    std::string bytes;
    ranges.snapshot(bytes);
    ProposedRanges again(*plan);
    REQUIRE(again.restore(bytes).has_value());
    std::string twice;
    again.snapshot(twice);
    REQUIRE(twice == bytes);
    REQUIRE(held(again).size() == oracle.size());
    for (const auto& [id, at] : oracle) REQUIRE(again.of(id.first).at(id.second).position == at);
  }
  REQUIRE(ranges.hold(400, blocks.payload(3, 1000, kNoon, {7, 8})).has_value());
  const auto batch = ranges.decode({0, 3}, ranges.at({0, 3}, 1000));
  REQUIRE(batch.has_value());
  CHECK((*batch)->rows == 2);
  CHECK((*batch)->origin.name == "orders/3");
  CHECK_FALSE((*batch)->encoded.bytes.empty());
}

TEST_CASE("proposed ranges: a verdict is about what was proposed when the group was asked",
          "[app]") {
  TemporaryDirectory directory;
  const auto plan = plan_of(toml_of(), directory.file("data"));
  Blocks blocks(plan);
  ProposedRanges ranges(*plan);
  for (std::uint64_t number = 1; number <= 4; ++number) {
    const std::string payload = blocks.payload(2, number, kNoon, {1});
    REQUIRE(ranges.hold(100 + number, payload).has_value());
  }
  ranges.at({0, 2}, 1).agreed = true;  // On its way already.
  const auto numbers = [&](const PartitionId& partition, std::uint64_t asked_up_to) {
    std::vector<std::uint64_t> all;
    for (const ProposedRange& range : ranges.asked_for(partition, asked_up_to)) {
      CHECK(range.position == 100 + range.number);
      CHECK(range.end == range.number * 10);
      all.push_back(range.number);
    }
    return all;
  };
  // The fourth came in while that of the third was on its way.
  CHECK(numbers({0, 2}, 103) == std::vector<std::uint64_t>{2, 3});
  CHECK(numbers({0, 2}, 104) == std::vector<std::uint64_t>{2, 3, 4});
  CHECK(numbers({0, 2}, 100).empty());
  CHECK(numbers({0, 1}, 104).empty());
  // A checkpoint does not keep the ends: they are in the payloads.
  std::string bytes;
  ranges.snapshot(bytes);
  ProposedRanges again(*plan);
  REQUIRE(again.restore(bytes).has_value());
  CHECK(again.undecided(0).at(2).back().end == 40);
}

TEST_CASE("proposed ranges: damaged ones are refused", "[app]") {
  TemporaryDirectory directory;
  const auto plan = plan_of(toml_of(), directory.file("data"));
  ProposedRanges ranges(*plan);
  REQUIRE(ranges.hold(1, Blocks(plan).payload(0, 1, kNoon, {1})).has_value());
  std::string bytes;
  ranges.snapshot(bytes);
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    ProposedRanges again(*plan);
    CHECK(again.restore(bytes.substr(0, cut)).has_error());
  }
  CHECK(ProposedRanges(*plan).restore(bytes + "x").has_error());
  CHECK(ProposedRanges(*plan).hold(1, "nothing").has_error());
}

TEST_CASE("proposed ranges: a config that could not take them is refused, with the way out",
          "[app]") {
  TemporaryDirectory directory;
  const std::string toml = toml_of();
  const auto plan = plan_of(toml, directory.file("data"));
  ProposedRanges ranges(*plan);
  REQUIRE(ranges.hold(5, Blocks(plan).payload(0, 1, kNoon, {1})).has_value());
  std::string bytes;
  ranges.snapshot(bytes);
  const auto altered = [&](const std::string& from, const std::string& to) {
    std::string text = toml;
    text.replace(text.find(from), from.size(), to);
    const auto other = plan_of(text, directory.file("other"));
    ProposedRanges again(*other);
    const Result<> restored = again.restore(bytes);
    REQUIRE(restored.has_error());
    CHECK(restored.error().code == ErrorCode::invalid);
    CHECK(restored.error().message.find("Start once with the config of before") !=
          std::string::npos);
  };
  altered("[source.orders]", "[source.renamed]");
  altered("group = \"readers\"\n", "");
  // Another group would know nothing of what this one has taken.
  altered("group = \"readers\"", "group = \"others\"");
  altered("n = \"int\"", "n = \"float\"");
  // What does not touch them may change.
  CHECK(ProposedRanges(
            *plan_of(toml + "[window.other]\nsize = \"1h\"\nselect = { c = \"count(*)\" }\n",
                     directory.file("other")))
            .restore(bytes)
            .has_value());
}

/// Logs in which proposals and verdicts come in every order, ended anywhere.
TEST_CASE("proposed ranges: of a replayed log what was decided counts and nothing else",
          "[recovery]") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    INFO("seed " << seed);
    std::mt19937_64 random(seed);
    TemporaryDirectory directory;
    const std::string data_dir = directory.file("data");
    const std::string toml = toml_of();
    const auto plan = plan_of(toml, data_dir);
    ManualClock clock(kNoon);
    Blocks blocks(plan);
    struct Open {
      std::string payload;
      std::vector<int> values;
    };
    std::map<std::uint32_t, std::map<std::uint64_t, Open>> open;
    std::map<std::uint32_t, std::uint64_t> numbers;
    std::int64_t events = 0;
    std::int64_t total = 0;
    {
      HandMade log(data_dir, clock);
      log.begin(*plan);
      wal::PartitionsJoined joined;
      for (std::uint32_t p = 0; p < 3; ++p) {
        joined.partitions.push_back({p, {fmt::format("orders/{}", p), 0, 0, 0, 0, 0}});
      }
      log.add(joined);
      const std::uint64_t records = 5 + random() % 60;
      for (std::uint64_t i = 0; i < records; ++i) {
        const auto partition = static_cast<std::uint32_t>(random() % 3);
        auto& mine = open[partition];
        if (random() % 2 == 0 || mine.empty()) {
          Open proposed;
          for (std::uint64_t n = 1 + random() % 5; n != 0; --n) {
            proposed.values.push_back(static_cast<int>(random() % 1000));
          }
          const std::uint64_t number = ++numbers[partition];
          proposed.payload = blocks.payload(partition, number, kNoon, proposed.values);
          log.add(wal::RecordType::range_proposed, proposed.payload);
          mine[number] = std::move(proposed);
        } else {  // Those of one partition are decided in their order.
          const auto [number, decided] = *mine.begin();
          mine.erase(mine.begin());
          if (random() % 3 == 0) {
            log.add(wal::RangeDiscarded{kNoon, {0, partition}, number});
            continue;
          }
          log.add(wal::RecordType::batch, decided.payload);
          events += static_cast<std::int64_t>(decided.values.size());
          for (const int value : decided.values) total += value;
        }
      }
    }
    std::size_t undecided = 0;
    for (const auto& [partition, mine] : open) undecided += mine.size();
    // Once from the log, once from the checkpoint that this left.
    for (int life = 0; life < 2; ++life) {
      EngineRun engine(plan, clock);
      CHECK(engine.stop() == 0);
      const std::optional<CheckpointParts> checkpoint = checkpoint_of(data_dir);
      REQUIRE(checkpoint);
      const std::string* part = app::find_part(*checkpoint, app::part::proposed);
      REQUIRE((part != nullptr) == (undecided != 0));
      if (part != nullptr) {
        ProposedRanges left(*plan);
        REQUIRE(left.restore(*part).has_value());
        CHECK(left.size() == undecided);
        for (const auto& [id, number] : held(left)) CHECK(open[id.partition].contains(number));
      }
    }
    // All of it closes, without a word more of the group.
    EngineRun engine(plan, clock);
    store::WindowQuery query;
    query.window = "per_minute";
    const auto sums = [&]() -> std::pair<std::int64_t, std::int64_t> {
      std::pair<std::int64_t, std::int64_t> sum{0, 0};
      const auto rows = engine->window_rows(query);
      REQUIRE(rows.has_value());
      for (const WindowRow& row : *rows) {
        sum.first += std::stoll(row.metrics[0].to_string());
        sum.second += std::stoll(row.metrics[1].to_string());
      }
      return sum;
    };
    const std::pair<std::int64_t, std::int64_t> expected{events, total};
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (sums() != expected && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    CHECK(sums() == expected);
    CHECK(engine.stop() == 0);
  }
}

}  // namespace
