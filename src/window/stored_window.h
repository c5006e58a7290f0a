// A window as a snapshot has it, before anybody asks what the config of now makes of it.
//
// Views into the snapshot's bytes, which outlive it. Private to this folder. Pure: may run on any
// strand that owns what it is given.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "window/instance.h"
#include "window/plan.h"

namespace streamobs::window {

/// What no config reaches; so that damaged bytes cannot ask for much memory.
inline constexpr std::uint64_t kMaxItems = 1 << 16;

struct StoredInstance {
  Interval interval;
  Timestamp due = 0;
  std::uint64_t groups = 0;
  std::string_view bytes;
};

struct StoredAccumulator {
  AccumulatorKind kind{};
  DataType type;
  std::string_view definition;
};

struct StoredWindow {
  bool is_open() const { return !kept.empty() || !instances.empty(); }

  std::string_view name;
  std::vector<std::pair<std::string_view, std::string_view>> definition;
  std::uint64_t max_keys = 0;
  std::vector<StoredAccumulator> accumulators;
  Timestamp closed_before = kMinTimestamp;
  Timestamp closed_to = kMinTimestamp;
  std::vector<StoredInstance> kept;
  bool corrects = false;
  Timestamp forgotten = kMinTimestamp;
  std::vector<StoredInstance> closed;
  RevisionNumbers revisions;
  std::vector<StoredInstance> instances;
};

/// False where the bytes are not what a snapshot of that version has for a window.
bool read_window(ByteReader& in, std::uint8_t version, StoredWindow& out);

}  // namespace streamobs::window
