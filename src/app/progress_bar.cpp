#include "app/progress_bar.h"

#include <algorithm>
#include <unistd.h>

#include <fmt/format.h>

#include "base/standard_error.h"

namespace streamobs::app {

bool ProgressBar::wanted() {
  return ::isatty(STDERR_FILENO) == 1;
}

void ProgressBar::update(std::uint64_t read_bytes, std::uint64_t total_bytes) {
  const auto now = std::chrono::steady_clock::now();
  if (total_bytes == 0 || now - drawn_at_ < std::chrono::milliseconds(100)) return;
  drawn_at_ = now;
  drawn_ = true;
  constexpr int kWidth = 30;
  const auto megabytes = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1e6; };
  const double share = std::min(1.0, megabytes(read_bytes) / megabytes(total_bytes));
  const int filled = static_cast<int>(share * kWidth);
  const double seconds = std::chrono::duration<double>(now - started_).count();
  write_to_stderr(fmt::format("\r[{:=<{}}{:{}}] {:3.0f} %  {:.1f} of {:.1f} MB  {:.0f} MB/s ", "",
                              filled, "", kWidth - filled, share * 100, megabytes(read_bytes),
                              megabytes(total_bytes), megabytes(read_bytes) / seconds));
}

void ProgressBar::clear() const {
  if (drawn_) write_to_stderr("\r\x1b[2K");
}

}  // namespace streamobs::app
