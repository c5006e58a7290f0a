#include "window/aggregate/distinct.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace streamobs::window {

namespace {

constexpr int kRanks = 64 - DistinctState::kPrecision + 1;  ///< Registers hold 0 … kRanks.

/// Zero marks an empty place in the set.
std::uint64_t nonzero(std::uint64_t hash) {
  return hash == 0 ? 1 : hash;
}

double sigma(double x) {
  if (x == 1) return HUGE_VAL;
  double y = 1;
  double z = x;
  for (;;) {
    x *= x;
    const double before = z;
    z += x * y;
    y += y;
    if (z == before) return z;
  }
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  for (;;) {
    x = std::sqrt(x);
    const double before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
    if (z == before) return z / 3;
  }
}

}  // namespace

void DistinctState::add(std::uint64_t hash, Arena& arena) {
  hash = nonzero(hash);
  if (capacity == kEstimating) {
    add_to_registers(hash);
    return;
  }
  if (capacity == 0) {
    if (count == 0) {
      word = hash;
      count = 1;
      return;
    }
    if (word == hash) return;
    resize(4, arena);
  }
  std::uint64_t* const places = set();
  std::uint32_t i = static_cast<std::uint32_t>(hash) & (capacity - 1);
  while (places[i] != 0) {
    if (places[i] == hash) return;
    i = (i + 1) & (capacity - 1);
  }
  if (count == kExactMax) {
    start_estimating(arena);
    add_to_registers(hash);
    return;
  }
  places[i] = hash;
  ++count;
  if (count * 4 > capacity * 3) resize(capacity * 2, arena);
}

void DistinctState::resize(std::uint32_t capacity_wanted, Arena& arena) {
  auto* const places =
      static_cast<std::uint64_t*>(arena.allocate_cleared(capacity_wanted * sizeof(std::uint64_t)));
  const auto put = [&](std::uint64_t hash) {
    std::uint32_t i = static_cast<std::uint32_t>(hash) & (capacity_wanted - 1);
    while (places[i] != 0) i = (i + 1) & (capacity_wanted - 1);
    places[i] = hash;
  };
  if (capacity == 0) {
    if (count == 1) put(word);
  } else {
    for (std::uint32_t i = 0; i < capacity; ++i) {
      if (set()[i] != 0) put(set()[i]);
    }
    arena.release(set(), capacity * sizeof(std::uint64_t));
  }
  word = reinterpret_cast<std::uint64_t>(places);
  capacity = capacity_wanted;
}

void DistinctState::start_estimating(Arena& arena) {
  const std::uint64_t* const places = set();
  const std::uint32_t places_count = capacity;
  const std::uint64_t single = word;
  word = reinterpret_cast<std::uint64_t>(arena.allocate_cleared(kRegisters));
  capacity = kEstimating;
  if (places_count == 0) {
    if (count == 1) add_to_registers(single);
  } else {
    for (std::uint32_t i = 0; i < places_count; ++i) {
      if (places[i] != 0) add_to_registers(places[i]);
    }
    arena.release(const_cast<std::uint64_t*>(places), places_count * sizeof(std::uint64_t));
  }
  count = 0;
}

void DistinctState::add_to_registers(std::uint64_t hash) {
  const std::size_t index = hash >> (64 - kPrecision);
  const std::uint64_t rest = (hash << kPrecision) | (std::uint64_t{1} << (kPrecision - 1));
  const auto rank = static_cast<std::uint8_t>(std::countl_zero(rest) + 1);
  registers()[index] = std::max(registers()[index], rank);
}

void DistinctState::merge(const DistinctState& other, Arena& arena) {
  if (other.capacity == kEstimating) {
    if (capacity != kEstimating) start_estimating(arena);
    for (std::size_t i = 0; i < kRegisters; ++i) {
      registers()[i] = std::max(registers()[i], other.registers()[i]);
    }
    return;
  }
  if (other.capacity == 0) {
    if (other.count == 1) add(other.word, arena);
    return;
  }
  for (std::uint32_t i = 0; i < other.capacity; ++i) {
    if (other.set()[i] != 0) add(other.set()[i], arena);
  }
}

std::uint64_t DistinctState::estimate() const {
  if (capacity != kEstimating) return count;
  std::uint32_t histogram[kRanks + 1] = {};
  for (std::size_t i = 0; i < kRegisters; ++i) ++histogram[registers()[i]];
  const auto m = static_cast<double>(kRegisters);
  double z = m * tau(1 - histogram[kRanks] / m);
  for (int k = kRanks - 1; k >= 1; --k) z = 0.5 * (z + histogram[k]);
  z += m * sigma(histogram[0] / m);
  constexpr double kAlpha = 0.72134752044448170368;  // 1 / (2 ln 2)
  return static_cast<std::uint64_t>(std::llround(kAlpha * m * m / z));
}

void DistinctState::encode(std::string& out) const {
  if (capacity == kEstimating) {
    put_u8(out, 1);
    // Four registers of six bits in three bytes.
    for (std::size_t i = 0; i < kRegisters; i += 4) {
      std::uint32_t bits = 0;
      for (std::size_t j = 0; j < 4; ++j) {
        bits |= static_cast<std::uint32_t>(registers()[i + j]) << (6 * j);
      }
      put_u8(out, static_cast<std::uint8_t>(bits));
      put_u8(out, static_cast<std::uint8_t>(bits >> 8));
      put_u8(out, static_cast<std::uint8_t>(bits >> 16));
    }
    return;
  }
  put_u8(out, 0);
  put_varint(out, count);
  if (capacity == 0) {
    if (count == 1) put_u64(out, word);
    return;
  }
  std::vector<std::uint64_t> hashes;
  hashes.reserve(count);
  for (std::uint32_t i = 0; i < capacity; ++i) {
    if (set()[i] != 0) hashes.push_back(set()[i]);
  }
  std::sort(hashes.begin(), hashes.end());
  for (const std::uint64_t hash : hashes) put_u64(out, hash);
}

bool DistinctState::decode(ByteReader& in, Arena& arena) {
  const std::uint8_t form = in.u8();
  if (!in.ok() || form > 1) return false;
  if (form == 0) {
    const std::uint64_t n = in.varint();
    if (!in.ok() || n > kExactMax || in.left() < n * 8) return false;
    for (std::uint64_t i = 0; i < n; ++i) add(in.u64(), arena);
    return count == n;
  }
  if (in.left() < kRegisters / 4 * 3) return false;
  start_estimating(arena);
  for (std::size_t i = 0; i < kRegisters; i += 4) {
    std::uint32_t bits = in.u8();
    bits |= static_cast<std::uint32_t>(in.u8()) << 8;
    bits |= static_cast<std::uint32_t>(in.u8()) << 16;
    for (std::size_t j = 0; j < 4; ++j) {
      const auto rank = static_cast<std::uint8_t>((bits >> (6 * j)) & 63);
      if (rank > kRanks) return false;
      registers()[i + j] = rank;
    }
  }
  return in.ok();
}

}  // namespace streamobs::window
