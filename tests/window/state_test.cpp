// Stored accumulators: decode, merge, ask again, and the refusal of what is no state.
#include "window/state.h"

#include <cmath>

#include "support/catch.h"
#include "window/support.h"

using namespace window_test;  // NOLINT

namespace {

std::vector<NamedExpression> everything() {
  return {{"n", "count(*)"},
          {"si", "sum(user_id)"},
          {"sd", "sum(amount)"},
          {"sf", "sum(latency_ms)"},
          {"af", "avg(latency_ms)"},
          {"q50", "quantile(latency_ms, 0.5)"},
          {"q99", "quantile(amount, 0.99)"},
          {"d", "count(distinct path)"},
          {"mni", "min(user_id)"},
          {"mxi", "max(time)"},
          {"mnf", "min(latency_ms)"},
          {"mxf", "max(latency_ms)"},
          {"mnt", "min(path)"},
          {"mxt", "max(path)"},
          {"fi", "first(user_id)"},
          {"li", "last(user_id)"},
          {"ff", "first(latency_ms)"},
          {"lf", "last(latency_ms)"},
          {"ft", "first(path)"},
          {"lt", "last(path)"},
          {"ok", "last(ok)"},
          {"ratio", "sf / n"}};
}

std::vector<Event> random_events(std::mt19937& random, std::size_t n, Timestamp from,
                                 Timestamp to) {
  std::vector<Event> events;
  for (std::size_t i = 0; i < n; ++i) {
    Event e;
    e.time = from + static_cast<Timestamp>(static_cast<double>(i) / static_cast<double>(n) *
                                           static_cast<double>(to - from));
    e.service = "a";
    if (random() % 4 != 0) e.path = fmt::format("/p/{}", random() % 6000);
    if (random() % 4 != 0) e.user_id = static_cast<std::int64_t>(random()) - 2'000'000'000;
    if (random() % 4 != 0)
      e.latency_ms = std::ldexp(random() - 2e9, static_cast<int>(random() % 90) - 60);
    if (random() % 4 != 0) e.amount = static_cast<std::int64_t>(random() % 1'000'000) - 1000;
    e.ok = random() % 2 == 0;
    events.push_back(e);
  }
  return events;
}

std::vector<WindowRow> rows_for(const Compiled& c, const std::vector<Event>& events) {
  Engine engine(c, 1, 1, 1);
  for (std::size_t at = 0; at < events.size(); at += 100) {
    engine.push(&events[at], std::min<std::size_t>(100, events.size() - at));
  }
  engine.finish();
  std::vector<WindowRow> rows;
  for (const Record& record : engine.records) {
    for (const WindowRow& row : std::get<WindowBatchPtr>(record)->rows) rows.push_back(row);
  }
  return rows;
}

}  // namespace

TEST_CASE("minutes merged from their states give what the hour gives, byte for byte",
          "[window][state]") {
  const Compiled minutes = compile({options("w", {{"service", "service"}}, everything())});
  const Compiled hours = compile({options("w", {{"service", "service"}}, everything(), kHour)});
  INFO(text_of(minutes.diagnostics));
  REQUIRE(minutes.plan != nullptr);
  std::mt19937 random(41);
  for (const std::size_t n : {1, 3, 60, 500, 20'000}) {
    const std::vector<Event> events = random_events(random, n, 0, kHour);
    const std::vector<WindowRow> parts = rows_for(minutes, events);
    const std::vector<WindowRow> whole = rows_for(hours, events);
    REQUIRE(whole.size() == 1);
    auto merged = WindowState::decode(parts[0].state);
    REQUIRE(merged.has_value());
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const auto next = WindowState::decode(parts[i].state);
      REQUIRE(next.has_value());
      REQUIRE(next->encode() == parts[i].state);
      REQUIRE(merged->merge(*next).has_value());
    }
    // Behind version and definition, which has the window's size in it.
    REQUIRE(merged->encode().substr(9) == whole[0].state.substr(9));
    const auto metrics = merged->metrics(*minutes.plan, 0, whole[0].keys, 0, kHour);
    REQUIRE(metrics.has_value());
    REQUIRE(metrics->size() == whole[0].metrics.size());
    for (std::size_t m = 0; m < metrics->size(); ++m) {
      REQUIRE(text_of((*metrics)[m]) == text_of(whole[0].metrics[m]));
    }
  }
}

