// What a command prints for programs and people: lines to stdout, and what may happen to them
// there.
//
// For the command line only; one thread.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "base/result.h"

namespace streamobs::app {

/// While it lives, that nobody reads a pipe is an error of the write, and does not end the process.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, &before_);
  }
  ~NoPipeSignal() { ::sigaction(SIGPIPE, &before_, nullptr); }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  struct sigaction before_{};
};

/// Lines to stdout, up to the first that cannot be written.
class OutputLines {
 public:
  void print(std::string_view line) {
    if (error_ != 0) return;
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() ||
        std::fputc('\n', stdout) == EOF) {
      error_ = errno;
    }
  }
  void flush() {
    if (error_ == 0 && std::fflush(stdout) != 0) error_ = errno;
  }
  bool failed() const { return error_ != 0; }
  bool nobody_reads() const { return error_ == EPIPE; }
  Error error() const {
    return fail(error_ == ENOSPC ? ErrorCode::no_space : ErrorCode::io,
                fmt::format("the events cannot be written to stdout: {}. What is there ends in the "
                            "middle; ask again with another place for them",
                            std::strerror(error_)));
  }

 private:
  int error_ = 0;  ///< 0: none.
};

}  // namespace streamobs::app
