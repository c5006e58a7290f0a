// The data directory: made if it is missing, closed to others, and used by one process at a time.
//
// Opened first and kept until the engine has ended; the lock goes with the process, however that
// comes to its end. Who only looks (doctor, `wal verify`) shares the lock with others that look,
// and keeps engines out meanwhile.
#pragma once

#include <string>

#include "base/result.h"

namespace streamobs::store {

class DataDir {
 public:
  /// `unavailable` where another process has it, `invalid` where other users can write in it, `io`
  /// where it cannot be made or written.
  static Result<DataDir> open(const std::string& path);
  /// To look at, and leave as it is: neither is it made nor anything in it. Errors as open() has
  /// them, and `not_found` where there is no such directory. Where no engine has ever been there is
  /// no lock to take: see is_locked().
  static Result<DataDir> look(const std::string& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&& other) noexcept;
  ~DataDir();

  /// False: look() found no lock, so an engine may have begun since.
  bool is_locked() const { return lock_ >= 0; }
  std::string database_path() const { return path_ + "/streamobs.db"; }

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_ = -1;
};

}  // namespace streamobs::store
