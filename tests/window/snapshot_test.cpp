// Checkpoints of open windows: a run that is cut and goes on, on any number of lanes, comes out as
// one that was never cut, byte for byte; and what damaged bytes do.
#include <cmath>

#include "support/catch.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

namespace {

std::vector<NamedExpression> everything() {
  return {{"requests", "count(*)"},
          {"errors", "count(*) filter (where status_code >= 500)"},
          {"revenue", "sum(amount)"},
          {"mean", "avg(latency_ms)"},
          {"p50", "quantile(latency_ms, 0.5)"},
          {"p99_slow", "quantile(latency_ms, 0.99) filter (where latency_ms > 10)"},
          {"users", "count(distinct user_id)"},
          {"paths", "count(distinct path)"},
          {"least", "min(user_id)"},
          {"most", "max(latency_ms)"},
          {"least_path", "min(path)"},
          {"most_path", "max(path)"},
          {"first_status", "first(status_code)"},
          {"last_status", "last(status_code)"},
          {"first_ok", "first(ok)"},
          {"last_latency", "last(latency_ms)"},
          {"first_path", "first(path)"},
          {"last_path", "last(path) filter (where ok)"},
          {"per_second", "rate()"}};
}

std::vector<WindowOptions> windows_of(std::size_t cap, Duration lateness) {
  const auto by_service = [&](std::string name, Duration size) {
    return options(std::move(name), {{"service", "service"}}, everything(), size, lateness);
  };
  std::vector<WindowOptions> all = {by_service("z_minutes", kMinute),
                                    options("all", {}, everything(), 30 * kSecond, 0),
                                    by_service("five_minutes", 5 * kMinute)};
  all[2].by.push_back({"who", "user_id"});
  all[2].by.push_back({"path", "path"});
  all[2].where = "status_code <> 204";
  all[0].max_keys = cap;
  all[2].max_keys = cap;
  return all;
}

std::vector<Event> random_events(std::mt19937& random, std::size_t n, std::uint32_t partitions,
                                 int keys) {
  std::vector<Event> events;
  std::vector<Timestamp> clocks(partitions, Timestamp{1'700'000'000} * kSecond);
  for (std::size_t i = 0; i < n; ++i) {
    Event e;
    e.partition = random() % partitions;
    Timestamp& clock = clocks[e.partition];
    clock += static_cast<Timestamp>(random() % 3000) * kMillisecond;
    e.time = clock - (random() % 4 == 0 ? static_cast<Timestamp>(random() % 90) * kSecond : 0);
    if (random() % 3 == 0) e.time = e.time / kSecond * kSecond;  // Ties.
    if (random() % 10 != 0) e.service = fmt::format("service-{}", random() % keys);
    if (random() % 10 != 0) e.path = fmt::format("/a/rather/long/path/{}", random() % keys);
    if (random() % 10 != 0) e.user_id = static_cast<std::int64_t>(random() % keys) - 2;
    if (random() % 6 != 0) {
      const double u = static_cast<double>(random()) / 4294967296.0;
      e.latency_ms = std::exp(8 * u) * (random() % 7 == 0 ? -1 : 1);
      if (random() % 20 == 0) e.latency_ms = 0;
      if (random() % 40 == 0) e.latency_ms = *e.latency_ms * 1e-12;
      if (random() % 40 == 0) e.latency_ms = *e.latency_ms * 1e18;
    }
    const int statuses[] = {200, 200, 201, 204, 404, 500, 503, 999};
    e.status_code = statuses[random() % 8];
    if (random() % 5 != 0) e.amount = static_cast<std::int64_t>(random() % 100'000) - 20'000;
    e.ok = random() % 2 == 0;
    e.excluded = random() % 12 == 0;
    events.push_back(std::move(e));
  }
  return events;
}

struct Batch {
  std::size_t begin;
  std::size_t end;
};

/// The batches of the log: of one partition each, and the same for every run.
std::vector<Batch> cut_up(const std::vector<Event>& events, std::mt19937& random,
                          std::size_t most) {
  std::vector<Batch> cuts;
  for (std::size_t at = 0; at < events.size();) {
    const std::size_t n = 1 + random() % most;
    std::size_t end = at + 1;
    while (end < events.size() && end - at < n && events[end].partition == events[at].partition) {
      ++end;
    }
    cuts.push_back({at, end});
    at = end;
  }
  return cuts;
}

void push(Engine& engine, const std::vector<Event>& events, const Batch& cut) {
  engine.push(&events[cut.begin], cut.end - cut.begin);
}

struct Totals {
  std::vector<std::string> rows;
  std::vector<std::uint64_t> late;
  std::uint64_t filtered = 0;
  std::uint64_t overflow = 0;
  std::uint64_t excluded = 0;

  void add(const Engine& engine) {
    for (std::string& row : rows_of(engine.records)) rows.push_back(std::move(row));
    late.resize(std::max(late.size(), engine.late_counts.size()));
    for (std::size_t i = 0; i < engine.late_counts.size(); ++i) late[i] += engine.late_counts[i];
    filtered += engine.filtered;
    overflow += engine.overflow_rows;
    excluded += engine.excluded;
  }
  bool operator==(const Totals&) const = default;
};

}  // namespace

TEST_CASE("cut at any batch and gone on with, on any lanes, all comes out as in one run",
          "[window][snapshot]") {
  const int histories = 300;
  std::uint64_t overflow = 0;
  std::uint64_t late = 0;
  std::uint64_t excluded = 0;
  std::uint64_t restored_rows = 0;
  for (int h = 0; h < histories; ++h) {
    INFO("history " << h);
    std::mt19937 random(static_cast<unsigned>(h));
    const std::uint32_t partitions = 1 + random() % 3;
    const std::size_t cap = random() % 2 == 0 ? 1 + random() % 6 : 1000;
    const Compiled compiled = compile(
        windows_of(cap, static_cast<Duration>(random() % 90) * kSecond), "status_code <> 999");
    INFO(text_of(compiled.diagnostics));
    REQUIRE(compiled.plan != nullptr);
    const std::vector<Event> events =
        random_events(random, 20 + random() % 280, partitions, 1 + static_cast<int>(random() % 8));
    const std::vector<Batch> cuts = cut_up(events, random, 1 + random() % 40);

    // One lane, in one go.
    Engine whole(compiled, 1, partitions, random());
    for (const Batch& cut : cuts) push(whole, events, cut);
    whole.checkpoint();
    whole.finish();
    Totals expected;
    expected.add(whole);

    // Barriers after every batch, in flight with the batches behind them.
    const std::size_t lanes = 1 + random() % 4;
    Engine marked(compiled, lanes, partitions, random());
    marked.checkpoint();
    for (const Batch& cut : cuts) {
      push(marked, events, cut);
      marked.checkpoint();
    }
    marked.finish();
    REQUIRE(rows_of(marked.records) == expected.rows);
    REQUIRE(marked.checkpoints.size() == cuts.size() + 1);
    REQUIRE(marked.checkpoints.back().windows == whole.checkpoints[0].windows);

    // Going on from some of them, in one go.
    for (int i = 0; i < 3; ++i) {
      const std::size_t at = random() % (cuts.size() + 1);
      INFO("from batch " << at);
      const Engine::Checkpoint& from = marked.checkpoints[at];
      Engine rest(compiled, 1 + random() % 4, partitions, random());
      const auto restored = rest.restore(from);
      REQUIRE(restored.has_value());
      REQUIRE(restored->lost.empty());
      REQUIRE(restored->recapped.empty());
      restored_rows += restored->rows;
      for (std::size_t c = at; c < cuts.size(); ++c) push(rest, events, cuts[c]);
      rest.checkpoint();
      rest.finish();
      std::vector<std::string> rows =
          rows_of({marked.records.begin(),
                   marked.records.begin() + static_cast<std::ptrdiff_t>(from.records)});
      for (std::string& row : rows_of(rest.records)) rows.push_back(std::move(row));
      REQUIRE(rows == expected.rows);
      REQUIRE(rest.checkpoints[0].windows == whole.checkpoints[0].windows);
    }

    // Many sessions, each on other lanes: also the counts add up.
    Totals totals;
    std::optional<Engine::Checkpoint> last;
    for (std::size_t at = 0;;) {
      Engine session(compiled, 1 + random() % 4, partitions, random(), random() % 2 == 0);
      if (last) REQUIRE(session.restore(*last).has_value());
      const std::size_t end = std::min(cuts.size(), at + random() % (cuts.size() / 2 + 2));
      for (; at < end; ++at) push(session, events, cuts[at]);
      session.checkpoint();
      if (at == cuts.size()) session.finish();
      session.drain();
      totals.add(session);
      last = session.checkpoints[0];
      REQUIRE(last->windows == marked.checkpoints[at].windows);
      if (at == cuts.size()) break;
    }
    REQUIRE(totals.rows == expected.rows);
    REQUIRE(totals == expected);
    overflow += totals.overflow;
    excluded += totals.excluded;
    for (const std::uint64_t n : totals.late) late += n;
  }
  // The histories did go where it hurts.
  REQUIRE(overflow > 5000);
  REQUIRE(late > 5000);
  REQUIRE(excluded > 3000);
  REQUIRE(restored_rows > 10'000);
}

TEST_CASE("large states go through a snapshot: full sketches, distinct counts beyond 4,096",
          "[window][snapshot]") {
  const Compiled compiled =
      compile({options("few", {{"service", "service"}}, everything(), kHour, 0),
               options("many", {{"user", "user_id"}, {"path", "path"}}, everything(), kHour, 0)});
  REQUIRE(compiled.plan != nullptr);
  std::mt19937 random(7);
  std::vector<Event> events = random_events(random, 30'000, 1, 2);
  const Timestamp start = Timestamp{1'700'000'000} / 3600 * kHour;
  for (std::size_t i = 0; i < events.size(); ++i) {
    events[i].time = start + static_cast<Timestamp>(i) * kMillisecond;
    events[i].user_id = static_cast<std::int64_t>(random() % 9000);
  }
  Engine whole(compiled, 1, 1, 1);
  Engine before(compiled, 3, 1, 2);
  for (std::size_t at = 0; at < events.size(); at += 1500) {
    whole.push(&events[at], 1500);
    if (at < events.size() / 2) before.push(&events[at], 1500);
  }
  before.checkpoint();
  before.drain();
  Engine after(compiled, 2, 1, 3);
  REQUIRE(after.restore(before.checkpoints[0]).has_value());
  for (std::size_t at = events.size() / 2; at < events.size(); at += 1500) {
    after.push(&events[at], 1500);
  }
  whole.checkpoint();
  after.checkpoint();
  whole.finish();
  after.finish();
  REQUIRE(after.checkpoints[0].windows == whole.checkpoints[0].windows);
  REQUIRE(rows_of(after.records) == rows_of(whole.records));
}

TEST_CASE("excluded rows are counted nowhere, and time moves all the same", "[window][snapshot]") {
  for (unsigned seed = 0; seed < 50; ++seed) {
    std::mt19937 random(seed);
    const Compiled compiled = compile(windows_of(5, 10 * kSecond), "status_code <> 999");
    REQUIRE(compiled.plan != nullptr);
    const std::vector<Event> events = random_events(random, 300, 2, 6);
    const std::vector<Batch> cuts = cut_up(events, random, 20);
    // The stream's filter is known to leave rows out and yet let them move time.
    std::vector<Event> filtered = events;
    std::uint64_t marked = 0;
    std::uint64_t filtered_anyway = 0;
    for (Event& e : filtered) {
      if (!e.excluded) {
        filtered_anyway += e.status_code == 999 ? 1 : 0;
        continue;
      }
      ++marked;
      e.excluded = false;
      e.status_code = 999;
    }
    Engine engine(compiled, 1 + seed % 3, 2, seed);
    Engine reference(compiled, 1, 2, seed);
    for (const Batch& cut : cuts) {
      push(engine, events, cut);
      push(reference, filtered, cut);
    }
    engine.finish();
    reference.finish();
    REQUIRE(rows_of(engine.records) == rows_of(reference.records));
    REQUIRE(engine.late_counts == reference.late_counts);
    REQUIRE(engine.late.size() == reference.late.size());
    REQUIRE(engine.excluded == marked);
    REQUIRE(engine.filtered == filtered_anyway);
    REQUIRE(marked > 0);
  }
}

TEST_CASE("damaged snapshots are refused and leave the engine as it was", "[window][snapshot]") {
  const Compiled compiled = compile(windows_of(3, 10 * kSecond), "status_code <> 999");
  REQUIRE(compiled.plan != nullptr);
  std::mt19937 random(3);
  const std::vector<Event> events = random_events(random, 60, 1, 4);
  const Engine::Checkpoint good = checkpoint_of(compiled, events);
  // One engine takes all that is refused, since that leaves it as it was.
  auto engine = std::make_unique<Engine>(compiled, 2, 1, 1);
  const auto restores = [&](const std::string& bytes) {
    Engine::Checkpoint damaged = good;
    damaged.windows = bytes;
    const auto restored = engine->restore(damaged);
    if (restored) {
      engine = std::make_unique<Engine>(compiled, 2, 1, 1);
      return true;
    }
    REQUIRE(restored.error().code == ErrorCode::corrupt);
    REQUIRE(restored.error().message.find("requests") != std::string::npos);
    REQUIRE(engine->lane(0).open_instances() + engine->lane(1).open_instances() == 0);
    return false;
  };
  REQUIRE(restores(good.windows));
  REQUIRE_FALSE(restores(good.windows + '\0'));
  for (std::size_t size = 0; size < good.windows.size(); ++size) {
    INFO("cut at " << size);
    REQUIRE_FALSE(restores(good.windows.substr(0, size)));
  }
  // A flipped bit gives other numbers or is noticed (a checksum guards the file); never a crash.
  std::size_t noticed = 0;
  for (std::size_t at = 0; at < good.windows.size(); ++at) {
    std::string bytes = good.windows;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << (random() % 8)));
    noticed += restores(bytes) ? 0 : 1;
  }
  REQUIRE(noticed > good.windows.size() / 10);
  // Another stream's.
  Compiled other = compile(windows_of(3, 10 * kSecond));
  other.schema.stream = "responses";
  const expr::Scope scope = scope_of(other.schema);
  other.plan = compile_windows(other.schema, scope, nullptr, SourceText(),
                               windows_of(3, 10 * kSecond), other.diagnostics);
  Admission admission(other.plan, 1);
  StreamWindows windows(other.plan, 0, admission);
  const auto refused = windows.restore(good.windows, good.watermark);
  REQUIRE(refused.has_error());
  REQUIRE(refused.error().message.find("another stream") != std::string::npos);
}
