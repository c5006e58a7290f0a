// A server on a free port of loopback, run by two threads with two lanes, as in the engine.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/server.h"
#include "support/catch.h"
#include "support/http_client.h"

namespace streamobs::test {

class TestServer {
 public:
  /// Runs until stop() or destruction. `router` must be complete.
  /// With a listener it accepts there, where other servers were before and may be after.
  explicit TestServer(const http::Router& router, http::HttpOptions options = {},
                      http::Listener* listener = nullptr)
      : work_(io.get_executor()) {
    options.listen = SourceText("127.0.0.1:0");
    for (int i = 0; i < 2; ++i) lanes_.emplace_back(asio::make_strand(io));
    const auto next_home = [this, next = std::size_t{0}]() mutable {
      const std::size_t lane = next++ % lanes_.size();
      return http::Home{lanes_[lane], lane};
    };
    const auto on_failure = [this](const std::string&, std::exception_ptr) { ++failures; };
    server.emplace(asio::make_strand(io), std::move(options), router, registry, clock, next_home,
                   on_failure);
    const auto endpoint = listener != nullptr ? server->listen_at(*listener) : server->listen();
    REQUIRE(endpoint.has_value());
    port = endpoint->port;
    tasks.spawn(asio::make_strand(io), "serve", server->serve());
    for (int i = 0; i < 2; ++i) {
      threads_.emplace_back([this] { io.run(); });
    }
  }
  ~TestServer() {
    stop();
    CHECK(failures == 0);
  }

  /// Any thread, once; Catch2's macros belong to the main thread, so none are in here.
  void stop(Duration deadline = 5 * kSecond) {
    if (threads_.empty()) return;
    if (!handed_over_) server->stop_accepting();
    std::atomic<bool> drained{false};
    asio::co_spawn(asio::make_strand(io), server->drain(deadline),
                   [&drained](std::exception_ptr) { drained = true; });
    while (!drained || tasks.running() != 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  /// The same where another server follows; returns when the clients are at the listener.
  void hand_over(Duration deadline = 5 * kSecond) {
    std::atomic<bool> done{false};
    handed_over_ = true;
    asio::co_spawn(asio::make_strand(io), server->hand_over(deadline),
                   [&done](std::exception_ptr) { done = true; });
    while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  HttpClient connect() const { return HttpClient(port); }

  asio::io_context io;
  SystemClock clock;
  telemetry::Registry registry;
  std::atomic<int> failures{0};
  std::uint16_t port = 0;
  flow::TaskGroup tasks{[this](const std::string&, std::exception_ptr) { ++failures; }};
  std::optional<http::Server> server;

 private:
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  bool handed_over_ = false;
  std::vector<asio::any_io_executor> lanes_;
  std::vector<std::thread> threads_;
};

/// Waits until `done()`; false when it has not come true in time.
inline bool wait_until(const std::function<bool()>& done,
                       std::chrono::milliseconds timeout = std::chrono::milliseconds(10'000)) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace streamobs::test
