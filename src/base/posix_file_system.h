// The file system of the machine. Stateless: the one instance may be used from any thread.
#pragma once

#include "base/file_system.h"

namespace streamobs {

/// Lives as long as the process.
FileSystem& posix_file_system();

}  // namespace streamobs
