#include "http/listener.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <fmt/format.h>

#include "flow/asio.h"
#include "http/guard.h"

namespace streamobs::http {

namespace {

constexpr int kBacklog = 1024;

Error cannot_listen(const std::string& listen, int problem, bool own_port) {
  const char* hint = "choose another [http] listen";
  if (problem == EADDRINUSE && own_port) {
    hint =
        "this engine itself has the port, at its address of now, which it gives up only when it "
        "has the new one: choose another port, or restart the process";
  } else if (problem == EADDRINUSE) {
    hint =
        "another process listens there: stop it, or choose another [http] listen "
        "(port 0 picks a free one)";
  }
  return fail(ErrorCode::unavailable,
              fmt::format("cannot listen on {}: {}; {}", listen, std::strerror(problem), hint));
}

}  // namespace

OwnedDescriptor::~OwnedDescriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<ListenAddress> read_listen_address(const HttpOptions& options) {
  const std::string& text = options.listen.text;
  const auto bad = [&] {
    return fail(ErrorCode::invalid, "[http] listen = \"" + text +
                                        "\" is not ADDRESS:PORT; write for example "
                                        "\"127.0.0.1:8080\" or \"[::1]:8080\"");
  };
  const auto authority = parse_authority(text);
  if (!authority || authority->port.empty()) return bad();
  ListenAddress address;
  address.host = std::string(authority->host);
  const std::string_view digits = authority->port;
  std::uint16_t port = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (problem != std::errc() || end != digits.data() + digits.size()) return bad();
  std::string ip = address.host == "localhost" ? "127.0.0.1" : address.host;
  if (ip.front() == '[') ip = ip.substr(1, ip.size() - 2);
  error_code error;
  address.endpoint = {asio::ip::make_address(ip, error), port};
  if (error) return bad();
  if (!address.endpoint.address().is_loopback() && (options.token.empty() || !options.insecure)) {
    return fail(ErrorCode::invalid,
                "[http] listen = \"" + text +
                    "\" can be reached from other machines: set [http] token, and insecure = true "
                    "to say that plain HTTP is meant (or listen on 127.0.0.1)");
  }
  return address;
}

Result<std::unique_ptr<Listener>> Listener::open(const HttpOptions& options, const Listener* now) {
  const Result<ListenAddress> address = read_listen_address(options);
  if (address.has_error()) return address.error();
  asio::ip::tcp::endpoint bound = address->endpoint;
  OwnedDescriptor socket(
      ::socket(bound.protocol().family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  auto size = static_cast<socklen_t>(bound.capacity());
  if (socket.get() < 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(socket.get(), bound.data(), static_cast<socklen_t>(bound.size())) != 0 ||
      ::listen(socket.get(), kBacklog) != 0 ||
      ::getsockname(socket.get(), bound.data(), &size) != 0) {
    const int problem = errno;
    const bool own_port = now != nullptr && now->port() == address->endpoint.port();
    return cannot_listen(options.listen.text, problem, own_port);
  }
  bound.resize(size);
  return std::unique_ptr<Listener>(
      new Listener(std::move(socket), address->endpoint.port(), std::move(bound)));
}

bool Listener::serves(const HttpOptions& options) const {
  const Result<ListenAddress> address = read_listen_address(options);
  if (address.has_error() || address->endpoint.address() != bound_.address()) return false;
  const std::uint16_t port = address->endpoint.port();
  return port == bound_.port() || (port == 0 && asked_port_ == 0);
}

Result<OwnedDescriptor> Listener::copy() const {
  const std::lock_guard lock(mutex_);
  const int descriptor = ::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 3);
  if (descriptor >= 0) return OwnedDescriptor(descriptor);
  return fail(ErrorCode::unavailable,
              fmt::format("cannot listen on port {}: {}; is the limit of open files too low?",
                          bound_.port(), std::strerror(errno)));
}

void Listener::close() {
  const std::lock_guard lock(mutex_);
  const OwnedDescriptor closed = std::move(socket_);
}

void Listener::park(ParkedClient client) {
  const std::lock_guard lock(mutex_);
  parked_.push_back(std::move(client));
}

std::vector<ParkedClient> Listener::take_parked() {
  const std::lock_guard lock(mutex_);
  return std::exchange(parked_, {});
}

}  // namespace streamobs::http
