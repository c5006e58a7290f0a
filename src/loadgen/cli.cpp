#include "loadgen/cli.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <unistd.h>

#include <fmt/format.h>

#include "loadgen/outputs.h"
#include "loadgen/truth_file.h"

namespace streamobs::loadgen {
namespace {

constexpr int kExitBadOptions = 78;
constexpr int kExitIo = 74;
constexpr double kRateMax = 1e9;
constexpr double kDefaultEventRate = 10;
constexpr auto kProgressEvery = std::chrono::milliseconds(500);

volatile std::sig_atomic_t interrupt_flag = 0;

/// SIGINT and SIGTERM end the run in good order; SIGPIPE is an error of the write instead.
class SignalScope {
 public:
  SignalScope() {
    interrupt_flag = 0;
    struct sigaction on_interrupt{};
    on_interrupt.sa_handler = [](int) { interrupt_flag = 1; };
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGINT, &on_interrupt, &old_int_);
    ::sigaction(SIGTERM, &on_interrupt, &old_term_);
    ::sigaction(SIGPIPE, &ignore, &old_pipe_);
  }
  ~SignalScope() {
    ::sigaction(SIGINT, &old_int_, nullptr);
    ::sigaction(SIGTERM, &old_term_, nullptr);
    ::sigaction(SIGPIPE, &old_pipe_, nullptr);
  }
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;

