#include "event/label.h"

#include <fmt/format.h>

#include "base/quantity.h"

namespace streamobs {

namespace {

std::string label(const NamedValue& key) {
  const std::string text = key.value.to_string();
  if (text.empty()) return fmt::format("no {}", plain(key.name));
  if (key.value.type.kind == Kind::string) return name_in_words(text);
  return fmt::format("{} {}", plain(key.name), text);
}

}  // namespace

std::string label(const std::vector<NamedValue>& keys) {
  std::string out;
  for (const NamedValue& key : keys) {
    if (!out.empty()) out += " / ";
    out += label(key);
  }
  return out;
}

}  // namespace streamobs
