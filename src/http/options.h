// [http]: the one port for ingest, API and dashboard, and the limits that keep it safe.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"

namespace streamobs::http {

struct HttpOptions {
  bool enabled = true;
  SourceText listen = SourceText("127.0.0.1:8080");  ///< ADDRESS:PORT; port 0 picks a free one.
  std::string token;                       ///< Already resolved from env: or file:; empty: none.
  bool insecure = false;                   ///< Allows an address other than loopback without TLS.
  std::vector<std::string> allowed_hosts;  ///< Besides the listening address and localhost.
  std::size_t header_bytes_max = 8 << 10;
  Duration header_timeout = 5 * kSecond;
  std::size_t body_bytes_max = 8 << 20;
  std::size_t inflated_bytes_max = 20 << 20;
  /// All bodies together that are being received or answered; beyond it 429.
  std::size_t all_bodies_bytes_max = 256 << 20;
  std::size_t body_rate_min = 1 << 10;  ///< Bytes per second below which an upload is cut off.
  Duration keep_alive_timeout = 60 * kSecond;
  std::size_t connections_max = 1024;
  std::size_t live_connections_max = 64;  ///< Server-sent event streams, out of the above.
};

}  // namespace streamobs::http
