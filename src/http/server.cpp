#include "http/server.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/log.h"
#include "http/connection.h"
#include "http/server_context.h"

namespace streamobs::http {

namespace {

using Tcp = asio::ip::tcp;

/// Connections beyond the limit that are still told why; those beyond are closed at once.
constexpr std::size_t kRefusedMax = 64;
}  // namespace

struct Server::Impl {
  Impl(asio::any_io_executor ex, HttpOptions options, const Router& router,
       telemetry::Registry& reg, const Clock& clock, std::function<Home()> home,
       flow::TaskGroup::OnFailure on_failure)
      : executor(std::move(ex)),
        registry(reg),
        context(std::move(options), router, reg, clock),
        next_home(std::move(home)),
        acceptor(executor),
        timer(executor),
        tasks(std::move(on_failure)) {
    // Fine enough for the shortest timeout, coarse enough to cost nothing.
    const Duration shortest =
        std::min(context.options.header_timeout, context.options.keep_alive_timeout);
    context.tick_length = std::clamp<Duration>(shortest / 8, 10 * kMillisecond, 250 * kMillisecond);
    registry.gauge_callback(this, "streamobs_http_connections", "Connections open now.", {},
                            [this] { return static_cast<double>(open.load()); });
    registry.gauge_callback(this, "streamobs_http_live_connections",
                            "Readers of live events connected now.", {},
                            [this] { return static_cast<double>(context.live.load()); });
    registry.gauge_callback(this, "streamobs_http_bodies_held_bytes",
                            "Bytes of request bodies being received or answered now.", {},
                            [this] { return static_cast<double>(context.bodies.held()); });
  }
  ~Impl() { registry.remove_callbacks(this); }

  asio::awaitable<void> accept_loop();
  asio::awaitable<void> sweep();
  asio::awaitable<void> pause(Duration duration);
  asio::awaitable<void> wait_until(std::function<bool()> done, Duration deadline);
  /// `live_too`: also those of live readers.
  asio::awaitable<void> wait_for_connections(Duration deadline, bool live_too);
  asio::awaitable<void> serve_one(std::shared_ptr<Connection> connection);
  void start(Tcp::socket socket, Home home, std::string_view unread = {});
  void take_up_parked();
  void close_acceptor();
  template <class Call>
  void post_to_all(Call call);

