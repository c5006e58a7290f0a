#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "loadgen/outputs.h"

namespace streamobs::loadgen {
namespace {

constexpr std::uint64_t kEventsPerWrite = 4'096;
constexpr Duration kNapMax = 50 * kMillisecond;
constexpr int kExitIo = 74;

/// The open descriptors by stream; closes what it opened.
class Files {
 public:
  ~Files() {
    for (const int fd : fds_) {
      if (fd != STDOUT_FILENO) ::close(fd);
    }
  }
  Result<> open(const std::string& path, std::span<const StreamInfo> streams) {
    for (const StreamInfo& stream : streams) {
      if (path == "-") {
        fds_.push_back(STDOUT_FILENO);
        paths_.emplace_back("stdout");
        continue;
      }
      paths_.push_back(streams.size() == 1 ? path : stream_path(path, stream.name));
      const int fd = ::open(paths_.back().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
      if (fd < 0) return failed(paths_.back());
      fds_.push_back(fd);
    }
    return {};
  }
  /// False: whoever read stdout has gone (`| head`), which is no error.
  Result<bool> write(const std::vector<Lines>& lines) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      std::string_view rest = lines[i].text;
      while (!rest.empty()) {
        const ssize_t written = ::write(fds_[i], rest.data(), rest.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0 && errno == EPIPE && fds_[i] == STDOUT_FILENO) return false;
        if (written < 0) return failed(paths_[i]);
        rest.remove_prefix(static_cast<std::size_t>(written));
      }
    }
    return true;
  }

 private:
  static Error failed(const std::string& path) {
    return fail(ErrorCode::io, fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
  std::vector<int> fds_;
  std::vector<std::string> paths_;
};

void clear(std::vector<Lines>& lines) {
  for (Lines& stream : lines) {
    stream.text.clear();
    stream.events = 0;
  }
}

}  // namespace

void count_lines(Report& report, const std::vector<Lines>& lines) {
  report.generated.resize(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    report.generated[i] += lines[i].events;
    report.bytes += lines[i].text.size();
  }
}

std::string stream_path(const std::string& path, const std::string& stream) {
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string::npos ? 0 : slash + 1;
  const std::size_t dot = path.rfind('.');
  if (dot == std::string::npos || dot <= name) return path + "." + stream;
  return path.substr(0, dot) + "." + stream + path.substr(dot);
}

void run_to_file(Feed& feed, const std::string& path, const RunHooks& hooks, Report& report) {
  Files files;
  const SystemClock clock;
  std::vector<Lines> lines;
  const Result<> opened = files.open(path, feed.scenario().streams());
  Result<bool> result = opened ? Result<bool>(true) : Result<bool>(opened.error());
  while (result && *result && !feed.done(clock.now()) && !hooks.interrupted()) {
    const Timestamp now = clock.now();
    clear(lines);
    if (feed.generate(kEventsPerWrite, now, lines) == 0) {
      const Duration nap = std::clamp<Duration>(feed.due() - now, 0, kNapMax);
      std::this_thread::sleep_for(std::chrono::microseconds(nap));
    }
    count_lines(report, lines);
    result = files.write(lines);
    hooks.tick(report);
  }
  if (result && *result) {
    clear(lines);
    lines.resize(feed.scenario().streams().size());
    feed.finish(lines);
    count_lines(report, lines);
    result = files.write(lines);
  }
  if (!result) {
    report.exit_code = kExitIo;
    report.error = result.error().message;
  }
}

}  // namespace streamobs::loadgen
