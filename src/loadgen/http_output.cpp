// The HTTP client of the load generator: keep-alive connections, each a coroutine on one thread.
//
// A connection takes the next batch of the feed when it is free, posts it and waits for the answer.
// With one connection batches arrive in order. Everything runs on the calling thread, so the shared
// state of a run needs no lock.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <random>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "loadgen/outputs.h"

namespace streamobs::loadgen {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using std::chrono::microseconds;
using std::chrono::steady_clock;

/// At low rates a batch goes out this long after its first event was due, full or not.
constexpr Duration kLinger = 250 * kMillisecond;
constexpr Duration kNapMax = 100 * kMillisecond;
constexpr auto kRequestTimeout = std::chrono::seconds(30);
constexpr auto kTickEvery = std::chrono::milliseconds(200);
constexpr std::size_t kResponseBytesMax = 1 << 20;
constexpr int kReconnectsMax = 8;  ///< In a row; 0.1 s, 0.2 s, … between them.
constexpr int kTryLatersMax = 60;  ///< Answers of 429 or 5xx to one request.
constexpr Duration kRetryAfterMax = 30 * kSecond;
constexpr int kExitBadOptions = 78;
constexpr int kExitTryAgain = 75;

/// Shared by the connections of one run.
struct Run {
  Feed& feed;
  const HttpTarget& target;
  const RunHooks& hooks;
  Report& report;
  asio::ip::tcp::resolver::results_type addresses;
  SystemClock clock;
  std::size_t workers = 0;
  bool ever_connected = false;
  bool finished = false;  ///< The feed's remainder has been taken.
  bool stopped = false;
  std::string key_prefix = {};  ///< Of this run's Idempotency-Keys, unlike any other run's.
  std::uint64_t keys = 0;