TEST_CASE("a state can be asked what nobody asked before", "[window][state]") {
  const Compiled c = compile(
      {options("w", {}, {{"p50", "quantile(latency_ms, 0.5)"}, {"d", "count(distinct path)"}})});
  std::vector<Event> events;
  for (int i = 1; i <= 1000; ++i) {
    Event e;
    e.time = i * kMillisecond;
    e.latency_ms = i;
    e.path = fmt::format("{}", i);
    events.push_back(e);
  }
  const auto rows = rows_for(c, events);
  const auto state = WindowState::decode(rows.at(0).state);
  REQUIRE(state.has_value());
  const auto p90 = state->finish(0, Finish::quantile, 0.9, kMinute);
  REQUIRE(p90.has_value());
  REQUIRE(std::fabs(p90->floating - 900) <= 9);
  REQUIRE(state->finish(1, Finish::distinct, 0, kMinute)->integer == 1000);
  REQUIRE_FALSE(state->approximate(1));
  REQUIRE_FALSE(state->finish(1, Finish::quantile, 0.5, kMinute).has_value());
  REQUIRE_FALSE(state->finish(0, Finish::quantile, 1.5, kMinute).has_value());
  REQUIRE_FALSE(state->finish(9, Finish::count, 0, kMinute).has_value());
}

TEST_CASE("states of different windows are not merged", "[window][state]") {
  const Event e = {
      .time = 1, .service = {}, .path = {}, .user_id = 1, .latency_ms = 1.0, .amount = 2};
  const auto state = [&](std::vector<NamedExpression> select) {
    const Compiled c = compile({options("w", {}, std::move(select))});
    return std::move(WindowState::decode(rows_for(c, {e}).at(0).state).value());
  };
  auto a = state({{"n", "count(*)"}});
  REQUIRE_FALSE(a.merge(state({{"n", "sum(user_id)"}})).has_value());
  REQUIRE_FALSE(a.merge(state({{"n", "count(*)"}, {"s", "sum(user_id)"}})).has_value());
  auto b = state({{"s", "sum(amount)"}});
  REQUIRE_FALSE(b.merge(state({{"s", "sum(user_id)"}})).has_value());
}

TEST_CASE("damaged states are refused and never crash", "[window][state]") {
  const Compiled c = compile({options("w", {}, everything())});
  std::mt19937 random(43);
  const auto rows = rows_for(c, random_events(random, 300, 0, kMinute));
  const std::string good = rows.at(0).state;
  REQUIRE(WindowState::decode(good).has_value());
  for (std::size_t size = 0; size < good.size(); size += 1 + size / 50) {
    REQUIRE_FALSE(WindowState::decode(std::string_view(good).substr(0, size)).has_value());
  }
  REQUIRE_FALSE(WindowState::decode(good + "x").has_value());
  std::string newer = good;
  newer[0] = 3;
  REQUIRE(WindowState::decode(newer).error().message.find("version 3") != std::string::npos);
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = good;
    const int changes = 1 + static_cast<int>(random() % 3);
    for (int k = 0; k < changes; ++k) {
      bad[random() % std::min<std::size_t>(bad.size(), i % 2 == 0 ? 400 : bad.size())] =
          static_cast<char>(random());
    }
    auto state = WindowState::decode(bad);
    if (!state) continue;
    const std::string again = state->encode();  // Whatever it is, it is a state.
    REQUIRE(WindowState::decode(again).has_value());
    (void)state->merge(WindowState::decode(good).value());  // May be refused: other types.
  }
}
