#include "http/late_answer.h"

#include <cerrno>
#include <chrono>
#include <poll.h>
#include <string>
#include <string_view>
#include <sys/socket.h>

#include "http/response_text.h"

namespace streamobs::http {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience(2'000);

/// Whether the socket is ready for `events` before the deadline.
bool ready(int socket, short events, steady_clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - steady_clock::now());
  pollfd wanted{socket, events, 0};
  return left.count() > 0 && ::poll(&wanted, 1, static_cast<int>(left.count())) == 1;
}

}  // namespace

void LateAnswer::send(const Response& response, Timestamp now) {
  const std::lock_guard lock(mutex_);
  const OwnedDescriptor client = std::move(client_);
  if (client.get() < 0) return;
  std::string out;
  append_head(out, response, true, now);
  out += "Connection: close\r\n\r\n";
  out += body_of(response);
  const auto deadline = steady_clock::now() + kPatience;
  std::string_view rest = out;
  while (!rest.empty()) {
    const ssize_t sent =
        ::send(client.get(), rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
    const bool full = sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    if (sent <= 0 && (!full || !ready(client.get(), POLLOUT, deadline))) return;
  }
  // Closing with unread bytes would reset the connection, and the client might lose the answer.
  ::shutdown(client.get(), SHUT_WR);
  char unread[512];
  while (ready(client.get(), POLLIN, deadline) &&
         ::recv(client.get(), unread, sizeof unread, MSG_DONTWAIT) > 0) {
  }
}

}  // namespace streamobs::http
