#include "telemetry/registry.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "support/catch.h"

namespace streamobs::telemetry {
namespace {

using Exposition = Registry::Exposition;

struct Sample {
  std::string name;
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct Exposed {
  std::map<std::string, std::string> types;  // By family.
  std::map<std::string, std::string> help;
  std::vector<Sample> samples;
  bool eof = false;

  double at(const std::string& name, const std::map<std::string, std::string>& labels = {}) const {
    for (const Sample& sample : samples) {
      if (sample.name == name && sample.labels == labels) return sample.value;
    }
    throw std::runtime_error("no sample " + name);
  }
};

// A strict reader of both text formats, written from their specifications and not from our writer.
// Throws on anything that does not belong.
class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Exposed parse() {
    while (at_ < text_.size()) {
      if (out_.eof) throw std::runtime_error("text after # EOF");
      if (peek() == '#') {
        comment();
      } else {
        sample();
      }
      expect('\n');
    }
    return out_;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void expect(char c) {
    if (peek() != c) {
      throw std::runtime_error(
          fmt::format("expected '{}' at {}: {}", c, at_, text_.substr(at_, 40)));
    }
    ++at_;
  }
  std::string word(const std::string& allowed_beyond_letters) {
    std::string out;
    while (std::isalnum(static_cast<unsigned char>(peek())) ||
           (peek() != '\0' && allowed_beyond_letters.find(peek()) != std::string::npos)) {
      out += text_[at_++];
    }
    if (out.empty()) throw std::runtime_error("empty word at " + text_.substr(at_, 20));
    return out;
  }
  std::string line() {
    std::string out;
    while (peek() != '\n' && peek() != '\0') out += text_[at_++];
    return out;
  }
  void comment() {
    expect('#');
    expect(' ');
    const std::string kind = word("");
    if (kind == "EOF") {
      out_.eof = true;
      return;
    }
    expect(' ');
    const std::string family = word("_:");
    expect(' ');
    if (kind == "TYPE") {
      if (!out_.types.emplace(family, line()).second) throw std::runtime_error("two types");
      open_family_ = family;
    } else if (kind == "HELP") {
      if (!out_.help.emplace(family, line()).second) throw std::runtime_error("two helps");
    } else {
      throw std::runtime_error("unknown comment " + kind);
    }
  }
  void sample() {
    Sample s;
    s.name = word("_:");
    if (s.name.rfind(open_family_, 0) != 0) throw std::runtime_error("outside family " + s.name);
    if (peek() == '{') {
      expect('{');
      while (true) {
        const std::string label = word("_");
        expect('=');
        expect('"');
        std::string value;
        while (peek() != '"') {
          if (peek() == '\n' || peek() == '\0') throw std::runtime_error("open label");
          if (peek() == '\\') {
            ++at_;
            const char c = peek();
            if (c != '\\' && c != '"' && c != 'n') throw std::runtime_error("bad escape");
            value += c == 'n' ? '\n' : c;
          } else {
            value += peek();
          }
          ++at_;
        }
        expect('"');
        if (!s.labels.emplace(label, value).second) throw std::runtime_error("label twice");
        if (peek() != ',') break;
        expect(',');
      }
      expect('}');
    }
    expect(' ');
    const std::string number = line();
    if (number == "+Inf") {
      s.value = std::numeric_limits<double>::infinity();
    } else if (number == "NaN") {
      s.value = std::nan("");
    } else {
      std::size_t used = 0;
      s.value = std::stod(number, &used);
      if (used != number.size()) throw std::runtime_error("bad number " + number);
    }
    for (const Sample& other : out_.samples) {
      if (other.name == s.name && other.labels == s.labels) throw std::runtime_error("twice");
    }
    out_.samples.push_back(s);
  }

