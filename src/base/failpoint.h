// Named places at which the process can be made to die, as by `kill -9`, for crash tests.
//
// STREAMOBS_FAILPOINT=NAME or NAME:N kills the process when it comes to the place of that name for
// the N-th time (the first, without a number); NAME=V when it comes there with that value, each
// time, and NAME!V throws there instead. Read once, at the first place; without the variable a
// place costs one look at a flag. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace streamobs {

void failpoint(std::string_view name);
/// A place that is passed with a value: a log position.
void failpoint(std::string_view name, std::uint64_t value);

}  // namespace streamobs