  /// A request's Idempotency-Key, the same each time it is sent; empty: none.
  std::string next_key() {
    return target.request_keys ? fmt::format("{}-{}", key_prefix, ++keys) : std::string();
  }
  bool should_stop() const { return stopped || hooks.interrupted(); }
  void give_up(int exit_code, std::string error) {
    stopped = true;
    if (report.exit_code != 0) return;
    report.exit_code = exit_code;
    report.error = std::move(error);
  }
};

enum class Posted { done, retry_later, broken, refused };

struct Answer {
  Posted outcome = Posted::broken;
  Duration retry_after = kSecond;
};

std::optional<std::uint64_t> number_after(std::string_view text, std::string_view key) {
  std::size_t at = text.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  at = text.find_first_not_of(" :", at + key.size());
  if (at == std::string_view::npos) return std::nullopt;
  std::uint64_t value = 0;
  const auto parsed = std::from_chars(text.data() + at, text.data() + text.size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

/// The first `max` lines of `text`, and how many they are.
std::pair<std::string_view, std::uint64_t> first_lines(std::string_view text, std::uint64_t max) {
  std::size_t end = 0;
  std::uint64_t count = 0;
  while (count < max && end < text.size()) {
    const std::size_t newline = text.find('\n', end);
    end = newline == std::string_view::npos ? text.size() : newline + 1;
    ++count;
  }
  return {text.substr(0, end), count};
}

asio::awaitable<void> nap_until(Run& run, Timestamp wall) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  while (!run.should_stop()) {
    const Duration left = wall - run.clock.now();
    if (left <= 0) break;
    timer.expires_after(microseconds(std::min(left, kNapMax)));
    error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

/// One keep-alive connection and the batch in its hands.
class Connection {
 public:
  Connection(Run& run, asio::any_io_executor executor)
      : run_(run), executor_(std::move(executor)) {}

  asio::awaitable<void> work() {
    while (!run_.should_stop() && !run_.finished) {
      if (!run_.feed.done(run_.clock.now())) {
        const Timestamp full = run_.feed.due(run_.target.batch - 1);
        const Timestamp send_at = std::min(full, run_.feed.due() + kLinger);
        co_await nap_until(run_, send_at);
        if (run_.should_stop() || run_.finished) break;
      }
      take_batch();
      for (std::size_t i = 0; i < lines_.size(); ++i) co_await post_all(i);
    }
    if (connected_) {
      error_code ignored;
      stream_->socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    }
    --run_.workers;
  }

 private:
  void take_batch() {
    for (Lines& lines : lines_) {
      lines.text.clear();
      lines.events = 0;
    }
    const Timestamp now = run_.clock.now();
    if (run_.feed.done(now)) {
      lines_.resize(run_.feed.scenario().streams().size());
      run_.feed.finish(lines_);
      run_.finished = true;
    } else {
      run_.feed.generate(run_.target.batch, now, lines_);
    }
    count_lines(run_.report, lines_);
  }

  asio::awaitable<void> post_all(std::size_t stream) {
    std::string_view rest = lines_[stream].text;
    std::uint64_t left = lines_[stream].events;
    while (!rest.empty() && !run_.should_stop()) {
      const auto [body, events] = first_lines(rest, run_.target.batch);
      const bool delivered = co_await deliver(stream, body, events);
      if (!delivered) break;
      rest.remove_prefix(body.size());
      left -= events;
    }
    run_.report.undelivered += left;
  }

  /// Tries until the server has answered for good, or the run gives up.
  asio::awaitable<bool> deliver(std::size_t stream, std::string_view body, std::uint64_t events) {
    const std::string key = run_.next_key();
    int broken = 0;
    int try_later = 0;
    while (true) {
      bool connected = connected_;
      if (!connected) connected = co_await connect();
      Answer answer;
      if (connected) answer = co_await post(stream, body, key);
      if (answer.outcome == Posted::done) co_return true;
      if (answer.outcome == Posted::refused) co_return false;
      ++run_.report.retries;
      if (answer.outcome == Posted::retry_later) {
        if (++try_later > kTryLatersMax) {
          run_.give_up(kExitTryAgain, "the server stayed overloaded; try again with a lower rate");
          co_return false;
        }
      } else {
        if (connected) run_.report.resent += events;
        if (!run_.ever_connected || ++broken > kReconnectsMax) {
          run_.give_up(kExitTryAgain, fmt::format("cannot reach {}:{}: {}", run_.target.host,
                                                  run_.target.port, last_error_.message()));
          co_return false;
        }
        answer.retry_after = (100 * kMillisecond) << std::min(broken - 1, 5);
      }
      co_await nap_until(run_, run_.clock.now() + answer.retry_after);
      if (run_.should_stop()) co_return false;
    }
  }

  asio::awaitable<bool> connect() {
    stream_.emplace(executor_);
    buffer_.clear();
    stream_->expires_after(kRequestTimeout);
    co_await stream_->async_connect(run_.addresses,
                                    asio::redirect_error(asio::use_awaitable, last_error_));
    if (last_error_) co_return false;
    error_code ignored;
    stream_->socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    connected_ = true;
    run_.ever_connected = true;
    co_return true;
  }

  /// `key` must live until it has ended.
  asio::awaitable<Answer> post(std::size_t stream, std::string_view body, const std::string& key) {
    http::request<http::span_body<const char>> request(http::verb::post, run_.target.paths[stream],
                                                       11);
    request.set(http::field::host, fmt::format("{}:{}", run_.target.host, run_.target.port));
    request.set(http::field::user_agent, "streamobs-loadgen");
    request.set(http::field::content_type, "application/x-ndjson");
    if (!run_.target.token.empty()) {
      request.set(http::field::authorization, "Bearer " + run_.target.token);
    }
    if (!key.empty()) request.set("Idempotency-Key", key);
    request.body() = beast::span<const char>(body.data(), body.size());
    request.prepare_payload();
    http::response_parser<http::string_body> parser;
    parser.body_limit(kResponseBytesMax);

    const auto sent_at = steady_clock::now();
    stream_->expires_after(kRequestTimeout);
    co_await http::async_write(*stream_, request,
                               asio::redirect_error(asio::use_awaitable, last_error_));
    if (!last_error_) {
      co_await http::async_read(*stream_, buffer_, parser,
                                asio::redirect_error(asio::use_awaitable, last_error_));
    }
    if (last_error_) {
      connected_ = false;
      co_return Answer();
    }
    ++run_.report.requests;
    run_.report.latency.record(
        std::chrono::duration_cast<microseconds>(steady_clock::now() - sent_at).count());
    if (!parser.get().keep_alive()) connected_ = false;
    co_return judge(parser.get(), stream);
  }

  Answer judge(const http::response<http::string_body>& response, std::size_t stream) {
    Answer answer;
    const unsigned status = response.result_int();
    if (status == 200 || status == 400) {
      const auto accepted = number_after(response.body(), "\"accepted\"");
      const auto rejected = number_after(response.body(), "\"rejected\"");
      if (accepted && rejected) {
        run_.report.accepted += *accepted;
        run_.report.rejected += *rejected;
        answer.outcome = Posted::done;
        return answer;
      }
    }
    if (status == 429 || status >= 500) {
      const std::string_view after = response[http::field::retry_after];
      std::uint64_t seconds = 1;
      std::from_chars(after.data(), after.data() + after.size(), seconds);
      answer.outcome = Posted::retry_later;
      answer.retry_after = static_cast<Duration>(std::min<std::uint64_t>(seconds, 3'600)) * kSecond;
      answer.retry_after = std::min(answer.retry_after, kRetryAfterMax);
      return answer;
    }
    answer.outcome = Posted::refused;
    run_.give_up(kExitBadOptions,
                 fmt::format("POST {} was answered with {}: {}", run_.target.paths[stream], status,
                             response.body().substr(0, 500)));
    return answer;
  }

  Run& run_;
  asio::any_io_executor executor_;
  std::optional<beast::tcp_stream> stream_;
  beast::flat_buffer buffer_;
  std::vector<Lines> lines_;
  bool connected_ = false;
  error_code last_error_;
};

asio::awaitable<void> tick(Run& run) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  while (run.workers != 0) {
    run.hooks.tick(run.report);
    timer.expires_after(kTickEvery);
    error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace

Result<HttpTarget> parse_target(const std::string& url, std::span<const StreamInfo> streams) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorCode::invalid, fmt::format("target \"{}\": {}", url, why));
  };
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return bad("must be http://HOST:PORT; https is not supported");
  std::string_view rest = std::string_view(url).substr(kScheme.size());
  const std::size_t slash = rest.find('/');
  const std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash);
  std::string_view authority = rest.substr(0, slash);
  HttpTarget target;
  const std::size_t bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == std::string_view::npos) return bad("the address has no closing bracket");
  const std::size_t colon = authority.find(':', bracket);
  std::string_view host = authority.substr(0, colon);
  if (bracket != 0) host = authority.substr(1, bracket - 1);
  target.host = host;
  if (target.host.empty()) return bad("there is no host in it");
  if (colon != std::string_view::npos) target.port = authority.substr(colon + 1);
  unsigned port = 0;
  const char* port_end = target.port.data() + target.port.size();
  const auto parsed = std::from_chars(target.port.data(), port_end, port);
  if (parsed.ec != std::errc() || parsed.ptr != port_end || port == 0 || port > 65'535) {
    return bad("the port must be a number from 1 to 65535");
  }
  if (url.find_first_of(" \r\n\t?#@") != std::string::npos) {
    return bad("only http://HOST:PORT and a plain path are supported");
  }
  const bool own_path = path.size() > 1;
  if (own_path && streams.size() != 1) {
    return bad("this scenario has several streams, each with its own path: leave the path out");
  }
  for (const StreamInfo& stream : streams) {
    target.paths.push_back(own_path ? std::string(path) : stream.path);
  }
  return target;
}

void run_to_http(Feed& feed, const HttpTarget& target, const RunHooks& hooks, Report& report) {
  asio::io_context context(1);
  Run run{feed, target, hooks, report, {}, {}};
  std::random_device random;
  run.key_prefix = fmt::format("loadgen-{:08x}{:08x}", random(), random());
  report.keyed = target.request_keys;
  error_code error;
  asio::ip::tcp::resolver resolver(context);
  run.addresses = resolver.resolve(target.host, target.port, error);
  if (error) {
    run.give_up(kExitTryAgain, fmt::format("cannot find {}: {}", target.host, error.message()));
    return;
  }
  std::vector<std::unique_ptr<Connection>> connections;
  const auto rethrow = [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  };
  run.workers = target.connections;
  for (std::size_t i = 0; i < target.connections; ++i) {
    connections.push_back(std::make_unique<Connection>(run, context.get_executor()));
    asio::co_spawn(context, connections.back()->work(), rethrow);
  }
  asio::co_spawn(context, tick(run), rethrow);
  context.run();
}

}  // namespace streamobs::loadgen
