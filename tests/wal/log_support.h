// What the tests of the log share: records with known content, and reading them all back.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/crc32c.h"
#include "base/file_system.h"
#include "support/catch.h"
#include "support/recording_file_system.h"
#include "wal/log.h"
#include "wal/log_reader.h"

namespace streamobs::wal::test {

using streamobs::test::RecordingFileSystem;
using Random = RecordingFileSystem::Random;

inline const std::string kDirectory = "data/wal";
inline constexpr std::uint64_t kLogId = 0x1122334455667788;

struct Item {
  std::uint8_t type = 1;
  std::string payload;
  bool operator==(const Item&) const = default;
};
using Items = std::map<std::uint64_t, Item>;  ///< By sequence.

/// Bytes that compress about as well as real ones: runs and noise.
inline std::string random_payload(Random& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size;) {
    const auto value = static_cast<char>(random() % 3 == 0 ? random() : random() % 4);
    for (std::size_t run = 1 + random() % 6; run > 0 && i < size; --run) bytes[i++] = value;
  }
  return bytes;
}

/// Appends the items as one group, each payload in two pieces.
inline Result<> append(Log& log, const Items& items) {
  std::vector<std::vector<std::string_view>> pieces;
  std::vector<LogRecord> records;
  pieces.reserve(items.size());
  for (const auto& [sequence, item] : items) {
    const std::string_view bytes = item.payload;
    pieces.push_back({bytes.substr(0, bytes.size() / 3), bytes.substr(bytes.size() / 3)});
    records.push_back({item.type, sequence, pieces.back(), crc32c(bytes)});
  }
  return log.append(records);
}

inline WalOptions small_segments(std::uint64_t bytes) {
  WalOptions options;
  options.segment_bytes = bytes;
  return options;
}

inline Result<std::unique_ptr<Log>> open_log(FileSystem& files, std::uint64_t segment_bytes,
                                             std::uint64_t known_durable = 0) {
  static const ManualClock clock(1'700'000'000 * kSecond);
  LogOpenOptions options;
  options.new_log_id = kLogId;
  options.known_durable = known_durable;
  return Log::open(files, clock, kDirectory, small_segments(segment_bytes), options);
}

/// What a reader gives: records up to the first error, and how it ended.
struct ReadBack {
  Items items;
  std::uint64_t first_sequence = 0;
  std::optional<Error> error;
  std::optional<TornTail> torn;
};

inline ReadBack read_all(FileSystem& files, const LogReaderOptions& options = {}) {
  ReadBack back;
  auto reader = LogReader::open(files, kDirectory, options);
  if (!reader) {
    back.error = reader.error();
    return back;
  }
  back.first_sequence = (*reader)->first_sequence();
  std::uint64_t expected = (*reader)->next_sequence();
  for (LogEntry entry;;) {
    const auto more = (*reader)->next(entry);
    if (!more) {
      back.error = more.error();
      return back;
    }
    if (!*more) break;
    REQUIRE(entry.sequence == expected);
    ++expected;
    back.items[entry.sequence] = {entry.type, std::string(entry.payload)};
  }
  back.torn = (*reader)->torn();
  return back;
}

}  // namespace streamobs::wal::test
