// Puts one event line together in a fixed buffer and appends it to the output in one go.
//
// Only the scenarios use it, with texts of their own making: nothing is escaped, and a line is
// known to fit (kLineBytesMax; checked in debug builds).
#pragma once

#include <array>
#include <cassert>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "loadgen/random.h"

namespace streamobs::loadgen {

/// Renders times with the last few seconds' text kept: events come in nearly ordered.
class TimeText {
 public:
  /// "2024-01-09T12:34:56" or, with ' ' as separator, "2024-01-09 12:34:56".
  explicit TimeText(char separator) : separator_(separator) {}
  std::string_view seconds(Timestamp t);

  static constexpr std::size_t kLength = 19;

 private:
  struct Entry {
    std::int64_t second = INT64_MIN;
    std::array<char, kLength> text;
  };
  char separator_;
  std::array<Entry, 4> recent_;
};

class LineWriter {
 public:
  static constexpr std::size_t kLineBytesMax = 1024;

  LineWriter& text(std::string_view s) {
    assert(s.size() <= room());
    std::memcpy(end_, s.data(), s.size());
    end_ += s.size();
    return *this;
  }
  LineWriter& number(std::int64_t v) {
    end_ = std::to_chars(end_, bytes_.data() + bytes_.size(), v).ptr;
    return *this;
  }
  /// `unscaled` / 10^digits, not negative, with exactly that many digits behind the point.
  LineWriter& decimal(std::int64_t unscaled, int digits) {
    std::int64_t unit = 1;
    for (int i = 0; i < digits; ++i) unit *= 10;
    number(unscaled / unit);
    *end_++ = '.';
    padded(unscaled % unit, digits);
    return *this;
  }
  LineWriter& padded(std::int64_t v, int width) {
    assert(static_cast<std::size_t>(width) <= room());
    for (int i = width - 1; i >= 0; --i) {
      end_[i] = static_cast<char>('0' + v % 10);
      v /= 10;
    }
    end_ += width;
    return *this;
  }
  /// ISO 8601 with milliseconds and Z.
  LineWriter& iso_time(TimeText& texts, Timestamp t) {
    text(texts.seconds(t));
    *end_++ = '.';
    padded(t % kSecond / kMillisecond, 3);
    *end_++ = 'Z';
    return *this;
  }
  /// `digits` hexadecimal digits, the lowest bits of `v`.
  LineWriter& hex(std::uint64_t v, int digits) {
    assert(static_cast<std::size_t>(digits) <= room());
    for (int i = digits - 1; i >= 0; --i) {
      end_[i] = "0123456789abcdef"[v & 15];
      v >>= 4;
    }
    end_ += digits;
    return *this;
  }
  /// A random (version 4) UUID of two random words.
  LineWriter& uuid(std::uint64_t high, std::uint64_t low) {
    hex(high >> 32, 8).text("-").hex(high >> 16, 4).text("-4").hex(high, 3).text("-");
    return hex((low >> 62) | 8, 1).hex(low >> 48, 3).text("-").hex(low, 12);
  }
  void append_to(std::string& out) {
    out.append(bytes_.data(), static_cast<std::size_t>(end_ - bytes_.data()));
    end_ = bytes_.data();
  }

 private:
  std::size_t room() const {
    return static_cast<std::size_t>(bytes_.data() + bytes_.size() - end_);
  }
  std::array<char, kLineBytesMax> bytes_;
  char* end_ = bytes_.data();
};

}  // namespace streamobs::loadgen
