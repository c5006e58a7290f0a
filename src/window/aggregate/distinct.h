// How many different values there were: exactly up to 4,096, beyond that by HyperLogLog.
//
// Values are known by a 64-bit hash (two different values share one with a chance of 5e-13 among
// 4,096). Beyond 4,096 hashes they are poured into HyperLogLog registers (p = 14: standard error
// 0.8 %). What is held depends only on which values came, not on their order, nor on how lanes
// shared them: either way the whole set of hashes decides.
//
// The estimate is Ertl's (O. Ertl, "New cardinality estimation algorithms for HyperLogLog
// sketches", 2017), which needs no bias tables. All zeros is the empty state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "window/aggregate/arena.h"

namespace streamobs::window {

struct DistinctState {
  static constexpr std::uint32_t kExactMax = 4096;
  static constexpr int kPrecision = 14;
  static constexpr std::size_t kRegisters = std::size_t{1} << kPrecision;

  /// One hash in itself while capacity is 0; then the address of a hash set; then of registers.
  std::uint64_t word = 0;
  std::uint32_t count = 0;
  std::uint32_t capacity = 0;

  void add(std::uint64_t hash, Arena& arena);
  void merge(const DistinctState& other, Arena& arena);
  std::uint64_t estimate() const;
  bool approximate() const { return capacity == kEstimating; }
  void encode(std::string& out) const;
  bool decode(ByteReader& in, Arena& arena);

 private:
  static constexpr std::uint32_t kEstimating = 0xffffffff;
  std::uint64_t* set() const { return reinterpret_cast<std::uint64_t*>(word); }
  std::uint8_t* registers() const { return reinterpret_cast<std::uint8_t*>(word); }
  void resize(std::uint32_t capacity_wanted, Arena& arena);
  void start_estimating(Arena& arena);
  void add_to_registers(std::uint64_t hash);
};

}  // namespace streamobs::window
