// The engine as a child process: started in a directory that outlives it, on a port of its own
// choosing, and asked to end when this object goes, or killed.
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace streamobs::bench {

/// The program that is measured: $STREAMOBS, else the one of the same build as the program that
/// asks (BUILD/bench/bench_http).
inline std::string engine_binary() {
  if (const char* given = std::getenv("STREAMOBS")) return given;
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "streamobs";
}

class EngineProcess {
 public:
  /// The real binary with that config; its data is in `directory`/data. A second one in the same
  /// directory goes on where the first ended.
  EngineProcess(const std::string& config, const std::string& directory) {
    const std::string config_path = directory + "/obs.toml";
    std::ofstream(config_path) << config;
    start({engine_binary(), "--config", config_path, "--data-dir", directory + "/data", "--listen",
           "127.0.0.1:0"});
  }
  /// Another program that says where it listens in the same words.
  explicit EngineProcess(std::vector<std::string> command) { start(std::move(command)); }
  ~EngineProcess() { end(SIGTERM); }
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  /// Ends it as a crash would.
  void kill() { end(SIGKILL); }

  std::uint16_t port() const { return port_; }
  /// CPU time of all its threads.
  clockid_t cpu_clock() const { return cpu_clock_; }

 private:
  void start(std::vector<std::string> command) {
    int pipe[2];
    if (::pipe(pipe) != 0) fail("no pipe");
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(pipe[1], STDERR_FILENO);
      ::close(pipe[0]);
      ::close(pipe[1]);
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // However we end.
      ::execv(arguments[0], arguments.data());
      std::perror(arguments[0]);
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
  void end(int signal) {
    if (pid_ < 0) return;
    ::kill(pid_, signal);
    char line[4096];
    while (std::fgets(line, sizeof line, errors_) != nullptr) {
    }
    std::fclose(errors_);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::exit(1);
  }

  pid_t pid_ = -1;
  std::FILE* errors_ = nullptr;
  std::uint16_t port_ = 0;
  clockid_t cpu_clock_{};
};

}  // namespace streamobs::bench
