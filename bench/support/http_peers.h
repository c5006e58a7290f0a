// The servers that ours is compared with: one that does the least HTTP can do with small requests
// (Beast, coroutines, string_body, a constant JSON answer), and one that does the least with large
// bodies (reads the head and throws the body away).
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <pthread.h>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "flow/asio.h"

namespace streamobs::bench {

namespace beast_http = boost::beast::http;
using Tcp = asio::ip::tcp;

constexpr std::string_view kAnswer = R"({"accepted": 1, "rejected": 0, "errors": []})";

/// A server on a thread of its own.
struct Running {
  asio::io_context io{1};
  std::uint16_t port = 0;
  std::thread thread;
  clockid_t cpu_clock{};
  std::function<void()> stop;

  void start() {
    thread = std::thread([this] { io.run(); });
    pthread_getcpuclockid(thread.native_handle(), &cpu_clock);
  }
  ~Running() {
    if (stop) stop();
    io.stop();
    thread.join();
  }
};

inline asio::awaitable<void> beast_session(Tcp::socket socket) {
  socket.set_option(Tcp::no_delay(true));
  boost::beast::flat_buffer buffer;
  error_code error;
  while (true) {
    beast_http::request<beast_http::string_body> request;
    co_await beast_http::async_read(socket, buffer, request,
                                    asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    beast_http::response<beast_http::string_body> response(beast_http::status::ok, 11);
    response.set(beast_http::field::content_type, "application/json");
    response.keep_alive(request.keep_alive());
    response.body() = kAnswer;
    response.prepare_payload();
    co_await beast_http::async_write(socket, response,
                                     asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
  }
}

/// Reads the head and throws the body away; the body is read into the same memory again and again.
inline asio::awaitable<void> drain_session(Tcp::socket socket) {
  socket.set_option(Tcp::no_delay(true));
  std::vector<char> bytes(2 << 20);
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  error_code error;
  std::size_t have = 0;
  while (true) {
    std::size_t head = 0;
    while (head == 0) {
      const void* end = have == 0 ? nullptr : memmem(bytes.data(), have, "\r\n\r\n", 4);
      if (end != nullptr) {
        head = static_cast<std::size_t>(static_cast<const char*>(end) - bytes.data()) + 4;
        break;
      }
      have +=
          co_await socket.async_read_some(asio::buffer(bytes.data() + have, bytes.size() - have),
                                          asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
    }
    const void* field = memmem(bytes.data(), head, "Content-Length: ", 16);
    const std::size_t length = std::strtoul(static_cast<const char*>(field) + 16, nullptr, 10);
    while (have < head + length) {
      have +=
          co_await socket.async_read_some(asio::buffer(bytes.data() + have, bytes.size() - have),
                                          asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
    }
    have = 0;
    co_await asio::async_write(socket, asio::buffer(answer),
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
  }
}

using Session = asio::awaitable<void> (*)(Tcp::socket);

inline asio::awaitable<void> accept_loop(Tcp::acceptor& acceptor, Session session) {
  while (true) {
    Tcp::socket socket(acceptor.get_executor());
    error_code error;
    co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    asio::co_spawn(acceptor.get_executor(), session(std::move(socket)), [](std::exception_ptr) {});
  }
}

inline std::unique_ptr<Running> start_plain(Session session) {
  auto running = std::make_unique<Running>();
  auto acceptor = std::make_shared<Tcp::acceptor>(
      running->io, Tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  running->port = acceptor->local_endpoint().port();
  asio::co_spawn(running->io, accept_loop(*acceptor, session), [acceptor](std::exception_ptr) {});
  running->start();
  return running;
}

}  // namespace streamobs::bench
