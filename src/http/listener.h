// A bound port that may outlive the server behind it: where one server follows another, nobody is
// refused in between. New clients wait in the system's queue; those whose connections were open are
// parked here by the server that goes, with what had come from them, and taken up by the next.
//
// Opened before the server that accepts from it, destroyed after it; a server has copies of the
// socket of its own. open() blocks for no time worth speaking of; the rest may be called on any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "http/options.h"

namespace streamobs::http {

struct Endpoint {
  std::string address;  ///< As text, IPv6 in brackets.
  std::uint16_t port = 0;
  std::string url() const { return "http://" + address + ":" + std::to_string(port); }
};

/// [http] listen as it was meant.
struct ListenAddress {
  boost::asio::ip::tcp::endpoint endpoint;
  std::string host;  ///< As text, with brackets where it is IPv6.
};

/// The error says what would do; an address other than loopback is refused unless a token is set
/// and `insecure` says that plain HTTP is meant.
Result<ListenAddress> read_listen_address(const HttpOptions& options);

/// A file descriptor that is closed with its owner.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  explicit OwnedDescriptor(int descriptor) : descriptor_(descriptor) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~OwnedDescriptor();

  int get() const { return descriptor_; }
  /// The caller closes it from now on.
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_ = -1;
};

/// A client between two servers.
struct ParkedClient {
  OwnedDescriptor socket;
  std::string unread;  ///< Of requests that nobody has looked at.
};

class Listener {
 public:
  /// Binds. The error names the address and what to do. `now` is where the engine listens so far;
  /// null: nowhere.
  static Result<std::unique_ptr<Listener>> open(const HttpOptions& options,
                                                const Listener* now = nullptr);

  /// Whether a server of these options would listen at the very same place.
  bool serves(const HttpOptions& options) const;
  std::uint16_t port() const { return bound_.port(); }
  boost::asio::ip::tcp protocol() const { return bound_.protocol(); }
  /// Another descriptor of the listening socket.
  Result<OwnedDescriptor> copy() const;
  /// No server follows: nobody is to wait here. Once the servers' copies are closed, clients are
  /// refused.
  void close();

  void park(ParkedClient client);
  std::vector<ParkedClient> take_parked();

 private:
  Listener(OwnedDescriptor socket, std::uint16_t asked_port, boost::asio::ip::tcp::endpoint bound)
      : socket_(std::move(socket)), asked_port_(asked_port), bound_(std::move(bound)) {}

  OwnedDescriptor socket_;          ///< Under the mutex.
  const std::uint16_t asked_port_;  ///< 0: any.
  const boost::asio::ip::tcp::endpoint bound_;
  mutable std::mutex mutex_;
  std::vector<ParkedClient> parked_;  ///< No more than a server has connections.
};

}  // namespace streamobs::http
