// Helpers of the load generator's tests: a deliberately simple reader of the lines it writes.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "loadgen/scenario.h"

namespace streamobs::loadgen::test {

/// The raw text of a field: a string without its quotes, or a number; "" when it is not there.
inline std::string field(std::string_view line, std::string_view name) {
  const std::string key = "\"" + std::string(name) + "\":";
  const std::size_t at = line.find(key);
  if (at == std::string_view::npos) return "";
  std::string_view rest = line.substr(at + key.size());
  if (rest.front() != '"') return std::string(rest.substr(0, rest.find_first_of(",}")));
  rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find('"')));
}

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

/// "2023-11-14T22:13:20.123Z" or "2023-11-14 22:13:20" in microseconds, by timegm(3).
inline Timestamp parse_time(const std::string& text) {
  std::tm parts{};
  int ms = 0;
  char separator = 0;
  std::sscanf(text.c_str(), "%d-%d-%d%c%d:%d:%d.%dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday,
              &separator, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &ms);
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return ::timegm(&parts) * kSecond + ms * kMillisecond;
}

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "streamobs-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline constexpr Timestamp kStart = 1'700'000'000 * kSecond;  // 2023-11-14T22:13:20Z

/// `count` happenings, ten a second from `start` on.
inline std::vector<Lines> generate(Scenario& scenario, std::uint64_t count, double rate = 10,
                                   Timestamp start = kStart) {
  std::vector<Lines> out(scenario.streams().size());
  for (std::uint64_t i = 0; i < count; ++i) {
    scenario.next(start + static_cast<Duration>(static_cast<double>(i) * 1e6 / rate), out);
  }
  scenario.finish(out);
  return out;
}

}  // namespace streamobs::loadgen::test
