#include "app/api_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fmt/format.h>

#include "config/listen.h"

namespace streamobs::app {

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::uint64_t kAnswerBytesMax = 16 << 20;

}  // namespace

std::string ApiTarget::authority() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

Result<ApiTarget> parse_api_target(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  std::string text = url;
  if (text.starts_with(kScheme)) text.erase(0, kScheme.size());
  if (text.ends_with('/')) text.pop_back();
  const Result<config::ListenAddress> address = config::parse_listen(text);
  if (address.has_error() || address->port == 0) {
    return fail(
        ErrorCode::invalid,
        fmt::format("--target {}: expected http://ADDRESS:PORT of a running streamobs, such "
                    "as http://127.0.0.1:8080",
                    url));
  }
  ApiTarget target;
  target.host = address->host;
  target.port = address->port;
  return target;
}

Result<ApiTarget> target_of_listen(const std::string& listen) {
  const Result<config::ListenAddress> address = config::parse_listen(listen);
  if (address.has_error()) return address.error();
  if (address->port == 0) {
    return fail(ErrorCode::invalid,
                fmt::format("[http] listen = \"{}\" leaves the port open; say where the engine "
                            "listens by --target http://ADDRESS:PORT",
                            listen));
  }
  ApiTarget target;
  target.host = address->host;
  if (target.host == "0.0.0.0") target.host = "127.0.0.1";
  if (target.host == "::") target.host = "::1";
  target.port = address->port;
  return target;
}

namespace {

Result<std::string> ask(http::verb method, const ApiTarget& target, const std::string& path) {
  asio::io_context io(1);
  asio::ip::tcp::socket socket(io);
  boost::system::error_code problem;
  const auto unreachable = [&] {
    return fail(
        ErrorCode::unavailable,
        fmt::format("no answer from http://{}: {}. Is the engine running there? --config or "
                    "--target say where it is",
                    target.authority(), problem.message()));
  };
  const auto address = asio::ip::make_address(target.host, problem);
  if (problem) return unreachable();
  socket.connect({address, target.port}, problem);
  if (problem) return unreachable();

  http::request<http::empty_body> request(method, path, 11);
  request.set(http::field::host, target.authority());
  request.set(http::field::user_agent, "streamobs");
  if (!target.token.empty()) request.set(http::field::authorization, "Bearer " + target.token);
  request.prepare_payload();
  http::write(socket, request, problem);
  if (problem) return unreachable();
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> answer;
  answer.body_limit(kAnswerBytesMax);
  http::read(socket, buffer, answer, problem);
  if (problem) return unreachable();

  const unsigned status = answer.get().result_int();
  if (status == 200) return std::move(answer.get().body());
  return fail(status == 429 || status >= 500 ? ErrorCode::unavailable : ErrorCode::invalid,
              fmt::format("http://{} answered with {}: {}", target.authority(), status,
                          answer.get().body()));
}

}  // namespace

Result<std::string> post_to_api(const ApiTarget& target, const std::string& path) {
  return ask(http::verb::post, target, path);
}

Result<std::string> get_from_api(const ApiTarget& target, const std::string& path) {
  return ask(http::verb::get, target, path);
}

std::string url_encoded(const std::string& text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace streamobs::app
