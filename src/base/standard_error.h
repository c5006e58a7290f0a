// Text on stderr as it is, for what is no line of the log: "listening on …", mistakes in a config.
//
// Any thread. Does not throw: that nobody reads any more (a closed terminal or pipe, a full disk)
// is no reason for an engine to end.
#pragma once

#include <string_view>

namespace streamobs {

/// In one write where the system takes it so; what it does not take is lost.
void write_to_stderr(std::string_view text) noexcept;

}  // namespace streamobs
