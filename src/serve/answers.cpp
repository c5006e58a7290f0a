#include "serve/answers.h"

#include <utility>

namespace streamobs::serve {

http::Response failed(const Error& error) {
  switch (error.code) {
    case ErrorCode::invalid:
      return http::problem(400, error.message);
    case ErrorCode::not_found:
      return http::problem(404, error.message);
    case ErrorCode::no_space:
      return http::problem(507, error.message);
    case ErrorCode::unavailable:
      return http::problem(503, error.message);
    default:
      return http::problem(500, error.message);
  }
}

http::Response json_response(std::string body) {
  http::Response response;
  response.body = std::move(body);
  return response;
}

}  // namespace streamobs::serve
