// Expected failure: Result<T> carries a value or an Error that a person can act on.
//
// Exceptions are for bugs and for start-up; everything a user, a disk or a network can cause comes
// back as a Result.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <boost/system/result.hpp>

namespace streamobs {

/// What kind of failure it is, so that a caller can choose an exit code or an HTTP status.
enum class ErrorCode {
  invalid,       ///< The input is wrong: a config, an argument, an event. Exit 78 or HTTP 400.
  not_found,     ///< The thing named does not exist. HTTP 404.
  too_large,     ///< A stated limit was exceeded. HTTP 413.
  unavailable,   ///< Try again later. Exit 75 or HTTP 503.
  no_space,      ///< The disk is full; heals when space is back. Exit 75 or HTTP 507.
  io,            ///< A disk or the network failed. Exit 74.
  corrupt,       ///< What was read back is not what was written. Exit 74.
  internal,      ///< Our own fault. Exit 70.
};

/// A failure in words: `message` names the thing, the place and the way out.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

/// Called by Result<T>::value() when there is none: using a result unchecked is a bug.
[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw std::runtime_error(error.message);
}

template <class T = void>
using Result = boost::system::result<T, Error>;

/// `return fail(ErrorCode::invalid, "...")` from any function that returns a Result.
[[nodiscard]] inline Error fail(ErrorCode code, std::string message) {
  return Error{code, std::move(message)};
}

}  // namespace streamobs
