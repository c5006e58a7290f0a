// Random histories against a row-at-a-time reference that shares nothing with the engine but the
// definitions: every lane count, every cut into batches, byte for byte.
#include <algorithm>
#include <cmath>
#include <set>

#include "support/catch.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

namespace {

/// A sum of doubles, exact and rounded once: Shewchuk's partials as in Python's math.fsum.
double fsum(const std::vector<double>& values) {
  std::vector<double> partials;
  for (double x : values) {
    std::size_t kept = 0;
    for (double y : partials) {
      if (std::fabs(x) < std::fabs(y)) std::swap(x, y);
      const double high = x + y;
      const double low = y - (high - x);
      if (low != 0) partials[kept++] = low;
      x = high;
    }
    partials.resize(kept);
    partials.push_back(x);
  }
  if (partials.empty()) return 0;
  std::size_t n = partials.size() - 1;
  double high = partials[n];
  double low = 0;
  while (n > 0) {
    const double x = high;
    const double y = partials[--n];
    high = x + y;
    low = y - (high - x);
    if (low != 0) break;
  }
  if (n > 0 && ((low < 0 && partials[n - 1] < 0) || (low > 0 && partials[n - 1] > 0))) {
    const double y = low * 2;
    const double x = high + y;
    if (y == x - high) high = x;
  }
  return high;
}

struct Reference {
  struct WindowSpec {
    std::string name;
    Duration size;
    Duration lateness;
    bool by_service;
    bool by_user;
    bool by_path;
    std::size_t max_keys;
  };
  struct Key {
    std::optional<std::string> service;
    std::optional<std::int64_t> user;
    std::optional<std::string> path;
    bool overflow = false;
    auto tuple() const { return std::tie(overflow, service, user, path); }
    bool operator<(const Key& o) const { return tuple() < o.tuple(); }
  };
  using Groups = std::map<Key, std::vector<Event>>;

  Reference(std::vector<WindowSpec> specs_in, std::uint32_t partitions)
      : specs(std::move(specs_in)), newest(partitions, kMinTimestamp), late(specs.size(), 0) {}

  void add(const Event& e) {
    if (e.status_code == 999) {  // The stream's filter.
      ++filtered;
    } else {
      for (std::size_t w = 0; w < specs.size(); ++w) {
        const WindowSpec& spec = specs[w];
        if (e.status_code == 204) continue;  // The windows' where.
        const Timestamp start =
            static_cast<Timestamp>(std::floor(static_cast<long double>(e.time) / spec.size)) *
            spec.size;
        if (start + spec.size + spec.lateness <= watermark) {
          ++late[w];
          continue;
        }
        Groups& groups = windows[{start + spec.size + spec.lateness, w, start}];
        Key key;
        if (spec.by_service) key.service = e.service;
        if (spec.by_user) key.user = e.user_id;
        if (spec.by_path) key.path = e.path;
        if (!groups.contains(key)) {
          std::size_t real = 0;
          for (const auto& [k, v] : groups) real += k.overflow ? 0 : 1;
          if (real >= spec.max_keys) {
            key = Key{};
            key.overflow = true;
            ++overflow;
          }
        }
        groups[key].push_back(e);
      }
    }
    newest[e.partition] = std::max(newest[e.partition], e.time);
    watermark = std::max(watermark, *std::min_element(newest.begin(), newest.end()));
  }

