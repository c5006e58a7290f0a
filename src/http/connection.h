// One connection: reads requests, has them answered, one after the other, until either side closes.
//
// Private to src/http. Made by the accept loop, lives in its own coroutine run() and belongs to the
// strand it was given; deadline() and the posted calls are all that other threads may touch. It is
// its own Exchange: one request at a time, the memory reused from one to the next.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "http/exchange.h"
#include "http/server.h"
#include "http/server_context.h"
#include "http/web_socket.h"

namespace streamobs::http {

class Connection final : public Exchange, public std::enable_shared_from_this<Connection> {
 public:
  /// `refused`: over the limit of connections; the first request is answered with 503.
  /// `unread`: what another server had received of it.
  Connection(ServerContext& context, asio::ip::tcp::socket socket, Home home, bool refused,
             std::string_view unread = {});

  /// Serves until the connection closes.
  asio::awaitable<void> run();

  /// The tick from which expire() should be posted to executor(). Any thread.
  std::uint64_t deadline() const { return deadline_.load(std::memory_order_relaxed); }
  /// On the strand: the deadline may have passed; cut off what is too slow.
  void expire();
  /// On the strand: the server takes no more requests; close what is idle.
  void drain();
  /// On the strand: close what is live.
  void end_live();
  /// On the strand: another server follows. Goes to it now, or as soon as it has been answered.
  void move_on();
  /// On the strand: close whatever goes on, or only what is not live.
  void abort(bool live_too);

  std::shared_ptr<LateAnswer> answer_later() override;
  asio::awaitable<bool> start_stream(std::string content_type) override;
  asio::awaitable<bool> write_stream(std::string bytes) override;
  bool asks_for_web_socket() const override { return web_socket_asked_; }
  asio::awaitable<bool> start_web_socket(std::function<void()> on_end) override;
  asio::awaitable<bool> send_message(std::string text) override;
  asio::awaitable<void> close_web_socket(std::uint16_t code, std::string reason) override;

 private:
  enum class Phase { idle, head, body, handling, writing, live, lingering, closed };
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

  void enter(Phase phase, Duration timeout);
  void configure_socket();
  bool moves_on() const;
  void close();

  // Head.
  HeadScanner::State scan_head();
  bool skip_empty_lines();
  void make_room();
  void parse_request();
  bool check_request(const Route& route);
  bool check_live();
  void refuse(const Refusal& refusal, std::string_view reason);
  void end_of_head_reading(const error_code& error);

  // Body.
  bool take_buffered_body();
  asio::awaitable<void> read_sized_body();
  asio::awaitable<void> read_chunked_body();
  void finish_body();
  void refuse_body();

  // Answer.
  asio::awaitable<void> call_handler();
  void serialise(Response& response);
  bool send_now();
  asio::awaitable<bool> send_rest();
  asio::awaitable<bool> send_text(std::string_view text);
  void release_live();
  void forget_request();
  asio::awaitable<void> linger();

  std::string_view unread() const { return {buffer_.get() + begin_, end_ - begin_}; }

  ServerContext& context_;
  asio::ip::tcp::socket socket_;
  const bool refused_;
  Phase phase_ = Phase::idle;
  std::atomic<std::uint64_t> deadline_{kNever};
  bool expired_ = false;

  // Bytes received: those of the current request from begin_ on; none before head_end_ moves while
  // the request is being answered, for it is looked into.
  const std::size_t buffer_size_;
  std::unique_ptr<char[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  HeadScanner scanner_;
  int empty_lines_ = 0;

  // The current request.
  const Route* route_ = nullptr;
  std::chrono::steady_clock::time_point started_;
  bool close_ = false;        ///< The answer is the last one.
  bool unread_body_ = false;  ///< The client may still be sending when we close.
  bool live_counted_ = false;
  bool streaming_ = false;
  bool answered_later_ = false;
  bool web_socket_asked_ = false;
  std::unique_ptr<WebSocket> web_socket_;  ///< Null: the connection is none.
  std::uint64_t window_bytes_ = 0;         ///< Of the body, since the deadline was set.
  BodyShare body_share_;                   ///< Of the memory that all bodies may take.

  // The answer on its way out: what is left of the head (and small bodies), then of a large body.
  std::string out_;
  std::array<asio::const_buffer, 2> pending_{};
};

}  // namespace streamobs::http
