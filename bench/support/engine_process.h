// The real binary as a child process: started with a config on a port of its own choosing in a
// directory of its own, and asked to end when this object goes.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace streamobs::bench {

class EngineProcess {
 public:
  explicit EngineProcess(const std::string& config) {
    char directory[] = "/tmp/streamobs-bench-XXXXXX";
    if (::mkdtemp(directory) == nullptr) fail("no temporary directory");
    directory_ = directory;
    const std::string config_path = directory_ + "/obs.toml";
    std::ofstream(config_path) << config;
    const std::string data_dir = directory_ + "/data";
    int pipe[2];
    if (::pipe(pipe) != 0) fail("no pipe");
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(pipe[1], STDERR_FILENO);
      ::close(pipe[0]);
      ::close(pipe[1]);
      ::execl(binary().c_str(), "streamobs", "--config", config_path.c_str(), "--data-dir",
              data_dir.c_str(), "--listen", "127.0.0.1:0", nullptr);
      std::perror(binary().c_str());
      ::_exit(127);
    }
    ::close(pipe[1]);
    errors_ = ::fdopen(pipe[0], "r");
    char line[4096];
    while (port_ == 0 && std::fgets(line, sizeof line, errors_) != nullptr) {
      unsigned port = 0;
      if (std::sscanf(line, "listening on http://127.0.0.1:%u", &port) == 1) {
        port_ = static_cast<std::uint16_t>(port);
      } else {
        std::fputs(line, stderr);
      }
    }
    if (port_ == 0) fail("the engine did not start");
    ::clock_getcpuclockid(pid_, &cpu_clock_);
  }
  ~EngineProcess() {
    ::kill(pid_, SIGTERM);
    char line[4096];
    while (std::fgets(line, sizeof line, errors_) != nullptr) {
    }
    std::fclose(errors_);
    ::waitpid(pid_, nullptr, 0);
    std::filesystem::remove_all(directory_);
  }
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  std::uint16_t port() const { return port_; }
  /// CPU time of all its threads.
  clockid_t cpu_clock() const { return cpu_clock_; }

 private:
  /// $STREAMOBS, else the one of the same build as this program (BUILD/bench/bench_http).
  static std::string binary() {
    if (const char* given = std::getenv("STREAMOBS")) return given;
    return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
           "streamobs";
  }
  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
  }

  std::string directory_;
  pid_t pid_ = -1;
  std::FILE* errors_ = nullptr;
  std::uint16_t port_ = 0;
  clockid_t cpu_clock_{};
};

}  // namespace streamobs::bench
