// Templates as keys and metrics of windows, against an oracle that goes through the log message by
// message: every lane count, every cut into batches, across a restart in the middle.
#include <map>
#include <optional>
#include <tuple>

#include "support/catch.h"
#include "window/drain_oracle.h"
#include "window/late_histories.h"
#include "window/template_column.h"

using namespace window_test;  // NOLINT

namespace {

constexpr std::size_t kMessageField = 2;  // `path` of the test stream.
constexpr Duration kSize = 20 * kSecond;

Compiled compile_with_templates() {
  Compiled c;
  expr::Scope scope = scope_of(c.schema);
  scope.add_column("template", {Kind::string, 0});
  scope.add_column("template_id", {Kind::integer, 0});
  scope.add_column("template_is_new", {Kind::boolean, 0});
  const WindowOptions kinds = options("kinds", {{"service", "service"}, {"id", "template_id"}},
                                      {{"n", "count(*)"},
                                       {"new", "count(*) filter (where template_is_new)"},
                                       {"text", "last(template)"}},
                                      kSize, 5 * kMinute);
  const WindowOptions texts =
      options("texts", {{"text", "upper(template)"}}, {{"n", "count(*)"}}, kSize, 5 * kMinute);
  c.plan = compile_windows(c.schema, scope, nullptr, SourceText(""), {kinds, texts}, c.diagnostics);
  return c;
}

/// Out of order, but never so much that one is late.
std::vector<Event> history(std::mt19937& random, std::uint32_t partitions) {
  std::mt19937_64 words(random());
  std::vector<Event> events;
  Timestamp clock = Timestamp{1'700'000'000} * kSecond;
  const std::size_t count = 150 + random() % 200;
  for (std::size_t i = 0; i < count; ++i) {
    Event e;
    clock += static_cast<Timestamp>(random() % 1000) * kMillisecond;
    e.time = clock;
    if (random() % 3 == 0) e.time -= static_cast<Timestamp>(random() % 30) * kSecond;
    if (random() % 3 == 0) e.time = floor_to(e.time, 5 * kSecond);
    e.partition = random() % partitions;
    if (random() % 10 != 0) e.service = fmt::format("service-{}", random() % 3);
    if (random() % 10 != 0) e.path = random() % 20 == 0 ? " " : random_message(words);
    e.excluded = random() % 10 == 0;
    events.push_back(std::move(e));
  }
  return events;
}

struct Expected {
  std::vector<std::string> rows;  ///< Sorted.
  std::size_t called_new = 0;
};

Expected expected_of(const std::vector<Event>& events, const TemplateOptions& options) {
  struct Kind {
    std::size_t n = 0;
    std::size_t called_new = 0;
    Timestamp last = kMinTimestamp;
    std::string text;
  };
  std::map<std::tuple<Timestamp, std::string, std::string>, Kind> kinds;
  std::map<std::pair<Timestamp, std::string>, std::size_t> texts;
  DrainOracle oracle(options.templates_max);
  std::optional<Timestamp> first;
  Expected expected;
  for (const Event& e : events) {
    if (e.excluded) continue;
    const DrainOracle::Found found = e.path ? oracle.add(*e.path) : DrainOracle::Found{};
    const bool has_words = found.id != 0;
    if (has_words && !first) first = e.time;
    const Timestamp start = floor_to(e.time, kSize);
    Kind& kind =
        kinds[{start, e.service.value_or("null"), has_words ? std::to_string(found.id) : "null"}];
    ++kind.n;
    const bool is_learnt = options.learn == 0 || e.time >= first.value_or(0) + options.learn;
    if (found.is_new && is_learnt) ++kind.called_new;
    if (e.time >= kind.last) {
      kind.last = e.time;
      kind.text = has_words ? found.text : "null";
    }
    std::string upper = has_words ? found.text : "null";
    if (has_words) {
      for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    ++texts[{start, upper}];
  }
  for (const auto& [key, kind] : kinds) {
    const auto& [start, service, id] = key;
    expected.called_new += kind.called_new;
    expected.rows.push_back(fmt::format("kinds {} {} closed k={} k={} m={} m={} m={}", start,
                                        start + kSize, service, id, kind.n, kind.called_new,
                                        kind.text));
  }
  for (const auto& [key, n] : texts) {
    expected.rows.push_back(
        fmt::format("texts {} {} closed k={} m={}", key.first, key.first + kSize, key.second, n));
  }
  std::sort(expected.rows.begin(), expected.rows.end());
  return expected;
}

std::vector<std::string> sorted_without_states(std::vector<std::string> rows) {
  for (std::string& row : rows) row.resize(row.rfind(" s="));
  std::sort(rows.begin(), rows.end());
  return rows;
}

std::string snapshot_of(const TemplateColumn& templates) {
  std::string out;
  templates.snapshot(out);
  return out;
}

}  // namespace

TEST_CASE("rows by template are those of an oracle, however the log is cut, and across a restart",
          "[window][templates]") {
  const Compiled compiled = compile_with_templates();
  INFO(text_of(compiled.diagnostics));
  REQUIRE(compiled.plan != nullptr);
  std::size_t called_new = 0;
  std::size_t forgotten = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const std::uint32_t partitions = 1 + random() % 2;
    TemplateOptions options{kMessageField, 5'000, 0};
    if (random() % 2 == 0) options.templates_max = 10 + random() % 20;
    if (random() % 3 == 0) options.learn = 40 * kSecond;
    const std::vector<Event> events = history(random, partitions);
    const Expected expected = expected_of(events, options);
    called_new += expected.called_new;
    const std::size_t line = random() % events.size();
    std::vector<std::string> rows_of_all;
    std::string templates_of_all;
    for (const std::size_t lanes : {1, 2, 4}) {
      INFO("seed " << seed << ", lanes " << lanes);
      const std::size_t most = 1 + random() % 60;
      const std::size_t lanes_after = 1 + random() % 4;
      TemplateColumn before(compiled.schema, options);
      TemplateColumn behind(compiled.schema, options);
      std::uint64_t told_new = 0;
      const auto mine_by = [&](TemplateColumn& templates) {
        return [&](EventBatch& batch) {
          const TemplateCounts counts = templates.process(batch);
          told_new += counts.called_new;
          forgotten += counts.forgotten;
        };
      };
      Engine engine(compiled, lanes, partitions, seed);
      engine.in_log_order = mine_by(before);
      Engine after(compiled, lanes_after, partitions, seed + 1);
      after.in_log_order = mine_by(behind);
      bool restarted = false;
      for (const Batch& cut : cut_up(events, random, most, line)) {
        if (cut.begin == line) {
          engine.checkpoint();
          engine.drain();
          REQUIRE(after.restore(engine.checkpoints.at(0)).has_value());
          const std::string bytes = snapshot_of(before);
          const Result<std::string> restored = behind.restore(bytes);
          REQUIRE(restored.has_value());
          REQUIRE(restored->empty());
          REQUIRE(snapshot_of(behind) == bytes);
          restarted = true;
        }
        (restarted ? after : engine).push(&events[cut.begin], cut.end - cut.begin);
      }
      REQUIRE(restarted);
      after.finish();
      std::vector<std::string> rows = rows_of(engine.records);
      for (std::string& row : rows_of(after.records)) rows.push_back(std::move(row));
      REQUIRE(sorted_without_states(rows) == expected.rows);
      REQUIRE(told_new == expected.called_new);
      if (lanes == 1) {
        rows_of_all = rows;
        templates_of_all = snapshot_of(behind);
      }
      REQUIRE(rows == rows_of_all);
      REQUIRE(snapshot_of(behind) == templates_of_all);
    }
  }
  // The histories meet what they are for.
  REQUIRE(called_new > 5'000);
  REQUIRE(forgotten > 10'000);
}
