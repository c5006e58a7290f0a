// Text from outside on its way into JSON. A free function; any thread.
#pragma once

#include <string>
#include <string_view>

namespace streamobs {

/// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD: the payload of a
/// refused event may be anything.
std::string valid_utf8(std::string_view text);

}  // namespace streamobs
