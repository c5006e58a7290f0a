// The clients of the HTTP benchmark: the least work that can drive a server, so that what is
// measured is the server. Every answer is checked: 200, and no event refused.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace streamobs::bench {

inline int connect_to(std::uint16_t port) {
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

inline void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) std::abort();
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

inline std::string request_of(std::string_view body) {
  return "POST /v1/events/requests HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n"
         "Content-Type: application/x-ndjson\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

/// Reads one answer and returns its length. What every server here answers comes in one piece.
inline std::size_t read_answer(int fd) {
  char answer[4096];
  const ssize_t count = ::recv(fd, answer, sizeof answer, 0);
  const std::string_view text(answer, count < 0 ? 0 : static_cast<std::size_t>(count));
  const bool good = text.starts_with("HTTP/1.1 200") &&
                    (text.find(R"("rejected": )") == std::string_view::npos ||
                     text.find(R"("rejected": 0,)") != std::string_view::npos);
  if (!good) {
    std::fprintf(stderr, "unexpected answer: %.*s\n", static_cast<int>(count), answer);
    std::abort();
  }
  return text.size();
}

/// Sends `request` `count` times over so many connections, one outstanding on each; one epoll loop.
inline void run_small(std::uint16_t port, std::string_view request, std::size_t count,
                      std::size_t connections) {
  const int poll = epoll_create1(0);
  std::vector<int> fds(connections);
  std::size_t answer_bytes = 0;  // The same for all that follow: comparing it is check enough.
  for (int& fd : fds) {
    fd = connect_to(port);
    send_all(fd, request);
    answer_bytes = read_answer(fd);
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
  std::vector<epoll_event> events(connections);
  for (std::size_t done = 0; done < sent;) {
    const int ready = epoll_wait(poll, events.data(), static_cast<int>(connections), -1);
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      const ssize_t got = ::recv(fd, answer, sizeof answer, 0);
      if (got != static_cast<ssize_t>(answer_bytes)) std::abort();
      ++done;
      if (sent >= count) continue;
      send_all(fd, request);
      ++sent;
    }
  }
  for (const int fd : fds) ::close(fd);
  ::close(poll);
}

/// Sends each of `requests` once, in their order, over two connections, one outstanding on each.
inline void run_large(std::uint16_t port, const std::vector<std::string>& requests) {
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      const int fd = connect_to(port);
      for (std::size_t k = next++; k < requests.size(); k = next++) {
        send_all(fd, requests[k]);
        read_answer(fd);
      }
      ::close(fd);
    });
  }
  for (std::thread& client : clients) client.join();
}

/// What /metrics says at one moment.
class MetricsText {
 public:
  explicit MetricsText(std::string text) : text_(std::move(text)) {}

  /// The value of an unlabelled metric, or the sum over its labels.
  double sum(std::string_view name) const {
    double sum = 0;
    std::string line(1, '\n');
    line += name;
    for (std::size_t at = 0; (at = text_.find(line, at)) != std::string::npos;) {
      at += line.size();
      const std::size_t end = text_.find('\n', at);
      if (text_[at] == ' ' || text_[at] == '{') sum += std::atof(&text_[text_.rfind(' ', end) + 1]);
    }
    return sum;
  }

 private:
  std::string text_;
};

/// Reads /metrics as often as is wanted, over one connection: a new one for each reading would use
/// up the ports.
class MetricsReader {
 public:
  explicit MetricsReader(std::uint16_t port) : fd_(connect_to(port)) {}
  ~MetricsReader() { ::close(fd_); }
  MetricsReader(const MetricsReader&) = delete;
  MetricsReader& operator=(const MetricsReader&) = delete;

  MetricsText read() {
    send_all(fd_, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    std::string answer;
    std::size_t body = std::string::npos;
    std::size_t end = std::string::npos;
    while (answer.size() < end) {
      char bytes[16384];
      const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
      if (got <= 0) std::abort();
      answer.append(bytes, static_cast<std::size_t>(got));
      if (body != std::string::npos) continue;
      if ((body = answer.find("\r\n\r\n")) == std::string::npos) continue;
      constexpr std::string_view kLength = "\r\nContent-Length: ";
      const std::size_t length = answer.find(kLength);
      if (length > body) std::abort();
      end = body + 4 + static_cast<std::size_t>(std::atol(&answer[length + kLength.size()]));
    }
    return MetricsText(answer.substr(body));
  }

 private:
  int fd_;
};

inline double metric(std::uint16_t port, std::string_view name) {
  return MetricsReader(port).read().sum(name);
}

}  // namespace streamobs::bench
