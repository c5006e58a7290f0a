// Groups in the order of their keys: that of result rows and of snapshots. Pure.
#pragma once

#include <cstdint>
#include <vector>

#include "window/group_table.h"

namespace streamobs::window {

/// The slots of a table by key, as compare_keys() orders them.
std::vector<std::uint32_t> slots_by_key(const GroupTable& table);
/// By the bytes of the keys, which is quicker and says as much where nobody looks; __overflow__
/// comes last.
std::vector<std::uint32_t> slots_by_bytes(const GroupTable& table);
bool bytes_before(const GroupKey& a, const GroupKey& b);

}  // namespace streamobs::window
