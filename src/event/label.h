// How a key is called in a sentence. Free functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "event/anomaly.h"

namespace streamobs {

/// The values of a key: "checkout", "checkout / eu", with the column's name where a value is only a
/// number: "checkout / status code 500"; empty for no key.
std::string label(const std::vector<NamedValue>& keys);

}  // namespace streamobs
