// The configuration of an embedded engine: the same TOML as `streamobs --config`.
#pragma once

#include <stdexcept>
#include <string>

namespace streamobs {

/// What is wrong with a config: every mistake with file, line, column and a hint, as
/// `streamobs validate` prints them.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Where a config comes from and what the host program overrides in it. A plain value.
class Config {
 public:
  static Config from_file(std::string path);
  static Config from_toml(std::string text);

  /// Where the database goes; the config's data_dir otherwise.
  Config& data_dir(std::string path);
  /// ADDRESS:PORT of the HTTP server (port 0 picks a free one).
  Config& listen(std::string address);
  /// No HTTP server: events come by Engine::push, results by callbacks and queries.
  Config& without_http();

 private:
  friend class Engine;
  std::string path_;
  std::string text_;
  std::string data_dir_;
  std::string listen_;
  bool http_ = true;
};

}  // namespace streamobs
