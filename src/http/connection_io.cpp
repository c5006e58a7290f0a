// The bytes of a connection: bodies in, answers out, streams.
#include <algorithm>
#include <cstring>
#include <utility>

#include <boost/asio/error.hpp>

#include "http/chunked.h"
#include "http/connection.h"
#include "http/gzip.h"
#include "http/response_text.h"

namespace streamobs::http {

namespace {

/// Bodies up to this size are copied behind the head, so that one plain send suffices.
constexpr std::size_t kCopyBytesMax = 16 << 10;
/// What the kernel may hold for a reader of live events before it counts as slow.
constexpr int kLiveSendBufferBytes = 128 << 10;
/// A message goes in pieces of this size, each with its own deadline: slow is who takes none.
constexpr std::size_t kMessagePieceBytes = 64 << 10;

}  // namespace

// ---------------------------------------------------------------------------------------------
// Body.

bool Connection::take_buffered_body() {
  const std::size_t length = request_.head.content_length;
  if (end_ - begin_ < length) return false;
  const std::string_view bytes = unread().substr(0, length);
  begin_ += length;
  if (!body_share_.resize(length)) {
    refuse_body();
    return true;
  }
  request_.body = context_.pool.take();
  request_.body->append(bytes);
  return true;
}

/// There is no room for another body. Where this one has been read whole, the connection is in
/// order and may go on.
void Connection::refuse_body() {
  body_share_.release();
  request_.body.reset();
  response_ = problem(429,
                      "the bodies of all requests together take all_bodies_bytes_max; send it "
                      "again after Retry-After seconds");
  response_->headers.emplace_back("Retry-After", "1");
  context_.metrics.rejected("all_bodies");
}

asio::awaitable<void> Connection::read_sized_body() {
  if (request_.head.expect_continue && begin_ == end_) {
    const bool sent = co_await send_text("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return;
  }
  const std::size_t length = request_.head.content_length;
  std::shared_ptr<BlockBuffer> body = context_.pool.take();
  body->resize(length);
  std::size_t have = end_ - begin_;
  if (have != 0) std::memcpy(body->data(), buffer_.get() + begin_, have);
  begin_ = end_;
  window_bytes_ = 0;
  enter(Phase::body, context_.options.header_timeout);
  error_code error;
  while (true) {
    // What has come counts, not what was announced: announcing costs nothing.
    if (!body_share_.resize(have)) {
      refuse_body();
      unread_body_ = have < length;
      close_ = close_ || unread_body_;
      expired_ = false;
      co_return;
    }
    if (have == length) break;
    const auto space = asio::buffer(body->data() + have, length - have);
    const std::size_t count =
        co_await socket_.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
    have += count;
    window_bytes_ += count;
    if (error || expired_) break;
  }
  if (have == length) {
    expired_ = false;
    request_.body = std::move(body);
  } else if (expired_) {
    const Refusal refusal{408, "the body came slower than body_rate_min"};
    refuse(refusal, "body_timeout");
  } else if (error == asio::error::eof) {
    const Refusal refusal{400, "the request ends within its body"};
    refuse(refusal, "bad_request");
  }
}

asio::awaitable<void> Connection::read_chunked_body() {
  if (request_.head.expect_continue && begin_ == end_) {
    const bool sent = co_await send_text("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return;
  }
  std::shared_ptr<BlockBuffer> body = context_.pool.take();
  ChunkedDecoder decoder(*body, context_.options.body_bytes_max);
  const std::size_t start = begin_;  // Before it stands the head, which must not move.
  window_bytes_ = 0;
  enter(Phase::body, context_.options.header_timeout);
  error_code error;
  while (true) {
    std::size_t eaten = 0;
    const auto refusal = decoder.feed(unread(), eaten);
    begin_ += eaten;
    if (refusal) {
      refuse(*refusal, refusal->status == 413 ? "body_too_large" : "bad_request");
      co_return;
    }
    if (!body_share_.resize(body->size())) {
      refuse_body();
      close_ = unread_body_ = true;
      co_return;
    }
    if (decoder.done()) break;
    std::memmove(buffer_.get() + start, buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_ - start;
    begin_ = start;
    if (end_ == buffer_size_) {
      const Refusal too_long{400, "a chunk's header or the trailer is too long"};
      refuse(too_long, "bad_request");
      co_return;
    }
    const auto space = asio::buffer(buffer_.get() + end_, buffer_size_ - end_);
    const std::size_t count =
        co_await socket_.async_read_some(space, asio::redirect_error(asio::use_awaitable, error));
    end_ += count;
    window_bytes_ += count;
    if (expired_) {
      const Refusal slow{408, "the body came slower than body_rate_min"};
      refuse(slow, "body_timeout");
      co_return;
    }
    if (error == asio::error::eof) {
      const Refusal cut{400, "the request ends within its body"};
      refuse(cut, "bad_request");
    }
    if (error) co_return;
  }
  request_.body = std::move(body);
}

void Connection::finish_body() {
  context_.metrics.body_bytes().add(request_.body->size());
  const std::string_view coding = request_.head.find("content-encoding").value_or("identity");
  if (equals_ignoring_case(coding, "identity")) return;
  std::shared_ptr<BlockBuffer> inflated = context_.pool.take();
  if (const auto refusal =
          inflate_gzip(request_.body->view(), context_.options.inflated_bytes_max, *inflated)) {
    // The body has been read whole: the connection is in order and may go on.
    response_ = problem(refusal->status, refusal->detail);
    context_.metrics.rejected(refusal->status == 413 ? "inflated_too_large" : "bad_gzip");
    return;
  }
  // Each lane inflates one at a time, so that no more than that is held unasked.
  const std::size_t size = inflated->size();
  request_.body = std::move(inflated);
  if (!body_share_.resize(size)) refuse_body();
}

// ---------------------------------------------------------------------------------------------
// Answer.

void Connection::serialise(Response& response) {
  if (context_.draining.load(std::memory_order_relaxed)) close_ = true;
  const std::string_view body = body_of(response);
  const bool for_pages = route_ == nullptr || !route_->flags.ingest;
  out_.clear();
  append_head(out_, response, for_pages, context_.clock.now());
  if (close_) {
    out_ += "Connection: close\r\n";
  } else if (!request_.head.http_1_1) {
    out_ += "Connection: keep-alive\r\n";
  }
  out_ += "\r\n";
  pending_[1] = {};
  if (has_content(response) && request_.head.method != "HEAD") {
    if (body.size() <= kCopyBytesMax) {
      out_ += body;
    } else {
      pending_[1] = asio::buffer(body.data(), body.size());
    }
  }
  pending_[0] = asio::buffer(out_);
}

bool Connection::send_now() {
  error_code error;
  while (asio::buffer_size(pending_) != 0) {
    const std::size_t count = socket_.write_some(pending_, error);
    if (error) return false;
    const std::size_t of_first = std::min(count, pending_[0].size());
    pending_[0] += of_first;
    pending_[1] += count - of_first;
  }
  return true;
}

asio::awaitable<bool> Connection::send_rest() {
  const Phase before = phase_;
  enter(Phase::writing, ServerContext::kWriteTimeout);
  error_code error;
  while (asio::buffer_size(pending_) != 0) {
    const std::size_t count = co_await socket_.async_write_some(
        pending_, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return false;
    const std::size_t of_first = std::min(count, pending_[0].size());
    pending_[0] += of_first;
    pending_[1] += count - of_first;
    enter(Phase::writing, ServerContext::kWriteTimeout);
  }
  enter(before, 0);
  co_return true;
}

asio::awaitable<bool> Connection::send_text(std::string_view text) {
  pending_[0] = asio::buffer(text.data(), text.size());
  pending_[1] = {};
  if (send_now()) co_return true;
  const bool sent = co_await send_rest();
  co_return sent;
}

asio::awaitable<bool> Connection::start_stream(std::string content_type) {
  streaming_ = true;
  close_ = true;
  error_code ignored;
  socket_.set_option(asio::socket_base::send_buffer_size(kLiveSendBufferBytes), ignored);
  out_.clear();
  append_status_line(out_, 200, context_.clock.now());
  out_ += "Content-Type: ";
  out_ += content_type;
  out_ += "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
  out_ += kPageHeaders;
  // The answer ends when the connection does. Proxies must not collect it first.
  out_ += "X-Accel-Buffering: no\r\nConnection: close\r\n\r\n";
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
  context_.metrics.answered(route_, 200, took.count());
  const bool sent = co_await send_text(out_);
  phase_ = Phase::live;
  const bool stopping = context_.live_over.load(std::memory_order_relaxed);
  co_return !stopping && request_.head.method != "HEAD" && sent;
}

asio::awaitable<bool> Connection::write_stream(std::string bytes) {
  if (context_.live_over.load(std::memory_order_relaxed) || !socket_.is_open()) co_return false;
  const bool sent = co_await send_text(bytes);
  phase_ = Phase::live;
  co_return sent;
}

asio::awaitable<bool> Connection::start_web_socket(std::function<void()> on_end) {
  streaming_ = true;
  close_ = true;
  error_code ignored;
  socket_.set_option(asio::socket_base::send_buffer_size(kLiveSendBufferBytes), ignored);
  web_socket_ = std::make_unique<WebSocket>(socket_, context_.options.keep_alive_timeout);
  enter(Phase::writing, ServerContext::kWriteTimeout);
  const bool accepted = co_await web_socket_->accept(request_.head, std::move(on_end));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
  if (accepted) context_.metrics.answered(route_, 101, took.count());
  enter(Phase::live, 0);
  co_return accepted && !context_.live_over.load(std::memory_order_relaxed);
}

asio::awaitable<bool> Connection::send_message(std::string text) {
  if (context_.live_over.load(std::memory_order_relaxed)) co_return false;
  std::string_view rest = text;
  bool sent = true;
  do {
    const std::string_view piece = rest.substr(0, kMessagePieceBytes);
    rest.remove_prefix(piece.size());
    enter(Phase::writing, ServerContext::kWriteTimeout);
    sent = co_await web_socket_->send(piece, rest.empty());
  } while (sent && !rest.empty());
  enter(Phase::live, 0);
  co_return sent;
}

asio::awaitable<void> Connection::close_web_socket(std::uint16_t code, std::string reason) {
  enter(Phase::lingering, ServerContext::kLingerTimeout);
  co_await web_socket_->close(code, std::move(reason));
  if (web_socket_->message_too_big()) context_.metrics.rejected("web_socket_message");
  if (web_socket_->timed_out()) context_.metrics.rejected("web_socket_silent");
  web_socket_.reset();
}

}  // namespace streamobs::http
