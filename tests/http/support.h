// What the tests over real sockets share: bodies in their codings, handlers that wait or stream.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <zlib.h>

#include "http/server.h"
#include "support/catch.h"
#include "support/http_fixture.h"

namespace streamobs::http::test {

using std::chrono::milliseconds;
using streamobs::test::get;
using streamobs::test::HttpClient;
using streamobs::test::HttpResponse;
using streamobs::test::post;
using streamobs::test::TestServer;
using streamobs::test::wait_until;

inline const std::string kGzipFields =
    "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
inline const std::string kChunkedHead =
    "POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";

/// One gzip member.
inline std::string gzip(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

/// One chunk of a chunked body.
inline std::string chunk(std::string_view text) {
  char size[20];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + std::string(text) + "\r\n";
}

inline int status_of(const std::optional<HttpResponse>& response) {
  return response ? response->status : 0;
}

/// What goes on in the handlers below.
struct Handling {
  std::atomic<int> waiting{0};
  std::atomic<bool> release{false};
  std::atomic<int> live_ended{0};
};

/// Answers "done" once it is let go.
inline asio::awaitable<void> wait_for_release(Handling& handling, Exchange& exchange) {
  asio::steady_timer timer(exchange.executor());
  ++handling.waiting;
  while (!handling.release) {
    timer.expires_after(milliseconds(2));
    co_await timer.async_wait(asio::use_awaitable);
  }
  Response response;
  response.body = "done";
  exchange.respond(std::move(response));
}

/// Sends `text` again and again, with a pause in between where there is one, until it is cut off.
inline asio::awaitable<void> stream_without_end(Handling& handling, Exchange& exchange,
                                                std::string text, milliseconds pause) {
  std::string type = "text/event-stream";
  bool open = co_await exchange.start_stream(std::move(type));
  asio::steady_timer timer(exchange.executor());
  while (open) {
    std::string bytes = text;
    open = co_await exchange.write_stream(std::move(bytes));
    if (pause == milliseconds(0)) continue;
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
  }
  ++handling.live_ended;
}

}  // namespace streamobs::http::test