 private:
  struct sigaction old_int_;
  struct sigaction old_term_;
  struct sigaction old_pipe_;
};

Result<FeedPlan> make_plan(const LoadgenOptions& options) {
  const auto in_range = [](double rate) { return rate >= 0 && rate <= kRateMax; };
  if (!in_range(options.rate) || !in_range(options.event_rate)) {
    return fail(ErrorCode::invalid, "a rate must be from 0 (as fast as possible) to 1e9 events/s");
  }
  if (options.duration < 0) return fail(ErrorCode::invalid, "the duration is negative");
  if (options.start && *options.start < 0) {
    return fail(ErrorCode::invalid, "the start time is before 1970");
  }
  if (options.batch == 0 || options.batch > kBatchMax) {
    return fail(ErrorCode::invalid, fmt::format("a batch must have 1 to {} events", kBatchMax));
  }
  if (options.connections == 0 || options.connections > kConnectionsMax) {
    return fail(ErrorCode::invalid,
                fmt::format("1 to {} connections are possible", kConnectionsMax));
  }
  FeedPlan plan;
  plan.rate = options.rate;
  plan.event_rate = options.event_rate > 0 ? options.event_rate
                    : options.rate > 0     ? options.rate
                                           : kDefaultEventRate;
  plan.events = options.events;
  plan.start = options.start;
  if (options.duration > 0 && options.rate > 0) {
    // A count instead of a stop-watch, so that the same command makes the same events.
    const double seconds = static_cast<double>(options.duration) / kSecond;
    const auto count = static_cast<std::uint64_t>(std::max(1.0, seconds * options.rate));
    plan.events = plan.events == 0 ? count : std::min(plan.events, count);
  } else {
    plan.duration = options.duration;
  }
  return plan;
}

/// The text behind env:NAME or file:PATH, without the newline at its end.
Result<std::string> read_secret(const std::string& reference) {
  if (reference.starts_with("env:")) {
    const char* value = std::getenv(reference.c_str() + 4);
    if (value != nullptr && *value != '\0') return std::string(value);
    return fail(ErrorCode::invalid,
                fmt::format("the environment variable {} is not set", reference.substr(4)));
  }
  if (reference.starts_with("file:")) {
    std::ifstream in(reference.substr(5));
    std::string value((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
    if (!value.empty()) return value;
    return fail(ErrorCode::invalid,
                fmt::format("the file {} is empty or cannot be read", reference.substr(5)));
  }
  return fail(ErrorCode::invalid, "a token is given as env:NAME or file:PATH, never itself");
}

Result<HttpTarget> make_target(const LoadgenOptions& options, const Scenario& scenario) {
  Result<HttpTarget> target = parse_target(options.target, scenario.streams());
  if (!target) return target;
  target->batch = options.batch;
  target->connections = options.connections;
  target->request_keys = options.request_keys;
  if (!options.bearer.empty()) {
    Result<std::string> token = read_secret(options.bearer);
    if (!token) return token.error();
    if (token->find_first_of("\r\n") != std::string::npos) {
      return fail(ErrorCode::invalid, "the token has a line break in it");
    }
    target->token = *token;
  }
  return target;
}

Output output_of(const LoadgenOptions& options) {
  if (!options.file.empty()) return Output::file;
  return options.target.starts_with(kKafkaScheme) ? Output::kafka : Output::http;
}

/// One line on a terminal, rewritten in place.
class Progress {
 public:
  explicit Progress(bool quiet) : shown_(!quiet && ::isatty(STDERR_FILENO) == 1) {}
  void show(const Report& report) {
    if (!shown_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < kProgressEvery) return;
    last_ = now;
    const double seconds = std::max(std::chrono::duration<double>(now - start_).count(), 1e-3);
    fmt::print(stderr, "\r\x1b[K{} events, {:.0f}/s", report.generated_total(),
               static_cast<double>(report.generated_total()) / seconds);
    std::fflush(stderr);
    dirty_ = true;
  }
  void clear() {
    if (dirty_) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  bool shown_;
  bool dirty_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_ = start_;
};

int bad_options(const Error& error) {
  fmt::print(stderr, "streamobs loadgen: {}\n", error.message);
  return error.code == ErrorCode::io ? kExitIo : kExitBadOptions;
}

}  // namespace

int run(const LoadgenOptions& options) {
  ScenarioOptions data;
  data.seed = options.seed;
  data.anomaly_share = options.anomaly_share;
  data.keys = options.keys;
  data.with_truth = !options.truth_file.empty();
  Result<std::unique_ptr<Scenario>> scenario = make_scenario(options.scenario, data);
  if (!scenario) return bad_options(scenario.error());
  const Result<FeedPlan> plan = make_plan(options);
  if (!plan) return bad_options(plan.error());
  const Output output = output_of(options);
  Result<HttpTarget> target = HttpTarget{};
  if (output == Output::http) target = make_target(options, **scenario);
  if (!target) return bad_options(target.error());
  Result<KafkaTarget> topics = KafkaTarget{};
  if (output == Output::kafka) topics = parse_kafka_target(options.target, (*scenario)->streams());
  if (!topics) return bad_options(topics.error());
  std::unique_ptr<TruthFile> truth_file;
  if (data.with_truth) {
    auto created = TruthFile::create(options.truth_file, options.scenario, options.seed);
    if (!created) return bad_options(created.error());
    truth_file = std::move(*created);
  }

  const SignalScope signals;
  Report report;
  report.generated.resize((*scenario)->streams().size());
  Progress progress(options.quiet);
  RunHooks hooks;
  hooks.interrupted = [] { return interrupt_flag != 0; };
  hooks.tick = [&](const Report& so_far) {
    if (truth_file) truth_file->drain(*(*scenario)->truth());
    progress.show(so_far);
  };
  const auto started = std::chrono::steady_clock::now();
  Feed feed(**scenario, *plan, SystemClock().now());
  if (output == Output::http) {
    run_to_http(feed, *target, hooks, report);
  } else if (output == Output::kafka) {
    run_to_kafka(feed, *topics, hooks, report);
  } else {
    run_to_file(feed, options.file, hooks, report);
  }
  report.elapsed = std::chrono::duration_cast<std::chrono::microseconds>(
                       std::chrono::steady_clock::now() - started)
                       .count();
  report.interrupted = interrupt_flag != 0;
  progress.clear();
  if (truth_file) {
    const Result<> written = truth_file->finish(**scenario, report);
    if (!written && report.exit_code == 0) {
      report.exit_code = kExitIo;
      report.error = written.error().message;
    }
  }
  if (!report.error.empty()) fmt::print(stderr, "streamobs loadgen: {}\n", report.error);
  if (!options.quiet) fmt::print(stderr, "{}", report.to_text(output));
  return report.exit_code;
}

}  // namespace streamobs::loadgen