  std::vector<WindowSpec> specs;
  std::vector<Timestamp> newest;
  Timestamp watermark = kMinTimestamp;
  std::map<std::tuple<Timestamp, std::size_t, Timestamp>, Groups> windows;
  std::vector<std::uint64_t> late;
  std::uint64_t filtered = 0;
  std::uint64_t overflow = 0;
};

/// The metrics of the select list below, computed the obvious way.
std::vector<Value> metrics_of(const std::vector<Event>& events, Duration size) {
  std::int64_t errors = 0;
  std::vector<double> latencies;
  __extension__ __int128 cents = 0;
  std::size_t amounts = 0;
  std::set<std::int64_t> users;
  const Event* first = nullptr;
  const Event* last = nullptr;
  std::optional<std::string> least_path;
  for (const Event& e : events) {
    if (e.status_code >= 500) ++errors;
    if (e.latency_ms) latencies.push_back(*e.latency_ms);
    if (e.amount) {
      cents += *e.amount;
      ++amounts;
    }
    if (e.user_id) users.insert(*e.user_id);
    if (first == nullptr || e.time < first->time) first = &e;
    if (last == nullptr || e.time >= last->time) last = &e;
    if (e.path && (!least_path || *e.path < *least_path)) least_path = e.path;
  }
  const auto count = static_cast<std::int64_t>(events.size());
  const DataType money{Kind::decimal, 2};
  const double sum = fsum(latencies);
  std::vector<Value> m;
  m.push_back(Value::of_int(count));
  m.push_back(Value::of_int(errors));
  m.push_back(Value::of_float(static_cast<double>(errors) / static_cast<double>(count)));
  const Value no_float = Value::of_null({Kind::floating, 0});
  m.push_back(latencies.empty() ? no_float : Value::of_float(sum));
  m.push_back(latencies.empty() ? no_float
                                : Value::of_float(sum / static_cast<double>(latencies.size())));
  m.push_back(amounts == 0 ? Value::of_null(money)
                           : Value::of_decimal(static_cast<std::int64_t>(cents), 2));
  m.push_back(Value::of_int(static_cast<std::int64_t>(users.size())));
  m.push_back(Value::of_int(first->status_code));
  m.push_back(Value::of_int(last->status_code));
  m.push_back(least_path ? Value::of_string(*least_path) : Value::of_null({Kind::string, 0}));
  m.push_back(Value::of_float(static_cast<double>(count) / (static_cast<double>(size) / 1e6)));
  std::sort(latencies.begin(), latencies.end());
  for (const double p : {0.5, 0.95}) {
    if (latencies.empty()) {
      m.push_back(no_float);
    } else {
      const auto rank = static_cast<std::size_t>(p * static_cast<double>(latencies.size() - 1));
      m.push_back(Value::of_float(latencies[rank]));
    }
  }
  return m;
}
constexpr std::size_t kExactMetrics = 11;

std::vector<NamedExpression> select_list() {
  return {{"requests", "count(*)"},
          {"errors", "count(*) filter (where status_code >= 500)"},
          {"error_rate", "errors / requests"},
          {"total_ms", "sum(latency_ms)"},
          {"avg_ms", "avg(latency_ms)"},
          {"revenue", "sum(amount)"},
          {"users", "count(distinct user_id)"},
          {"first_status", "first(status_code)"},
          {"last_status", "last(status_code)"},
          {"least_path", "min(path)"},
          {"per_second", "rate()"},
          {"p50", "quantile(latency_ms, 0.5)"},
          {"p95", "percentile(latency_ms, 0.95)"}};
}

std::vector<WindowOptions> options_of(const std::vector<Reference::WindowSpec>& specs) {
  std::vector<WindowOptions> all;
  for (const auto& spec : specs) {
    std::vector<NamedExpression> by;
    if (spec.by_service) by.push_back({"service", "service"});
    if (spec.by_user) by.push_back({"who", "user_id"});
    if (spec.by_path) by.push_back({"path", "path"});
    WindowOptions o = options(spec.name, by, select_list(), spec.size, spec.lateness);
    o.where = "status_code <> 204";
    o.max_keys = spec.max_keys;
    all.push_back(std::move(o));
  }
  return all;
}

/// Events of a few minutes, somewhat out of order, of several partitions that drift apart.
std::vector<Event> random_events(std::mt19937& random, std::size_t n, std::uint32_t partitions,
                                 int keys) {
  std::vector<Event> events;
  const Timestamp base =
      static_cast<Timestamp>(random() % 2 == 0 ? 1'700'000'000 : -5'000) * kSecond;
  std::vector<Timestamp> clocks(partitions, base);
  for (std::size_t i = 0; i < n; ++i) {
    Event e;
    e.partition = random() % partitions;
    Timestamp& clock = clocks[e.partition];
    clock += static_cast<Timestamp>(random() % 2000) * kMillisecond;
    e.time = clock - (random() % 4 == 0 ? static_cast<Timestamp>(random() % 90) * kSecond : 0);
    if (random() % 8 == 0) e.time = e.time / kSecond * kSecond;  // Ties.
    if (random() % 10 != 0) e.service = fmt::format("service-{}", random() % keys);
    if (random() % 10 != 0) {
      e.path = fmt::format("/a/rather/long/path/{}", random() % keys);
      if (random() % 3 == 0) e.path = fmt::format("/{}", random() % keys);
    }
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
    events.push_back(e);
  }
  return events;
}

void run_cut(Engine& engine, const std::vector<Event>& events, std::mt19937& random,
             std::size_t most) {
  for (std::size_t at = 0; at < events.size();) {
    std::size_t n = 1 + random() % most;
    std::size_t end = at + 1;
    while (end < events.size() && end - at < n && events[end].partition == events[at].partition) {
      ++end;
    }
    engine.push(&events[at], end - at);
    at = end;
  }
  engine.finish();
}

bool same_key(const Value& value, const std::optional<std::string>& text) {
  return text ? !value.null && value.text == *text : value.null;
}

void check_rows(const Records& records, const Reference& reference) {
  std::vector<std::pair<const WindowRow*, std::size_t>> rows;
  for (const Record& record : records) {
    const auto& batch = std::get<WindowBatchPtr>(record);
    for (const WindowRow& row : batch->rows) {
      std::size_t w = 0;
      while (reference.specs[w].name != batch->schema->window) ++w;
      rows.emplace_back(&row, w);
    }
  }
  std::size_t at = 0;
  for (const auto& [place, groups] : reference.windows) {
    const auto [closes, w, start] = place;
    const Reference::WindowSpec& spec = reference.specs[w];
    for (const auto& [key, events] : groups) {
      REQUIRE(at < rows.size());
      const WindowRow& row = *rows[at].first;
      REQUIRE(rows[at].second == w);
      ++at;
      REQUIRE(row.start == start);
      REQUIRE(row.end == start + spec.size);
      REQUIRE(row.closed);
      REQUIRE(row.overflow == key.overflow);
      std::size_t k = 0;
      const std::optional<std::string> overflow = "__overflow__";
      if (spec.by_service) REQUIRE(same_key(row.keys[k++], key.overflow ? overflow : key.service));
      if (spec.by_user) {
        REQUIRE(row.keys[k].null == (key.overflow || !key.user));
        if (!row.keys[k].null) REQUIRE(row.keys[k].integer == *key.user);
        ++k;
      }
      if (spec.by_path) REQUIRE(same_key(row.keys[k++], key.overflow ? overflow : key.path));
      REQUIRE(row.keys.size() == k);
      const std::vector<Value> expected = metrics_of(events, spec.size);
      REQUIRE(row.metrics.size() == expected.size());
      for (std::size_t m = 0; m < expected.size(); ++m) {
        INFO("metric " << m << " of window " << spec.name << " from " << start);
        if (m < kExactMetrics) {
          REQUIRE(text_of(row.metrics[m]) == text_of(expected[m]));
        } else if (expected[m].null) {
          REQUIRE(row.metrics[m].null);
        } else {
          REQUIRE(std::fabs(row.metrics[m].floating - expected[m].floating) <=
                  0.01 * std::fabs(expected[m].floating));
        }
      }
    }
  }
  REQUIRE(at == rows.size());
}

}  // namespace

