// A directory for what a benchmark writes, removed with all that is in it when this object goes.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <unistd.h>

namespace streamobs::bench {

class ScratchDirectory {
 public:
  /// Below `parent`, which decides which disk is measured.
  explicit ScratchDirectory(const std::string& parent) : path_(parent + "/streamobs-bench-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      std::perror(path_.c_str());
      std::exit(1);
    }
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace streamobs::bench