  std::string text_;
  std::size_t at_ = 0;
  std::string open_family_;
  Exposed out_;
};

Exposed read(const Registry& registry, Exposition exposition) {
  return Parser(registry.render(exposition)).parse();
}

TEST_CASE("a counter's family loses _total in OpenMetrics only", "[telemetry]") {
  Registry registry;
  registry.counter("streamobs_events_total", "Events.", {{"stream", "a"}}).add(3);
  registry.counter("streamobs_events_total", "Events.", {{"stream", "b"}}).add();

  const Exposed prometheus = read(registry, Exposition::prometheus);
  CHECK(prometheus.types ==
        std::map<std::string, std::string>{{"streamobs_events_total", "counter"}});
  CHECK(prometheus.help.at("streamobs_events_total") == "Events.");
  CHECK(prometheus.at("streamobs_events_total", {{"stream", "a"}}) == 3);
  CHECK_FALSE(prometheus.eof);

  const Exposed openmetrics = read(registry, Exposition::openmetrics);
  CHECK(openmetrics.types == std::map<std::string, std::string>{{"streamobs_events", "counter"}});
  CHECK(openmetrics.at("streamobs_events_total", {{"stream", "a"}}) == 3);
  CHECK(openmetrics.at("streamobs_events_total", {{"stream", "b"}}) == 1);
  CHECK(openmetrics.eof);
}

TEST_CASE("labels and help are escaped as each format wants", "[telemetry]") {
  Registry registry;
  const std::string nasty = "a\"b\\c\nd{},=";
  registry.gauge("g", "say \"hi\" \\ \n there", {{"path", nasty}}).set(1.5);
  const Exposed prometheus = read(registry, Exposition::prometheus);
  CHECK(prometheus.at("g", {{"path", nasty}}) == 1.5);
  CHECK(prometheus.help.at("g") == "say \"hi\" \\\\ \\n there");
  const Exposed openmetrics = read(registry, Exposition::openmetrics);
  CHECK(openmetrics.at("g", {{"path", nasty}}) == 1.5);
  CHECK(openmetrics.help.at("g") == "say \\\"hi\\\" \\\\ \\n there");
}

TEST_CASE("a histogram's buckets are cumulative and its bounds inclusive", "[telemetry]") {
  Registry registry;
  Histogram& h = registry.histogram("h_seconds", "Time.", {0.5, 1, 10}, {{"stage", "x"}});
  for (const double v : {0.1, 0.5, 0.7, 1.0, 9.0, 11.0, 100.0}) h.observe(v);
  for (const Exposition exposition : {Exposition::prometheus, Exposition::openmetrics}) {
    const Exposed exposed = read(registry, exposition);
    CHECK(exposed.types.at("h_seconds") == "histogram");
    CHECK(exposed.at("h_seconds_bucket", {{"le", "0.5"}, {"stage", "x"}}) == 2);
    CHECK(exposed.at("h_seconds_bucket", {{"le", "1.0"}, {"stage", "x"}}) == 4);
    CHECK(exposed.at("h_seconds_bucket", {{"le", "10.0"}, {"stage", "x"}}) == 5);
    CHECK(exposed.at("h_seconds_bucket", {{"le", "+Inf"}, {"stage", "x"}}) == 7);
    CHECK(exposed.at("h_seconds_count", {{"stage", "x"}}) == 7);
    CHECK(exposed.at("h_seconds_sum", {{"stage", "x"}}) == Approx(122.3));
  }
  CHECK_THROWS_AS(Histogram({2, 1}), std::logic_error);
}

TEST_CASE("latency bounds reach from 0.1 ms to 10 s", "[telemetry]") {
  const std::vector<double> bounds = latency_bounds();
  CHECK(bounds.front() == 0.0001);
  CHECK(bounds.back() == 10);
  CHECK(std::is_sorted(bounds.begin(), bounds.end()));
}

TEST_CASE("a handle is the same for the same name and labels, in any order", "[telemetry]") {
  Registry registry;
  Counter& a = registry.counter("n_total", "", {{"x", "1"}, {"y", "2"}});
  for (int i = 0; i < 500; ++i) registry.counter("n_total", "", {{"x", std::to_string(i + 2)}});
  CHECK(&registry.counter("n_total", "", {{"y", "2"}, {"x", "1"}}) == &a);
  a.add(7);
  CHECK(registry.value("n_total", {{"y", "2"}, {"x", "1"}}) == 7);
  CHECK(registry.value("n_total") == 0);
  CHECK(registry.value("nothing") == 0);
  registry.counter("n_total", "N.", {{"x", "1"}, {"y", "3"}}).add(5);
  registry.counter("n_total", "N.", {{"x", "2"}, {"y", "3"}}).add(100);
  CHECK(registry.total("n_total", {{"x", "1"}}) == 12);
  CHECK(registry.total("n_total", {{"y", "3"}, {"x", "1"}}) == 5);
  CHECK(registry.total("n_total", {}) == 112);
  CHECK(registry.total("n_total", {{"x", "3"}}) == 0);
  CHECK(registry.total("nothing", {}) == 0);
}

TEST_CASE("further series share one once there are too many", "[telemetry]") {
  Registry registry;
  for (std::size_t i = 0; i < Registry::kMaxSeries + 50; ++i) {
    registry.counter("many_total", "", {{"key", std::to_string(i)}}).add();
  }
  const Exposed exposed = read(registry, Exposition::prometheus);
  CHECK(exposed.samples.size() == Registry::kMaxSeries + 1);
  CHECK(exposed.at("many_total", {{"overflow", "true"}}) == 50);
}

TEST_CASE("callbacks are asked when somebody looks, and leave with their owner", "[telemetry]") {
  Registry registry;
  double level = 1;
  const int owner = 0;
  registry.gauge_callback(&owner, "level", "How full.", {{"stage", "a"}}, [&] { return level; });
  CHECK(registry.value("level", {{"stage", "a"}}) == 1);
  level = 0.25;
  CHECK(read(registry, Exposition::openmetrics).at("level", {{"stage", "a"}}) == 0.25);
  registry.remove_callbacks(&owner);
  CHECK(registry.render(Exposition::prometheus).empty());
  CHECK(registry.render(Exposition::openmetrics) == "# EOF\n");
}

TEST_CASE("a metric that is named or used wrongly is a bug", "[telemetry]") {
  Registry registry;
  CHECK_THROWS_AS(registry.counter("events", ""), std::logic_error);
  CHECK_THROWS_AS(registry.gauge("events_total", ""), std::logic_error);
  CHECK_THROWS_AS(registry.gauge("9lives", ""), std::logic_error);
  CHECK_THROWS_AS(registry.gauge("g", "", {{"le", "1"}}), std::logic_error);
  registry.gauge("g", "");
  CHECK_THROWS_AS(registry.histogram("g", "", {1}), std::logic_error);
}

TEST_CASE("special numbers are written as the formats name them", "[telemetry]") {
  Registry registry;
  registry.gauge("inf", "").set(std::numeric_limits<double>::infinity());
  registry.gauge("nan", "").set(std::nan(""));
  registry.gauge("small", "").set(1e-9);
  const Exposed exposed = read(registry, Exposition::prometheus);
  CHECK(std::isinf(exposed.at("inf")));
  CHECK(std::isnan(exposed.at("nan")));
  CHECK(exposed.at("small") == 1e-9);
}

TEST_CASE("updates from many threads are all counted, while others read", "[telemetry]") {
  Registry registry;
  Counter& counter = registry.counter("c_total", "");
  Histogram& histogram = registry.histogram("h", "", {1, 2});
  constexpr int kThreads = 4;
  constexpr int kEach = 20'000;
  std::atomic<bool> done{false};
  std::atomic<int> disagreements{0};  // Catch2's checks are for one thread only.
  std::thread reader([&] {
    while (!done) {
      const Exposed exposed = read(registry, Exposition::prometheus);
      if (exposed.at("h_count") != exposed.at("h_bucket", {{"le", "+Inf"}})) ++disagreements;
    }
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < kThreads; ++t) {
    writers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        counter.add();
        histogram.observe(1.5);
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  reader.join();
  CHECK(disagreements == 0);
  CHECK(counter.value() == kThreads * kEach);
  CHECK(histogram.bucket(1) == kThreads * kEach);
  CHECK(histogram.sum() == Approx(1.5 * kThreads * kEach));
}

}  // namespace
}  // namespace streamobs::telemetry