TEST_CASE("random histories agree with a naive reference, for any lanes and any cut",
          "[window][history]") {
  const int histories = 1000;
  std::size_t ordered = 0;
  std::uint64_t late_total = 0;
  std::uint64_t overflow_total = 0;
  for (int h = 0; h < histories; ++h) {
    INFO("history " << h);
    std::mt19937 random(static_cast<unsigned>(h));
    const std::uint32_t partitions = 1 + random() % 3;
    const std::size_t cap = random() % 3 == 0 ? 1 + random() % 6 : 1000;
    const std::vector<Reference::WindowSpec> specs = {
        {"by_service", kMinute, 10 * kSecond, true, false, false, cap},
        {"all", 30 * kSecond, 0, false, false, false, 1000},
        {"by_many", 5 * kMinute, static_cast<Duration>(random() % 60) * kSecond, true, true, true,
         cap},
        {"by_user", kMinute, kMinute, false, true, false, cap}};
    const Compiled compiled = compile(options_of(specs), "status_code <> 999");
    INFO(text_of(compiled.diagnostics));
    REQUIRE(compiled.plan != nullptr);
    const std::vector<Event> events =
        random_events(random, 20 + random() % 180, partitions, 1 + static_cast<int>(random() % 8));
    Reference reference(specs, partitions);
    for (const Event& e : events) reference.add(e);

    std::vector<std::string> expected;
    for (const std::size_t lanes : {1, 2, 4}) {
      Engine engine(compiled, lanes, partitions, random(), random() % 2 == 0);
      run_cut(engine, events, random, lanes == 1 ? 200 : 1 + random() % 30);
      if (lanes == 1) {
        check_rows(engine.records, reference);
        expected = rows_of(engine.records);
      } else {
        REQUIRE(rows_of(engine.records) == expected);
      }
      REQUIRE(engine.late_counts == reference.late);
      REQUIRE(engine.filtered == reference.filtered);
      REQUIRE(engine.overflow_rows == reference.overflow);
      std::uint64_t late = 0;
      for (const std::uint64_t n : engine.late_counts) late += n;
      REQUIRE(engine.late.size() == late);
      ordered += engine.ordered_batches;
      late_total += late;
      overflow_total += engine.overflow_rows;
    }
  }
  // The histories did go where it hurts.
  REQUIRE(ordered > 1000);
  REQUIRE(late_total > 10'000);
  REQUIRE(overflow_total > 10'000);
}

TEST_CASE("long slices: many rows and instances at once give what small batches give",
          "[window][history]") {
  std::mt19937 random(99);
  const std::vector<Reference::WindowSpec> specs = {
      {"by_path", kSecond, kHour, false, false, true, 100'000},
      {"by_service", kMinute, 10 * kSecond, true, false, false, 100'000}};
  const Compiled compiled = compile(options_of(specs), "status_code <> 999");
  REQUIRE(compiled.plan != nullptr);
  const std::vector<Event> events = random_events(random, 6000, 1, 40);
  Reference reference(specs, 1);
  for (const Event& e : events) reference.add(e);
  std::vector<std::string> expected;
  for (const std::size_t most : {6000, 1025, 7}) {
    Engine engine(compiled, most == 7 ? 3 : 1, 1, 5);
    run_cut(engine, events, random, most);
    if (expected.empty()) {
      check_rows(engine.records, reference);
      expected = rows_of(engine.records);
    }
    REQUIRE(rows_of(engine.records) == expected);
    REQUIRE(engine.late_counts == reference.late);
  }
}
