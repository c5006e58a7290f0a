// The log's own numbers: counted by Log on whichever thread works for it, read by telemetry.
#pragma once

#include <array>
#include <cstdint>

namespace streamobs::wal {

/// A snapshot; what counts up does so since the log was opened.
struct LogStats {
  std::uint64_t records = 0;        ///< Appended.
  std::uint64_t payload_bytes = 0;  ///< Of those, without frames.
  std::uint64_t bytes = 0;          ///< Written to segments, frames included.
  std::uint64_t syncs = 0;
  std::uint64_t sync_ns_total = 0;
  std::uint64_t sync_ns_max = 0;
  /// Syncs that took less than kSyncBoundsNs[i] (and not less than the bound before); the last
  /// counts those beyond all bounds.
  static constexpr std::array<std::uint64_t, 15> kSyncBoundsNs = {
      50'000,      100'000,     200'000,       500'000,       1'000'000,
      2'000'000,   5'000'000,   10'000'000,    20'000'000,    50'000'000,
      100'000'000, 200'000'000, 1'000'000'000, 5'000'000'000, 20'000'000'000};
  std::array<std::uint64_t, kSyncBoundsNs.size() + 1> sync_buckets{};

  std::uint64_t segments_rolled = 0;
  std::uint64_t segments_sealed = 0;
  std::uint64_t seal_failures = 0;     ///< Segments that stay raw since they could not be sealed.
  std::uint64_t sealed_bytes_raw = 0;  ///< Of the segments sealed: before …
  std::uint64_t sealed_bytes = 0;      ///< … and after.
  std::uint64_t segments_trimmed = 0;

  std::uint64_t segments = 0;    ///< Now there.
  std::uint64_t disk_bytes = 0;  ///< Of all of them, preallocated space included.
  std::uint64_t first_sequence = 0;
  std::uint64_t appended_sequence = 0;
  std::uint64_t durable_sequence = 0;
};

}  // namespace streamobs::wal
