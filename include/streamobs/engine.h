// streamobs inside a C++ service: start it from a config, push events, read results, stop it.
//
// The engine runs on threads of its own (`threads` in the config). push() and the queries may be
// called from any thread, and wait for the engine; they must not be called from a callback.
// Callbacks run on the engine's threads: hand over and return.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "streamobs/config.h"
#include "streamobs/event.h"
#include "streamobs/result.h"

namespace streamobs {

class Engine {
 public:
  /// Checks the config; throws ConfigError with all that is wrong.
  explicit Engine(const Config& config);
  /// Stops if it is running.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Before start(): what to be told of.
  void on_window(std::function<void(const WindowResult&)> callback);
  void on_anomaly(std::function<void(const AnomalyResult&)> callback);
  void on_incident(std::function<void(const IncidentResult&)> callback);

  /// Opens the store, binds the port and starts the threads. Throws std::runtime_error with what
  /// to do when the data directory or the port cannot be had.
  void start();
  /// http://ADDRESS:PORT of the dashboard; empty without HTTP.
  std::string address() const;

  /// Pushes one JSON object, an array of them, or NDJSON.
  PushResult push(std::string_view stream, std::string_view json);
  PushResult push(std::string_view stream, const Event& event);

  /// Rows of a window, newest first: closed ones from the store, open ones from memory.
  std::vector<WindowResult> windows(std::string_view window, std::size_t limit = 1000);

  /// Takes no more events, counts what is queued, makes a checkpoint of what is open (the next start
  /// goes on from it), and returns.
  /// The engine cannot be started again.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs
