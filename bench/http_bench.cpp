// What our HTTP server costs, against the least that HTTP can cost on this machine, in the same
// run.
//
// Small: one event of 124 bytes a request, keep-alive, 16 connections, one epoll client for all.
// The peer is an empty Beast server (coroutines, string_body, a constant JSON answer). What is
// compared is requests per second of wall time and requests per CPU-second of the server's thread.
// Large: bodies of 1 MiB over 2 connections. The limit is "drain": a server that reads the head and
// throws the body away, with the same reads. With a port that costs something, the limit is
// 1 / (drain + what the port costs when called in the same process with the same bodies).
//
// Every server runs on one thread of its own; variants alternate within each round; the ratio is
// the median over the rounds. Build: Release.
//
//   bench_http [rounds] [small requests a round] [large bodies a round]
#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <future>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include "base/clock.h"
#include "http/server.h"
#include "source/http_ingest.h"

namespace {

using namespace streamobs;  // NOLINT: a program of its own.
namespace beast_http = boost::beast::http;
using Tcp = asio::ip::tcp;

constexpr std::string_view kAnswer = R"({"accepted": 1, "rejected": 0, "errors": []})";

double seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// ---------------------------------------------------------------------------------------------
// Servers, each on a thread of its own.

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

asio::awaitable<void> beast_session(Tcp::socket socket) {
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
asio::awaitable<void> drain_session(Tcp::socket socket) {
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

asio::awaitable<void> accept_loop(Tcp::acceptor& acceptor, Session session) {
  while (true) {
    Tcp::socket socket(acceptor.get_executor());
    error_code error;
    co_await acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    asio::co_spawn(acceptor.get_executor(), session(std::move(socket)), [](std::exception_ptr) {});
  }
}

std::unique_ptr<Running> start_plain(Session session) {
  auto running = std::make_unique<Running>();
  auto acceptor = std::make_shared<Tcp::acceptor>(
      running->io, Tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  running->port = acceptor->local_endpoint().port();
  asio::co_spawn(running->io, accept_loop(*acceptor, session), [acceptor](std::exception_ptr) {});
  running->start();
  return running;
}

struct Ours {
  Ours(source::IngestPort& port, Running& running) {
    source::StreamRoute route;
    route.stream = "requests";
    add_ingest_routes(router, {route}, port);
    const asio::any_io_executor lane = asio::make_strand(running.io);
    http::HttpOptions options;
    options.listen = SourceText("127.0.0.1:0");
    server = std::make_unique<http::Server>(
        asio::make_strand(running.io), options, router, registry, clock,
        [lane] { return http::Home{lane, 0}; }, nullptr);
    const auto endpoint = server->listen();
    if (!endpoint) {
      std::fprintf(stderr, "%s\n", endpoint.error().message.c_str());
      std::exit(74);
    }
    running.port = endpoint->port;
    tasks.spawn(asio::make_strand(running.io), "serve", server->serve());
  }
  http::Router router;
  telemetry::Registry registry;
  SystemClock clock;
  flow::TaskGroup tasks{nullptr};
  std::unique_ptr<http::Server> server;
};

/// The server by itself: takes every body at once.
class NullPort final : public source::IngestPort {
 public:
  asio::awaitable<source::IngestOutcome> submit(std::size_t, Block) override {
    source::IngestOutcome outcome;
    outcome.accepted = 1;
    co_return outcome;
  }
};

// ---------------------------------------------------------------------------------------------
// Clients.

int connect_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
  return fd;
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) std::abort();
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

std::string request_of(std::string_view body) {
  return "POST /v1/events/requests HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"
         "Content-Type: application/x-ndjson\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

/// One request and the length of its answer, which is the same for all that follow.
std::size_t probe(int fd, std::string_view request) {
  send_all(fd, request);
  char answer[4096];
  const ssize_t count = ::recv(fd, answer, sizeof answer, 0);
  if (count < 12 || std::memcmp(answer, "HTTP/1.1 200", 12) != 0) {
    std::fprintf(stderr, "unexpected answer: %.*s\n", static_cast<int>(count), answer);
    std::abort();
  }
  return static_cast<std::size_t>(count);
}

/// `requests` requests over 16 connections, one outstanding on each.
void run_small(std::uint16_t port, std::size_t requests) {
  constexpr int kConnections = 16;
  const std::string request = request_of(
      R"({"event_time":"2024-01-09T12:34:56.789Z","service":"checkout","endpoint":"/api/v1/cart/ad",)"
      R"("latency_ms":123,"status_code":200})");
  const int poll = epoll_create1(0);
  std::array<int, kConnections> fds{};
  std::size_t answer_bytes = 0;
  for (int& fd : fds) {
    fd = connect_to(port);
    answer_bytes = probe(fd, request);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
  }
  std::size_t sent = 0;
  for (const int fd : fds) {
    send_all(fd, request);
    ++sent;
  }
  char answer[8192];
  std::array<epoll_event, kConnections> events{};
  for (std::size_t done = 0; done < sent;) {
    const int count = epoll_wait(poll, events.data(), kConnections, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      const ssize_t got = ::recv(fd, answer, sizeof answer, 0);
      if (got != static_cast<ssize_t>(answer_bytes)) std::abort();
      ++done;
      if (sent >= requests) continue;
      send_all(fd, request);
      ++sent;
    }
  }
  for (const int fd : fds) ::close(fd);
  ::close(poll);
}

std::string large_body() {
  std::string body;
  const std::string line =
      R"({"event_time":"2024-01-09T12:34:56.789Z","service":"checkout","endpoint":"/api/v1/cart/ad",)"
      R"("latency_ms":123,"status_code":200})"
      "\n";
  while (body.size() + line.size() <= 1 << 20) body += line;
  return body;
}

void run_large(std::uint16_t port, std::size_t bodies) {
  const std::string request = request_of(large_body());
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      const int fd = connect_to(port);
      for (std::size_t k = 0; k < bodies / 2; ++k) probe(fd, request);
      ::close(fd);
    });
  }
  for (std::thread& client : clients) client.join();
}

/// CPU seconds of one body given to the port in this process: what HTTP comes on top of.
double port_cost(source::IngestPort& port, std::size_t bodies) {
  asio::io_context io(1);
  const auto bytes = std::make_shared<BlockBuffer>();
  bytes->append(large_body());
  const double before = seconds(CLOCK_PROCESS_CPUTIME_ID);
  for (std::size_t i = 0; i < bodies; ++i) {
    Block block;
    block.bytes = bytes;
    asio::co_spawn(io, port.submit(0, std::move(block)), [](std::exception_ptr, auto&&) {});
    io.run();
    io.restart();
  }
  return (seconds(CLOCK_PROCESS_CPUTIME_ID) - before) / static_cast<double>(bodies);
}

struct Measured {
  double wall = 0;
  double cpu = 0;
};

Measured measure(const Running& server, const std::function<void()>& work) {
  const double wall = seconds(CLOCK_MONOTONIC);
  const double cpu = seconds(server.cpu_clock);
  work();
  return {seconds(CLOCK_MONOTONIC) - wall, seconds(server.cpu_clock) - cpu};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Everything, with the ingest behind `port`.
void run(source::IngestPort& port, int rounds, std::size_t small, std::size_t large) {
  const auto beast = start_plain(beast_session);
  const auto drain = start_plain(drain_session);
  auto running = std::make_unique<Running>();
  Ours ours(port, *running);
  running->start();

  std::vector<double> wall_ratio;
  std::vector<double> cpu_ratio;
  std::vector<double> our_us;
  std::vector<double> beast_us;
  std::vector<double> our_rate;
  std::vector<double> large_ratio;
  std::vector<double> large_wall;
  std::vector<double> drain_us;
  std::vector<double> large_us;
  const auto count = static_cast<double>(small);
  const auto bodies = static_cast<double>(large);
  run_small(running->port, small / 4);
  run_small(beast->port, small / 4);
  for (int round = 0; round < rounds; ++round) {
    const Measured b = measure(*beast, [&] { run_small(beast->port, small); });
    const Measured o = measure(*running, [&] { run_small(running->port, small); });
    wall_ratio.push_back(b.wall / o.wall);
    cpu_ratio.push_back(b.cpu / o.cpu);
    our_us.push_back(o.cpu / count * 1e6);
    beast_us.push_back(b.cpu / count * 1e6);
    our_rate.push_back(count / o.wall);
    const Measured d = measure(*drain, [&] { run_large(drain->port, large); });
    const Measured l = measure(*running, [&] { run_large(running->port, large); });
    const double inside = port_cost(port, large);
    large_ratio.push_back((d.cpu / bodies + inside) / (l.cpu / bodies));
    large_wall.push_back(d.wall / l.wall);
    drain_us.push_back(d.cpu / bodies * 1e6);
    large_us.push_back(l.cpu / bodies * 1e6);
  }
  std::printf("one event a request, %zu requests a round, %d rounds (medians)\n", small, rounds);
  std::printf("  empty Beast      %8.2f us CPU a request\n", median(beast_us));
  std::printf("  streamobs        %8.2f us CPU a request, %.0f requests/s\n", median(our_us),
              median(our_rate));
  std::printf(
      "  requests/s against Beast %.2f, requests per CPU-second %.2f (floor 0.5, aim 0.8)\n",
      median(wall_ratio), median(cpu_ratio));
  std::printf("1 MiB bodies, %zu a round\n", large);
  std::printf("  drain            %8.1f us CPU a body\n", median(drain_us));
  std::printf("  streamobs        %8.1f us CPU a body\n", median(large_us));
  std::printf(
      "  against 1 / (drain + port) %.2f by CPU, against drain %.2f by wall (floor 0.6, aim "
      "0.85)\n",
      median(large_ratio), median(large_wall));
  const auto stop = [&ours, &running] {
    ours.server->stop_accepting();
    std::promise<void> ended;
    asio::co_spawn(running->io, ours.server->drain(kSecond),
                   [&ended](std::exception_ptr) { ended.set_value(); });
    ended.get_future().wait();
  };
  stop();
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 7;
  const auto small = static_cast<std::size_t>(argc > 2 ? std::atol(argv[2]) : 40'000);
  const auto large = static_cast<std::size_t>(argc > 3 ? std::atol(argv[3]) : 400);
  // The whole engine can be measured by giving its port here.
  NullPort port;
  run(port, rounds, small, large);
}
