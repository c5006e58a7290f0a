#include "http/connection.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

#include "base/log.h"
#include "http/late_answer.h"
#include "http/listener.h"
#include "http/upgrade.h"

namespace streamobs::http {

namespace {

constexpr std::size_t kReadBytes = 32 << 10;
constexpr int kEmptyLinesMax = 4;
constexpr std::uint16_t kGoingAway = 1001;

}  // namespace

Connection::Connection(ServerContext& context, asio::ip::tcp::socket socket, Home home,
                       bool refused, std::string_view unread)
    : Exchange(home.executor),
      context_(context),
      socket_(std::move(socket)),
      refused_(refused),
      // Half of it must hold a head, the other half a chunk header or a trailer.
      buffer_size_(std::max({kReadBytes, 4 * context.options.header_bytes_max, 2 * unread.size()})),
      buffer_(std::make_unique_for_overwrite<char[]>(buffer_size_)),
      body_share_(context.bodies) {
  request_.lane = home.lane;
  end_ = unread.copy(buffer_.get(), unread.size());
  deadline_.store(context_.deadline_in(context_.options.header_timeout), std::memory_order_relaxed);
}

void Connection::enter(Phase phase, Duration timeout) {
  phase_ = phase;
  deadline_.store(timeout == 0 ? kNever : context_.deadline_in(timeout), std::memory_order_relaxed);
}

void Connection::configure_socket() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  const auto peer = socket_.remote_endpoint(ignored);
  if (!ignored) request_.remote = peer.address().to_string();
}

void Connection::close() {
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
  socket_.close(ignored);
  phase_ = Phase::closed;
  deadline_.store(kNever, std::memory_order_relaxed);
}

void Connection::expire() {
  const std::uint64_t now = context_.tick.load(std::memory_order_relaxed);
  if (now < deadline_.load(std::memory_order_relaxed) || phase_ == Phase::closed) return;
  error_code ignored;
  switch (phase_) {
    case Phase::handling:
    case Phase::live:
    case Phase::closed:
      return;
    case Phase::body: {
      const auto seconds = static_cast<double>(context_.options.header_timeout) / kSecond;
      const auto least = static_cast<double>(context_.options.body_rate_min) * seconds;
      if (static_cast<double>(window_bytes_) >= least) {
        window_bytes_ = 0;
        enter(Phase::body, context_.options.header_timeout);
        return;
      }
      expired_ = true;
      socket_.cancel(ignored);
      return;
    }
    case Phase::idle:
    case Phase::head:
      expired_ = true;
      socket_.cancel(ignored);
      return;
    case Phase::writing:
      context_.metrics.rejected("slow_reader");
      [[fallthrough]];
    case Phase::lingering:
      socket_.close(ignored);
      return;
  }
}

void Connection::drain() {
  error_code ignored;
  if (phase_ == Phase::idle) socket_.close(ignored);
}

void Connection::end_live() {
  error_code ignored;
  if (web_socket_ != nullptr) {
    web_socket_->tell_end();  // The handler ends, and run() says that we go.
  } else if (streaming_) {
    socket_.close(ignored);
  }
}

void Connection::move_on() {
  error_code ignored;
  if (phase_ == Phase::idle || phase_ == Phase::head) socket_.cancel(ignored);
}

/// Between two requests only: what has been begun is answered here.
bool Connection::moves_on() const {
  return context_.heir.load(std::memory_order_acquire) != nullptr && !response_ && !expired_ &&
         !refused_ && socket_.is_open();
}

void Connection::abort(bool live_too) {
  error_code ignored;
  if (live_too || !live_counted_) socket_.close(ignored);
}

// ---------------------------------------------------------------------------------------------
// The life of a connection.

