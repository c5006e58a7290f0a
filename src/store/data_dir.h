// The data directory: made if it is missing, closed to others, and used by one process at a time.
//
// Opened first and kept until the engine has ended; the lock goes with the process, however that
// comes to its end.
#pragma once

#include <string>

#include "base/result.h"

namespace streamobs::store {

class DataDir {
 public:
  /// `unavailable` where another process has it, `invalid` where other users can write in it, `io`
  /// where it cannot be made or written.
  static Result<DataDir> open(const std::string& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&& other) noexcept;
  ~DataDir();

  std::string database_path() const { return path_ + "/streamobs.db"; }

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_ = -1;
};

}  // namespace streamobs::store
