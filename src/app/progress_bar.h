// How far a command that reads a lot has come, drawn over itself on a terminal.
//
// One for each command, on its thread or any one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>

namespace streamobs::app {

/// "[=====>    ] 42 %  1.2 of 2.9 MB  310 MB/s"
class ProgressBar {
 public:
  /// Whether there is somebody to look at it.
  static bool wanted();
  void update(std::uint64_t read_bytes, std::uint64_t total_bytes);
  /// Takes the line away.
  void clear() const;

 private:
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point drawn_at_{};
  bool drawn_ = false;
};

}  // namespace streamobs::app
