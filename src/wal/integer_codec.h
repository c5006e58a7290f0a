// Columns of numbers as bytes: times, counts, money, measurements.
//
// Whole numbers become offsets from the least one, or steps from one to the next where those are
// smaller, in units of 1, 1,000 or 1,000,000 (times of whole milliseconds); where there are few
// different ones, like status codes, a table of them and positions in it. Doubles that are short
// decimals ("57.25") become whole numbers, bit for bit the same when read back; others stay as they
// are. What comes out is bit-packed (wal/bit_packing.h). How many numbers there are is not written.
// The byte format is in docs/wal-format.md, "Record payloads".
//
// Encoders and decoders own their scratch memory: one for each lane, not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/pod_vector.h"

namespace streamobs::wal {

class IntegerEncoder {
 public:
  /// Appends `size` numbers; gives the largest, or the least there can be if there are none.
  std::int64_t put(std::string& out, const std::int64_t* values, std::size_t size);

 private:
  /// As offsets from `least`, which are at most `span`; of steps, `first` is the number before
  /// them.
  void put_offsets(std::string& out, std::uint8_t method, const std::int64_t* values,
                   std::size_t size, std::int64_t least, std::uint64_t span, std::int64_t first);
  bool put_choice(std::string& out, unsigned unit, std::size_t size, std::uint32_t span,
                  std::int64_t least);

  PodVector<std::int64_t> steps_;
  PodVector<std::uint64_t> wide_;
  PodVector<std::uint64_t> wide_spare_;
  PodVector<std::uint32_t> narrow_;
  PodVector<std::uint32_t> spare_;
};

class IntegerDecoder {
 public:
  /// Reads `size` numbers; false if they are not there.
  bool get(ByteReader& in, std::size_t size, std::int64_t* values);

 private:
  bool get_choice(ByteReader& in, std::size_t size, std::uint64_t unit, std::int64_t* values);

  PodVector<std::uint32_t> narrow_;
  PodVector<std::uint32_t> upper_;
};

class FloatEncoder {
 public:
  void put(std::string& out, const double* values, std::size_t size);

 private:
  bool put_decimals(std::string& out, const double* values, std::size_t size, int digits);

  IntegerEncoder integers_;
  PodVector<std::int64_t> scaled_;
  PodVector<std::int64_t> places_;  ///< Of the exceptions.
};

class FloatDecoder {
 public:
  bool get(ByteReader& in, std::size_t size, double* values);

 private:
  struct Exception {
    std::size_t place;
    double value;
  };
  IntegerDecoder integers_;
  PodVector<std::int64_t> scaled_;
  PodVector<Exception> places_;
};

}  // namespace streamobs::wal
