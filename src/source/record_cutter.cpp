#include "source/record_cutter.h"

#include <cassert>
#include <cstring>

namespace streamobs::source {
namespace {

std::size_t find(const char* data, char wanted, std::size_t from, std::size_t to) {
  const void* at = std::memchr(data + from, wanted, to - from);
  return at == nullptr ? to : static_cast<std::size_t>(static_cast<const char*>(at) - data);
}

}  // namespace

void RecordCutter::scan(const char* data, std::size_t size) {
  if (is_csv_) {
    scan_csv(data, size);
    return;
  }
  if (first_end_ == 0) {
    const std::size_t newline = find(data, '\n', scanned_, size);
    if (newline != size) found(newline + 1);
  }
  if (first_end_ != 0) {
    const void* at = ::memrchr(data + scanned_, '\n', size - scanned_);
    if (at != nullptr) found(static_cast<std::size_t>(static_cast<const char*>(at) - data) + 1);
  }
  scanned_ = size;
}

/// As RFC 4180 and Python's csv: a quote opens only at the start of a field; inside quotes a
/// doubled quote is one quote.
void RecordCutter::scan_csv(const char* data, std::size_t size) {
  std::size_t at = scanned_;
  std::size_t newline = 0;  // The next one from `at` on, when it is not behind `at`.
  while (at < size) {
    switch (state_) {
      case State::plain: {
        if (newline < at || newline == 0) newline = find(data, '\n', at, size);
        const std::size_t quote = find(data, '"', at, newline);
        if (quote != newline) {
          const char previous = quote == 0 ? before_ : data[quote - 1];
          if (previous == ',' || previous == '\n') state_ = State::quoted;
          at = quote + 1;
        } else if (newline != size) {
          at = newline + 1;
          found(at);
        } else {
          at = size;
        }
        break;
      }
      case State::quoted: {
        const std::size_t quote = find(data, '"', at, size);
        if (quote != size) state_ = State::quote_in_quoted;
        at = quote == size ? size : quote + 1;
        break;
      }
      case State::quote_in_quoted:
        state_ = data[at] == '"' ? State::quoted : State::plain;
        if (state_ == State::quoted) ++at;
        break;
    }
  }
  scanned_ = size;
}

void RecordCutter::rebase(std::size_t bytes, char last_byte) {
  assert(bytes <= scanned_);
  if (bytes == 0) return;
  before_ = last_byte;
  scanned_ -= bytes;
  last_end_ = last_end_ > bytes ? last_end_ - bytes : 0;
  first_end_ = 0;
}

}  // namespace streamobs::source
