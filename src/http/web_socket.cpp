#include "http/web_socket.h"

#include <array>
#include <chrono>
#include <exception>
#include <utility>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/websocket.hpp>

#include "base/log.h"
#include "flow/task_group.h"

namespace streamobs::http {

namespace {

namespace beast = boost::beast;
namespace websocket = boost::beast::websocket;

/// Of Beast's own part in opening and closing; the connection has deadlines besides.
constexpr Duration kHandshakeTimeout = 10 * kSecond;

/// Beast's own shape of a request, for it to look at once more and to answer.
beast::http::request<beast::http::empty_body> to_beast(const Head& head) {
  beast::http::request<beast::http::empty_body> request;
  request.version(11);
  request.method_string({head.method.data(), head.method.size()});
  request.target({head.target.data(), head.target.size()});
  for (const HeaderField& field : head.fields) {
    // What a live reader may offer besides (extensions, subprotocols) is not taken up.
    request.insert({field.name.data(), field.name.size()},
                   {field.value.data(), field.value.size()});
  }
  return request;
}

void report(const std::string& name, std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    log::error("a WebSocket ended with a bug; others are not affected",
               {{"task", name}, {"error", e.what()}});
  }
}

}  // namespace

struct WebSocket::Impl {
  Impl(asio::ip::tcp::socket& socket, Duration silence_max) : stream(socket), reading(report) {
    websocket::stream_base::timeout timeouts{};
    timeouts.handshake_timeout = std::chrono::microseconds(kHandshakeTimeout);
    timeouts.idle_timeout = std::chrono::microseconds(silence_max);
    timeouts.keep_alive_pings = true;
    stream.set_option(timeouts);
    stream.read_message_max(kMessageBytesMax);
    stream.auto_fragment(false);
    stream.text(true);
    // The read of a client's close goes on until its end of the connection is closed, too.
    stream.control_callback([this](websocket::frame_type kind, beast::string_view) {
      if (kind != websocket::frame_type::close) return;
      ended = true;
      tell_end();
    });
  }

  /// Reads until there is no more: pings, pongs and the close are answered by Beast while it reads.
  asio::awaitable<void> read() {
    std::array<char, 1024> ignored{};
    const auto space = asio::buffer(ignored);
    error_code error;
    while (!error) {
      co_await stream.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
    }
    too_big = error == websocket::error::message_too_big;
    timed_out = error == beast::error::timeout;
    ended = true;
    tell_end();
  }
  void tell_end() {
    if (const auto tell = std::exchange(on_end, nullptr)) tell();
  }

  websocket::stream<asio::ip::tcp::socket&, false> stream;
  std::function<void()> on_end;
  bool ended = false;  ///< Nothing that is sent would arrive.
  bool too_big = false;
  bool timed_out = false;
  flow::TaskGroup reading;
};

WebSocket::WebSocket(asio::ip::tcp::socket& socket, Duration silence_max)
    : impl_(std::make_unique<Impl>(socket, silence_max)) {}
WebSocket::~WebSocket() = default;

asio::awaitable<bool> WebSocket::accept(const Head& head, std::function<void()> on_end) {
  const auto request = to_beast(head);
  error_code error;
  co_await impl_->stream.async_accept(request, asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    impl_->ended = true;
    co_return false;
  }
  impl_->on_end = std::move(on_end);
  impl_->reading.spawn(impl_->stream.get_executor(), "web socket", impl_->read());
  co_return true;
}

void WebSocket::tell_end() {
  impl_->tell_end();
}

asio::awaitable<bool> WebSocket::send(std::string_view piece, bool last) {
  if (impl_->ended) co_return false;
  const auto bytes = asio::buffer(piece.data(), piece.size());
  error_code error;
  co_await impl_->stream.async_write_some(last, bytes,
                                          asio::redirect_error(asio::use_awaitable, error));
  co_return !error;
}

asio::awaitable<void> WebSocket::close(std::uint16_t code, std::string reason) {
  impl_->on_end = nullptr;
  if (!impl_->ended) {
    const websocket::close_reason why(websocket::close_code{code},
                                      beast::string_view(reason.data(), reason.size()));
    error_code ignored;
    co_await impl_->stream.async_close(why, asio::redirect_error(asio::use_awaitable, ignored));
  }
  co_await impl_->reading.join();
}

bool WebSocket::message_too_big() const {
  return impl_->too_big;
}

bool WebSocket::timed_out() const {
  return impl_->timed_out;
}

}  // namespace streamobs::http
