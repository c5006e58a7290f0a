#include "http/server.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <fmt/format.h>

#include "base/log.h"
#include "http/connection.h"
#include "http/server_context.h"

namespace streamobs::http {

namespace {

using Tcp = asio::ip::tcp;

/// Connections beyond the limit that are still told why; those beyond are closed at once.
constexpr std::size_t kRefusedMax = 64;
constexpr int kBacklog = 1024;

struct Address {
  asio::ip::address ip;
  std::string host;  ///< As text, with brackets where it is IPv6.
  std::uint16_t port = 0;
};

Result<Address> parse_listen(const std::string& text) {
  const auto bad = [&] {
    return fail(ErrorCode::invalid, "[http] listen = \"" + text +
                                        "\" is not ADDRESS:PORT; write for example "
                                        "\"127.0.0.1:8080\" or \"[::1]:8080\"");
  };
  const auto authority = parse_authority(text);
  if (!authority || authority->port.empty()) return bad();
  Address address;
  address.host = std::string(authority->host);
  const std::string_view digits = authority->port;
  const auto [end, problem] =
      std::from_chars(digits.data(), digits.data() + digits.size(), address.port);
  if (problem != std::errc() || end != digits.data() + digits.size()) return bad();
  std::string ip = address.host == "localhost" ? "127.0.0.1" : address.host;
  if (ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  error_code error;
  address.ip = asio::ip::make_address(ip, error);
  if (error) return bad();
  return address;
}

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
  asio::awaitable<void> serve_one(std::shared_ptr<Connection> connection);
  void start(Tcp::socket socket, Home home);
  template <class Call>
  void post_to_all(Call call);

  const asio::any_io_executor executor;
  telemetry::Registry& registry;
  ServerContext context;
  std::function<Home()> next_home;
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

void Server::Impl::start(Tcp::socket socket, Home home) {
  const std::size_t others = open.load();
  const std::size_t most = context.options.connections_max;
  if (others >= most + kRefusedMax) {
    context.metrics.rejected("connections_max");
    return;  // The socket closes here.
  }
  context.metrics.connections_total().add();
  auto connection = std::make_shared<Connection>(context, std::move(socket), home, others >= most);
  open.fetch_add(1);
  {
    const std::lock_guard lock(mutex);
    connections.insert(connection.get());
  }
  tasks.spawn(home.executor, "http connection", serve_one(std::move(connection)));
}

asio::awaitable<void> Server::Impl::accept_loop() {
  while (!stopping.load()) {
    Home home = next_home();
    Tcp::socket socket(home.executor);
    error_code error;
    co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (stopping.load()) break;
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
  const HttpOptions& options = impl_->context.options;
  const auto address = parse_listen(options.listen.text);
  if (!address) return address.error();
  if (!address->ip.is_loopback() && (options.token.empty() || !options.insecure)) {
    return fail(ErrorCode::invalid,
                "[http] listen = \"" + options.listen.text +
                    "\" can be reached from other machines: set [http] token, and insecure = true "
                    "to say that plain HTTP is meant (or listen on 127.0.0.1)");
  }
  const Tcp::endpoint endpoint(address->ip, address->port);
  Tcp::acceptor& acceptor = impl_->acceptor;
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
  if (error) {
    const char* hint = "choose another [http] listen";
    if (error == asio::error::address_in_use) {
      hint =
          "another process listens there: stop it, or choose another [http] listen "
          "(port 0 picks a free one)";
    }
    error_code ignored;
    acceptor.close(ignored);
    return fail(ErrorCode::unavailable, fmt::format("cannot listen on {}: {}; {}",
                                                    options.listen.text, error.message(), hint));
  }
  impl_->context.guard.emplace(options, address->host, address->ip.is_unspecified());
  return Endpoint{address->host, acceptor.local_endpoint().port()};
}

asio::awaitable<void> Server::serve() {
  impl_->tasks.spawn(impl_->executor, "http sweep", impl_->sweep());
  // The caller's strand may be another one; the acceptor is touched on the server's alone.
  co_await asio::co_spawn(impl_->executor, impl_->accept_loop(), asio::use_awaitable);
}

void Server::stop_accepting() {
  impl_->stopping.store(true);
  asio::post(impl_->executor, [this] {
    error_code ignored;
    impl_->acceptor.close(ignored);
  });
}

asio::awaitable<void> Server::drain(Duration deadline) {
  // Behind the close that stop_accepting() posted: who sees a connection end finds nobody listening.
  co_await asio::post(impl_->executor, asio::use_awaitable);
  impl_->context.draining.store(true);
  impl_->post_to_all([](Connection& connection) { connection.drain(); });
  constexpr Duration kStep = 10 * kMillisecond;
  for (Duration waited = 0; waited < deadline && connections() != 0; waited += kStep) {
    co_await impl_->pause(kStep);
  }
  impl_->post_to_all([](Connection& connection) { connection.abort(); });
  impl_->swept.store(true);
  asio::post(impl_->executor, [this] { impl_->timer.cancel(); });
  co_await impl_->tasks.join();
}

std::size_t Server::connections() const {
  return impl_->open.load();
}

}  // namespace streamobs::http
