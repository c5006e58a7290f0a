// A small blocking HTTP client for tests: raw bytes out, parsed answers in, every wait bounded.
//
// Written against POSIX sockets and on purpose not against the code under test. One thread each.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace streamobs::test {

struct HttpResponse {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< Names in lower case.
  std::string body;
  std::string header(const std::string& name) const {
    const auto at = headers.find(name);
    return at == headers.end() ? std::string() : at->second;
  }
};

class HttpClient {
 public:
  using Milliseconds = std::chrono::milliseconds;

  explicit HttpClient(std::uint16_t port, int receive_buffer_bytes = 0) {
    fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
    if (fd_ < 0) throw std::runtime_error("socket failed");
    if (receive_buffer_bytes != 0) {
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
    }
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(fd_);
      throw std::runtime_error("connect failed");
    }
  }
  ~HttpClient() { close(); }
  HttpClient(HttpClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), received_(std::move(other.received_)) {}
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void finish_sending() { ::shutdown(fd_, SHUT_WR); }

  /// False: the other side does not take it.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  /// One answer by its Content-Length, or with the head only for `head_only`; nothing when the
  /// connection ends or the time is over before it is complete.
  std::optional<HttpResponse> receive(bool head_only = false,
                                      Milliseconds timeout = Milliseconds(10'000)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::size_t end = 0;
    while ((end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill(deadline)) return std::nullopt;
    }
    HttpResponse response = parse(received_.substr(0, end));
    received_.erase(0, end + 4);
    if (head_only || response.status == 304 || response.status == 204) return response;
    const std::size_t length = std::strtoul(response.header("content-length").c_str(), nullptr, 10);
    while (received_.size() < length) {
      if (!fill(deadline)) return std::nullopt;
    }
    response.body = received_.substr(0, length);
    received_.erase(0, length);
    return response;
  }
  std::optional<HttpResponse> ask(std::string_view request) {
    if (!send(request)) return std::nullopt;
    return receive();
  }

  /// Everything up to and including `mark`; empty when it does not come in time.
  std::string read_until(std::string_view mark, Milliseconds timeout = Milliseconds(10'000)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    std::size_t at = 0;
    while ((at = received_.find(mark)) == std::string::npos) {
      if (!fill(deadline)) return {};
    }
    std::string out = received_.substr(0, at + mark.size());
    received_.erase(0, at + mark.size());
    return out;
  }

  /// So many bytes; fewer when they do not come in time.
  std::string read_bytes(std::size_t count, Milliseconds timeout = Milliseconds(10'000)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (received_.size() < count && fill(deadline)) {
    }
    std::string out = received_.substr(0, count);
    received_.erase(0, out.size());
    return out;
  }

  /// True when the other side has closed (what it still sent is kept) within the time.
  bool wait_closed(Milliseconds timeout = Milliseconds(10'000)) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (fill(deadline)) {
    }
    return closed_;
  }
  const std::string& received() const { return received_; }

 private:
  bool fill(std::chrono::steady_clock::time_point deadline) {
    const auto left =
        std::chrono::duration_cast<Milliseconds>(deadline - std::chrono::steady_clock::now());
    if (closed_ || left.count() <= 0) return false;
    pollfd wait{fd_, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return false;
    char bytes[64 << 10];
    const ssize_t count = ::recv(fd_, bytes, sizeof bytes, 0);
    if (count <= 0) {
      closed_ = true;
      return false;
    }
    received_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  static HttpResponse parse(const std::string& head) {
    HttpResponse response;
    if (head.rfind("HTTP/1.1 ", 0) == 0) response.status = std::atoi(head.c_str() + 9);
    std::size_t line = head.find("\r\n");
    while (line != std::string::npos) {
      const std::size_t start = line + 2;
      line = head.find("\r\n", start);
      const std::string field = head.substr(start, line - start);
      const std::size_t colon = field.find(':');
      if (colon == std::string::npos) continue;
      std::string name = field.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      const std::size_t value = field.find_first_not_of(' ', colon + 1);
      response.headers[name] = value == std::string::npos ? "" : field.substr(value);
    }
    return response;
  }

  int fd_ = -1;
  bool closed_ = false;
  std::string received_;
};

/// "GET path HTTP/1.1" with a Host, and `fields` ("Name: value\r\n" each).
inline std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) +
         "\r\n";
}

/// A POST of JSON with Content-Length.
inline std::string post(std::string_view path, std::string_view body,
                        std::string_view fields = "Content-Type: application/json\r\n") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

}  // namespace streamobs::test
