#include "app/live_client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <memory>
#include <utility>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <simdjson.h>

namespace streamobs::app {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kFirstPause{500};
constexpr milliseconds kLongestPause{10'000};
/// The engine says something every 15 s at the latest.
constexpr seconds kSilenceMax{40};
constexpr std::size_t kHeadBytesMax = 64 << 10;

/// Closes a socket at which nothing has happened for too long. Shared with its own timer's handler.
class Watchdog : public std::enable_shared_from_this<Watchdog> {
 public:
  explicit Watchdog(asio::ip::tcp::socket& socket)
      : socket_(&socket), timer_(socket.get_executor()) {}

  void expect_within(seconds limit) {
    timer_.expires_after(limit);
    timer_.async_wait([self = shared_from_this()](const error_code& cancelled) {
      if (cancelled || self->socket_ == nullptr) return;
      self->expired_ = true;
      error_code ignored;
      self->socket_->close(ignored);
    });
  }
  /// Before the socket goes.
  void release() {
    socket_ = nullptr;
    timer_.cancel();
  }
  bool expired() const { return expired_; }

 private:
  asio::ip::tcp::socket* socket_;
  asio::steady_timer timer_;
  bool expired_ = false;
};

int status_of(std::string_view head) {
  int status = 0;
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (head.starts_with(kVersion)) {
    std::from_chars(head.data() + kVersion.size(), head.data() + head.size(), status);
  }
  return status;
}

/// What a problem (RFC 9457) says.
std::string detail_of(const std::string& body) {
  simdjson::dom::parser parser;
  simdjson::dom::element problem;
  std::string_view detail;
  if (parser.parse(body).get(problem) != simdjson::SUCCESS) return body;
  if (problem["detail"].get(detail) != simdjson::SUCCESS) return body;
  return std::string(detail);
}

}  // namespace

LiveClient::LiveClient(ApiTarget target, std::string path, Listener listener)
    : target_(std::move(target)),
      path_(std::move(path)),
      listener_(std::move(listener)),
      reader_([this](LiveMessage message) {
        last_id_ = message.id;
        listener_.on_message(message);
      }) {}

asio::awaitable<Result<>> LiveClient::run() {
  const auto executor = co_await asio::this_coro::executor;
  milliseconds pause = kFirstPause;
  while (true) {
    const Result<> ended = co_await read_once();
    const bool may_heal = ended.error().code == ErrorCode::unavailable;
    if (!was_open_ || !may_heal) co_return ended;
    if (std::exchange(open_, false)) {
      pause = kFirstPause;
      listener_.on_change(fmt::format("{}; trying again until it is back", ended.error().message));
    }
    asio::steady_timer timer(executor, pause);
    co_await timer.async_wait(asio::use_awaitable);
    pause = std::min(2 * pause, kLongestPause);
  }
}

/// The request, and the head of a good answer; `received` is what came behind it.
asio::awaitable<Result<>> LiveClient::open(asio::ip::tcp::socket& socket, std::string& received) {
  error_code error;
  const auto unreachable = [&] {
    return fail(ErrorCode::unavailable,
                fmt::format("no answer from http://{}: {}. Is the engine running there? --config "
                            "or --target say where it is",
                            target_.authority(), error.message()));
  };
  const auto address = asio::ip::make_address(target_.host, error);
  if (error) co_return unreachable();
  const asio::ip::tcp::endpoint endpoint(address, target_.port);
  co_await socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return unreachable();

  std::string request = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: streamobs\r\nAccept: text/event-stream\r\n"
      "Connection: close\r\n",
      path_, target_.authority());
  if (!target_.token.empty()) request += fmt::format("Authorization: Bearer {}\r\n", target_.token);
  if (!last_id_.empty()) request += fmt::format("Last-Event-ID: {}\r\n", last_id_);
  request += "\r\n";
  const auto bytes = asio::buffer(request);
  co_await asio::async_write(socket, bytes, asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return unreachable();

  auto space = asio::dynamic_buffer(received, kHeadBytesMax);
  const std::size_t head = co_await asio::async_read_until(
      socket, space, "\r\n\r\n", asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return unreachable();
  const int status = status_of(received);
  received.erase(0, head);
  if (status == 200) co_return Result<>();
  std::array<char, 4096> more{};
  while (!error && received.size() < kHeadBytesMax) {
    const auto room = asio::buffer(more);
    const std::size_t count =
        co_await socket.async_read_some(room, asio::redirect_error(asio::use_awaitable, error));
    received.append(more.data(), count);
  }
  const bool may_heal = status == 429 || status >= 500;
  co_return fail(may_heal ? ErrorCode::unavailable : ErrorCode::invalid,
                 fmt::format("http://{} answered with {}: {}", target_.authority(), status,
                             detail_of(received)));
}

/// One connection, from its beginning to its end, which is always an error.
asio::awaitable<Result<>> LiveClient::read_once() {
  const auto executor = co_await asio::this_coro::executor;
  asio::ip::tcp::socket socket(executor);
  const auto watchdog = std::make_shared<Watchdog>(socket);
  watchdog->expect_within(kSilenceMax);
  std::string received;
  Result<> outcome = co_await open(socket, received);
  if (outcome.has_value()) {
    if (was_open_ && !open_) listener_.on_change("the engine is back");
    was_open_ = open_ = true;
    reader_.reset();
    bool sane = reader_.feed(received);
    std::array<char, 64 << 10> bytes;
    error_code error;
    while (sane && !error) {
      watchdog->expect_within(kSilenceMax);
      const auto room = asio::buffer(bytes);
      const std::size_t count =
          co_await socket.async_read_some(room, asio::redirect_error(asio::use_awaitable, error));
      sane = reader_.feed({bytes.data(), count});
    }
    const std::string why = !sane                 ? "it sends what is no live stream"
                            : watchdog->expired() ? "it has been silent for too long"
                                                  : "it has closed the connection";
    outcome = fail(sane ? ErrorCode::unavailable : ErrorCode::internal,
                   fmt::format("the engine at http://{} has gone: {}", target_.authority(), why));
  }
  watchdog->release();
  co_return outcome;
}

}  // namespace streamobs::app
