#include "base/failpoint.h"

#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <string>

namespace streamobs {

namespace {

struct Armed {
  std::string name;
  std::atomic<long> times_left{1};

  Armed() {
    const char* const text = std::getenv("STREAMOBS_FAILPOINT");
    if (text == nullptr) return;
    name = text;
    const std::size_t colon = name.rfind(':');
    if (colon == std::string::npos) return;
    long times = 1;
    std::from_chars(name.data() + colon + 1, name.data() + name.size(), times);
    times_left = times;
    name.resize(colon);
  }
};

}  // namespace

void failpoint(std::string_view name) {
  static Armed armed;
  if (armed.name.empty() || armed.name != name) return;
  if (armed.times_left.fetch_sub(1) == 1) std::raise(SIGKILL);
}

}  // namespace streamobs
