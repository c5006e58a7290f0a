#include "source/source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "source/sources.h"

namespace streamobs::source {
namespace {
/// A stop is noticed after this long at the latest.
constexpr Duration kNapMax = 50 * kMillisecond;
}  // namespace

std::string_view to_text(State state) {
  switch (state) {
    case State::starting:
      return "starting";
    case State::running:
      return "running";
    case State::waiting:
      return "waiting";
    case State::ended:
      return "ended";
    case State::failed:
      return "failed";
  }
  return "failed";
}

asio::awaitable<bool> Source::push(Block block) {
  const std::uint64_t bytes = block.bytes->size();
  block.stream_id = setup_.stream_id;
  block.origin.source_id = setup_.source_id;
  block.origin.number = ++numbers_[block.origin.partition];
  block.origin.received_at = runtime_.clock.now();
  progress_.state = State::running;
  const bool taken = co_await runtime_.sink.push(std::move(block));
  if (!taken) co_return false;
  progress_.blocks.fetch_add(1, std::memory_order_relaxed);
  progress_.bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (runtime_.on_progress) runtime_.on_progress(progress_);
  co_return true;
}

asio::awaitable<void> Source::pause(Duration duration) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  while (duration > 0 && !stopping()) {
    const Duration nap = std::min(duration, kNapMax);
    timer.expires_after(std::chrono::microseconds(nap));
    error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    duration -= nap;
  }
}

Result<> Source::ended() {
  progress_.state = State::ended;
  return {};
}

Result<> Source::failed(const Error& error) {
  progress_.state = State::failed;
  progress_.troubles.tell(error.message, "", runtime_.clock.now());
  return error;
}

Result<std::unique_ptr<Source>> make_source(SourceSetup setup, SourceRuntime runtime) {
  switch (setup.options.type) {
    case Type::file:
      return make_file_source(std::move(setup), std::move(runtime));
    case Type::standard_input:
      return make_stdin_source(std::move(setup), std::move(runtime));
    case Type::demo:
      return make_demo_source(std::move(setup), std::move(runtime));
    case Type::kafka:
      return make_kafka_source(std::move(setup), std::move(runtime));
  }
  return fail(ErrorCode::internal, "a source of an unknown type");
}

}  // namespace streamobs::source