  const asio::any_io_executor executor;
  telemetry::Registry& registry;
  ServerContext context;
  std::function<Home()> next_home;
  std::unique_ptr<Listener> own_listener;  ///< Null: it belongs to somebody else.
  Listener* listener = nullptr;
  Tcp::acceptor acceptor;
  asio::steady_timer timer;
  std::atomic<bool> stopping{false};
  std::atomic<bool> swept{false};  ///< The sweep may end.
  std::atomic<std::size_t> open{0};
  std::mutex mutex;
  std::unordered_set<Connection*> connections;  ///< Each is alive while it is in here.
  flow::TaskGroup tasks;
};

template <class Call>
void Server::Impl::post_to_all(Call call) {
  const std::lock_guard lock(mutex);
  for (Connection* connection : connections) {
    asio::post(connection->executor(),
               [self = connection->shared_from_this(), call] { call(*self); });
  }
}

asio::awaitable<void> Server::Impl::pause(Duration duration) {
  asio::steady_timer wait(executor);
  wait.expires_after(std::chrono::microseconds(duration));
  error_code ignored;
  co_await wait.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

asio::awaitable<void> Server::Impl::wait_until(std::function<bool()> done, Duration deadline) {
  constexpr Duration kStep = 10 * kMillisecond;
  for (Duration waited = 0; waited < deadline && !done(); waited += kStep) {
    co_await pause(kStep);
  }
}

/// Until there are none any more.
asio::awaitable<void> Server::Impl::wait_for_connections(Duration deadline, bool live_too) {
  std::function<bool()> gone = [this, live_too] {
    return open.load() <= (live_too ? 0 : context.live.load());
  };
  co_await wait_until(std::move(gone), deadline);
}

asio::awaitable<void> Server::Impl::serve_one(std::shared_ptr<Connection> connection) {
  // Whatever happens in it, the connection leaves the set before it dies.
  std::exception_ptr failure;
  try {
    co_await connection->run();
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex);
    connections.erase(connection.get());
  }
  open.fetch_sub(1);
  if (failure) std::rethrow_exception(failure);
}

void Server::Impl::start(Tcp::socket socket, Home home, std::string_view unread) {
  const std::size_t others = open.load();
  const std::size_t most = context.options.connections_max;
  if (others >= most + kRefusedMax) {
    context.metrics.rejected("connections_max");
    return;  // The socket closes here.
  }
  context.metrics.connections_total().add();
  auto connection =
      std::make_shared<Connection>(context, std::move(socket), home, others >= most, unread);
  open.fetch_add(1);
  {
    const std::lock_guard lock(mutex);
    connections.insert(connection.get());
  }
  tasks.spawn(home.executor, "http connection", serve_one(std::move(connection)));
}

void Server::Impl::close_acceptor() {
  stopping.store(true);
  asio::post(executor, [this] {
    error_code ignored;
    acceptor.close(ignored);
  });
}

/// Those of the server before, which never noticed.
void Server::Impl::take_up_parked() {
  for (ParkedClient& client : listener->take_parked()) {
    const Home home = next_home();
    Tcp::socket socket(home.executor);
    error_code error;
    socket.assign(listener->protocol(), client.socket.get(), error);
    if (error) continue;  // Closed here.
    client.socket.release();
    start(std::move(socket), home, client.unread);
  }
}

asio::awaitable<void> Server::Impl::accept_loop() {
  take_up_parked();
  while (!stopping.load()) {
    Home home = next_home();
    Tcp::socket socket(home.executor);
    error_code error;
    co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (stopping.load()) {
      // It came in the last moment, and another server may follow.
      if (!error) listener->park({OwnedDescriptor(socket.release(error)), ""});
      break;
    }
    if (error) {
      if (error == asio::error::operation_aborted) break;
      log::warn("cannot accept a connection; trying again",
                {{"error", error.message()}, {"hint", "is the limit of open files too low?"}});
      co_await pause(100 * kMillisecond);
      continue;
    }
    start(std::move(socket), home);
  }
}

asio::awaitable<void> Server::Impl::sweep() {
  while (!swept.load()) {
    timer.expires_after(std::chrono::microseconds(context.tick_length));
    error_code ignored;
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const std::uint64_t now = context.tick.fetch_add(1, std::memory_order_relaxed) + 1;
    const std::lock_guard lock(mutex);
    for (Connection* connection : connections) {
      if (connection->deadline() > now) continue;
      asio::post(connection->executor(),
                 [self = connection->shared_from_this()] { self->expire(); });
    }
  }
}

Server::Server(asio::any_io_executor executor, HttpOptions options, const Router& router,
               telemetry::Registry& registry, const Clock& clock, std::function<Home()> next_home,
               flow::TaskGroup::OnFailure on_failure)
    : impl_(std::make_unique<Impl>(std::move(executor), std::move(options), router, registry, clock,
                                   std::move(next_home), std::move(on_failure))) {}
Server::~Server() = default;

Result<Endpoint> Server::listen() {
  Result<std::unique_ptr<Listener>> listener = Listener::open(impl_->context.options);
  if (listener.has_error()) return listener.error();
  impl_->own_listener = std::move(*listener);
  return listen_at(*impl_->own_listener);
}

Result<Endpoint> Server::listen_at(Listener& listener) {
  const HttpOptions& options = impl_->context.options;
  const Result<ListenAddress> address = read_listen_address(options);
  if (address.has_error()) return address.error();
  Result<OwnedDescriptor> socket = listener.copy();
  if (socket.has_error()) return socket.error();
  impl_->acceptor.assign(listener.protocol(), socket->release());
  impl_->listener = &listener;
  impl_->context.guard.emplace(options, address->host,
                               address->endpoint.address().is_unspecified());
  return Endpoint{address->host, listener.port()};
}

asio::awaitable<void> Server::serve() {
  impl_->tasks.spawn(impl_->executor, "http sweep", impl_->sweep());
  // The caller's strand may be another one; the acceptor is touched on the server's alone.
  co_await asio::co_spawn(impl_->executor, impl_->accept_loop(), asio::use_awaitable);
}

void Server::stop_accepting() {
  if (impl_->listener != nullptr) impl_->listener->close();
  impl_->close_acceptor();
}

asio::awaitable<void> Server::hand_over(Duration deadline) {
  impl_->close_acceptor();
  // Behind that: from then on no further connection begins.
  co_await asio::post(impl_->executor, asio::use_awaitable);
  impl_->context.heir.store(impl_->listener, std::memory_order_release);
  impl_->post_to_all([](Connection& connection) { connection.move_on(); });
  co_await impl_->wait_for_connections(deadline, false);
}

asio::awaitable<void> Server::drain_requests(Duration deadline) {
  // Behind the close that stop_accepting() posted: who sees a connection end finds nobody
  // listening.
  co_await asio::post(impl_->executor, asio::use_awaitable);
  impl_->context.draining.store(true);
  impl_->post_to_all([](Connection& connection) { connection.drain(); });
  co_await impl_->wait_for_connections(deadline, false);
  impl_->post_to_all([](Connection& connection) { connection.abort(false); });
  // Their handlers have to come to their end: what they use ends behind this.
  co_await impl_->wait_for_connections(std::numeric_limits<Duration>::max(), false);
}

asio::awaitable<void> Server::await_live_end(Duration deadline) {
  std::function<bool()> gone = [this] { return impl_->context.live.load() == 0; };
  co_await impl_->wait_until(std::move(gone), deadline);
}

asio::awaitable<void> Server::drain(Duration deadline) {
  // As in drain_requests().
  co_await asio::post(impl_->executor, asio::use_awaitable);
  impl_->context.draining.store(true);
  impl_->context.live_over.store(true);
  impl_->post_to_all([](Connection& connection) {
    connection.drain();
    connection.end_live();
  });
  co_await impl_->wait_for_connections(deadline, true);
  impl_->post_to_all([](Connection& connection) { connection.abort(true); });
  impl_->swept.store(true);
  asio::post(impl_->executor, [this] { impl_->timer.cancel(); });
  co_await impl_->tasks.join();
}

std::size_t Server::connections() const {
  return impl_->open.load();
}

}  // namespace streamobs::http
