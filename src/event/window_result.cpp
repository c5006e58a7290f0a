#include "event/window_result.h"

namespace streamobs {

std::string key_text(const std::vector<Value>& keys) {
  std::string out;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i != 0) out += '|';
    out += keys[i].to_string();
  }
  return out;
}

}  // namespace streamobs