asio::awaitable<void> Connection::run() {
  configure_socket();
  while (true) {
    HeadScanner::State state = scan_head();
    error_code error;
    while (state == HeadScanner::State::incomplete && !response_ && !moves_on()) {
      make_room();
      if (begin_ == end_ && context_.draining.load(std::memory_order_relaxed)) {
        error = asio::error::operation_aborted;
        break;
      }
      const auto space = asio::buffer(buffer_.get() + end_, buffer_size_ - end_);
      const std::size_t count =
          co_await socket_.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
      if (error || expired_) break;
      if (phase_ == Phase::idle) enter(Phase::head, context_.options.header_timeout);
      end_ += count;
      state = scan_head();
    }
    if (moves_on() && (!error || error == asio::error::operation_aborted)) {
      OwnedDescriptor client(socket_.release(error));
      context_.heir.load()->park({std::move(client), std::string(unread())});
      break;
    }
    if (state == HeadScanner::State::broken) {
      const Refusal refusal{400, "not a request of HTTP/1.1: lines must end with CR LF"};
      refuse(refusal, "bad_request");
    } else if (state == HeadScanner::State::incomplete && !response_) {
      end_of_head_reading(error);
      if (!response_) break;
    }
    phase_ = Phase::handling;
    started_ = std::chrono::steady_clock::now();
    if (!response_) parse_request();

    if (!response_ && request_.head.has_body()) {
      if (request_.head.chunked) {
        co_await read_chunked_body();
      } else if (!take_buffered_body()) {
        co_await read_sized_body();
      }
      phase_ = Phase::handling;
      if (!socket_.is_open()) break;
      if (!response_ && request_.body) finish_body();
      if (!response_ && !request_.body) break;  // The client has gone.
    }
    if (!response_) {
      co_await call_handler();
      if (streaming_ || answered_later_) break;
    }

    serialise(*response_);
    const int status = response_->status;
    bool sent = send_now();
    if (!sent) sent = co_await send_rest();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
    context_.metrics.answered(route_, status, took.count());
    if (!sent || close_) break;
    forget_request();
  }
  request_.body.reset();
  body_share_.release();
  if (web_socket_ != nullptr) {
    std::string reason = "the engine is stopping";
    co_await close_web_socket(kGoingAway, std::move(reason));
  }
  if (unread_body_ && socket_.is_open()) co_await linger();
  release_live();
  close();
}

asio::awaitable<void> Connection::call_handler() {
  bool failed = false;
  try {
    co_await route_->handler(*this);
  } catch (const std::exception& e) {
    failed = true;
    log::error("a request's handler failed; this is a bug",
               {{"route", route_->pattern}, {"error", e.what()}});
  }
  if (!streaming_ && !answered_later_ && (failed || !response_)) {
    response_ = problem(500, "this is our fault; the log has the details");
  }
}

std::shared_ptr<LateAnswer> Connection::answer_later() {
  answered_later_ = true;
  error_code ignored;
  return std::make_shared<LateAnswer>(OwnedDescriptor(socket_.release(ignored)));
}

void Connection::release_live() {
  if (std::exchange(live_counted_, false)) context_.live.fetch_sub(1, std::memory_order_relaxed);
}

void Connection::forget_request() {
  release_live();
  scanner_.reset();
  empty_lines_ = 0;
  request_.body.reset();
  body_share_.release();
  response_.reset();
  route_ = nullptr;
  web_socket_asked_ = false;
  request_.head.clear();
  enter(Phase::idle, context_.options.keep_alive_timeout);
}

asio::awaitable<void> Connection::linger() {
  // Closing with unread bytes resets the connection, and the client would lose our answer.
  error_code error;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
  enter(Phase::lingering, ServerContext::kLingerTimeout);
  const auto space = asio::buffer(buffer_.get(), buffer_size_);
  while (!error) {
    co_await socket_.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
    // A sender that never pauses is let go at the deadline all the same.
  }
}

// ---------------------------------------------------------------------------------------------
// Head.

bool Connection::skip_empty_lines() {
  // Old clients send an empty line after a body; RFC 9112 asks servers to overlook it.
  while (end_ - begin_ >= 2 && buffer_[begin_] == '\r' && buffer_[begin_ + 1] == '\n') {
    if (++empty_lines_ > kEmptyLinesMax) return false;
    begin_ += 2;
  }
  return true;
}

HeadScanner::State Connection::scan_head() {
  if (!skip_empty_lines()) return HeadScanner::State::broken;
  const std::string_view bytes = unread();
  if (bytes.empty() || bytes == "\r") return HeadScanner::State::incomplete;
  const HeadScanner::State state = scanner_.scan(bytes);
  const std::size_t length =
      state == HeadScanner::State::complete ? scanner_.length() : bytes.size();
  if (length > context_.options.header_bytes_max && state != HeadScanner::State::broken) {
    const Refusal refusal{431, "the request's head is longer than header_bytes_max allows"};
    refuse(refusal, "header_too_large");
  }
  return state;
}

void Connection::make_room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
  } else if (begin_ > buffer_size_ / 2) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
}

void Connection::end_of_head_reading(const error_code& error) {
  const bool nothing_came = begin_ == end_;
  if (expired_ && !nothing_came) {
    const Refusal refusal{408, "the request's head took longer than header_timeout"};
    refuse(refusal, "header_timeout");
  } else if (error == asio::error::eof && !nothing_came) {
    const Refusal refusal{400, "the request ends within its head"};
    refuse(refusal, "bad_request");
  }
}

void Connection::refuse(const Refusal& refusal, std::string_view reason) {
  response_ = problem(refusal.status, refusal.detail);
  close_ = true;
  unread_body_ = true;
  context_.metrics.rejected(reason);
}

