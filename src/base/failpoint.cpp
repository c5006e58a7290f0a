#include "base/failpoint.h"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>

namespace streamobs {

namespace {

struct Armed {
  std::string name;
  std::optional<std::uint64_t> value;
  bool throws = false;
  std::atomic<std::uint64_t> times_left{1};

  Armed() {
    const char* const text = std::getenv("STREAMOBS_FAILPOINT");
    if (text == nullptr) return;
    name = text;
    const std::size_t sign = name.find_first_of(":=!");
    if (sign == std::string::npos) return;
    std::uint64_t number = 1;
    std::from_chars(name.data() + sign + 1, name.data() + name.size(), number);
    throws = name[sign] == '!';
    if (name[sign] == ':') {
      times_left = number;
    } else {
      value = number;
    }
    name.resize(sign);
  }
};

Armed& armed() {
  static Armed instance;
  return instance;
}

}  // namespace

void failpoint(std::string_view name) {
  Armed& a = armed();
  if (a.name.empty() || a.name != name || a.value) return;
  if (a.times_left.fetch_sub(1) == 1) std::raise(SIGKILL);
}

void failpoint(std::string_view name, std::uint64_t value) {
  const Armed& a = armed();
  if (a.name.empty() || a.name != name || a.value != value) return;
  if (a.throws) throw std::runtime_error("a planned failure");
  std::raise(SIGKILL);
}

}  // namespace streamobs
