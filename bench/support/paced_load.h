// Requests at a steady rate, for latencies that hide nothing: each is due at its time whatever
// became of those before it, and its latency runs from when it was due.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <vector>

#include "support/http_load.h"
#include "support/measure.h"

namespace streamobs::bench {

/// Sends `request` `count` times at `rate` a second over so many connections, one outstanding on
/// each; one epoll loop. Gives each request's seconds from due to answered; a request that finds no
/// connection free waits for one, and that counts.
inline std::vector<double> run_paced(std::uint16_t port, std::string_view request, double rate,
                                     std::size_t count, std::size_t connections) {
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // 50 µs otherwise: as much as what is measured.
  struct Connection {
    int fd = -1;
    double due = 0;
  };
  std::vector<Connection> all(connections);
  std::vector<std::size_t> idle;
  std::size_t answer_bytes = 0;  // The same for all that follow: comparing it is check enough.
  const int poll = ::epoll_create1(0);
  for (std::size_t i = 0; i < connections; ++i) {
    all[i].fd = connect_to(port);
    send_all(all[i].fd, request);
    answer_bytes = read_answer(all[i].fd);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
    idle.push_back(i);
  }
  std::vector<double> latencies;
  latencies.reserve(count);
  std::vector<epoll_event> events(connections);
  char answer[8192];
  std::size_t sent = 0;
  const double start = wall_seconds();
  while (latencies.size() < count) {
    double now = wall_seconds();
    const auto due = [&] { return start + static_cast<double>(sent) / rate; };
    while (sent < count && !idle.empty() && due() <= now) {
      Connection& connection = all[idle.back()];
      idle.pop_back();
      connection.due = due();
      send_all(connection.fd, request);
      ++sent;
    }
    timespec until_due{};
    const bool wait_for_due = sent < count && !idle.empty();
    if (wait_for_due) {
      until_due.tv_nsec = static_cast<long>(std::clamp(due() - wall_seconds(), 0.0, 0.5) * 1e9);
    }
    const int ready = ::epoll_pwait2(poll, events.data(), static_cast<int>(connections),
                                     wait_for_due ? &until_due : nullptr, nullptr);
    now = wall_seconds();
    for (int i = 0; i < ready; ++i) {
      const std::size_t which = events[static_cast<std::size_t>(i)].data.u64;
      const ssize_t got = ::recv(all[which].fd, answer, sizeof answer, 0);
      if (got != static_cast<ssize_t>(answer_bytes)) std::abort();
      latencies.push_back(now - all[which].due);
      idle.push_back(which);
    }
  }
  for (const Connection& connection : all) ::close(connection.fd);
  ::close(poll);
  return latencies;
}

}  // namespace streamobs::bench