void Connection::parse_request() {
  const std::string_view bytes = unread().substr(0, scanner_.length());
  begin_ += bytes.size();
  request_.received_at = context_.clock.now();
  Head& head = request_.head;
  if (const auto refusal = parse_head(bytes, head)) {
    refuse(*refusal, "bad_request");
    return;
  }
  close_ = !head.keep_alive || context_.draining.load(std::memory_order_relaxed);
  if (refused_) {
    const Refusal refusal{503, "too many connections; try again later"};
    refuse(refusal, "connections_max");
    response_->headers.emplace_back("Retry-After", "1");
    return;
  }
  if (const auto refusal = context_.guard->check_host(head.host)) {
    refuse(*refusal, "host");
    return;
  }
  if (const auto refusal = parse_target(head.target, head.host, request_.target)) {
    refuse(*refusal, "bad_request");
    return;
  }
  Router::Match match =
      context_.router.match(head.method, request_.target.segments, request_.parameters);
  route_ = match.route;
  const bool open = route_ != nullptr && route_->flags.open;
  if (!open && !context_.guard->check_token(head)) {
    const Refusal refusal{401, "send the token of [http] token as Authorization: Bearer TOKEN"};
    refuse(refusal, "token");
    response_->headers.emplace_back("WWW-Authenticate", "Bearer realm=\"streamobs\"");
    return;
  }
  const bool plain_read =
      (head.method == "GET" || head.method == "HEAD") && (route_ == nullptr || !route_->flags.live);
  if (!plain_read) {
    if (const auto refusal = context_.guard->check_origin(head)) {
      refuse(*refusal, "origin");
      return;
    }
  }
  if (route_ != nullptr) {
    check_request(*route_);
    return;
  }
  response_ =
      match.allow.empty()
          ? problem(404, "there is nothing at this address; docs/api.md lists what there is")
          : problem(405, "this address takes " + match.allow);
  if (!match.allow.empty()) response_->headers.emplace_back("Allow", std::move(match.allow));
  if (head.has_body()) close_ = unread_body_ = true;
}

bool Connection::check_live() {
  if (wants_web_socket(request_.head)) {
    if (const auto refusal = check_handshake(request_.head)) {
      refuse(*refusal, "web_socket_handshake");
      if (refusal->status == 426) {
        response_->headers.emplace_back("Upgrade", "websocket");
        response_->headers.emplace_back("Sec-WebSocket-Version", "13");
      }
      return false;
    }
    // The RFC has clients wait for our answer; one that does not is no client of this protocol.
    if (begin_ != end_) {
      const Refusal refusal{400, "frames came before the WebSocket's handshake was answered"};
      refuse(refusal, "web_socket_handshake");
      return false;
    }
    web_socket_asked_ = true;
  }
  if (context_.live.fetch_add(1, std::memory_order_relaxed) >=
      context_.options.live_connections_max) {
    context_.live.fetch_sub(1, std::memory_order_relaxed);
    const Refusal refusal{503, "as many live readers as live_connections_max allows"};
    refuse(refusal, "live_connections_max");
    response_->headers.emplace_back("Retry-After", "5");
    return false;
  }
  live_counted_ = true;
  return true;
}

bool Connection::check_request(const Route& route) {
  const Head& head = request_.head;
  if (route.flags.live && !check_live()) return false;
  if (!route.flags.ingest) {
    if (!head.has_body()) return true;
    const Refusal refusal{400, "this address takes no body"};
    refuse(refusal, "unexpected_body");
    return false;
  }
  const std::string_view type = head.find("content-type").value_or("");
  const std::size_t semicolon = std::min(type.find(';'), type.size());
  std::string_view essence = type.substr(0, semicolon);
  while (!essence.empty() && (essence.back() == ' ' || essence.back() == '\t')) {
    essence.remove_suffix(1);
  }
  constexpr std::array<std::string_view, 4> kTypes = {"application/json", "application/x-ndjson",
                                                      "application/ndjson", "application/jsonl"};
  const bool lines = route.flags.plain_text && equals_ignoring_case(essence, "text/plain");
  const bool known = lines || std::any_of(kTypes.begin(), kTypes.end(), [&](std::string_view t) {
                       return equals_ignoring_case(essence, t);
                     });
  const std::string_view coding = head.find("content-encoding").value_or("identity");
  const bool plain = equals_ignoring_case(coding, "identity");
  const bool gzip = equals_ignoring_case(coding, "gzip") || equals_ignoring_case(coding, "x-gzip");
  if (!known || (!plain && !gzip)) {
    const Refusal refusal{415,
                          known ? "Content-Encoding: only gzip and identity are taken"
                          : route.flags.plain_text
                              ? "Content-Type must be application/json or application/x-ndjson, or "
                                "text/plain for lines"
                              : "Content-Type must be application/json or application/x-ndjson"};
    refuse(refusal, "content_type");
    return false;
  }
  if (head.content_length > context_.options.body_bytes_max) {
    refuse(too_large("is longer", context_.options.body_bytes_max, "body_bytes_max"),
           "body_too_large");
    return false;
  }
  return true;
}

}  // namespace streamobs::http
