// Any bytes as a config: it parses or says what is wrong and where, and never crashes. Seeds are
// copies of config/*.toml in corpus/config/.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using streamobs::Diagnostic;
  streamobs::Diagnostics diagnostics;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool accepted = streamobs::config::parse(text, "fuzz.toml", diagnostics).has_value();
  const auto error = std::find_if(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& d) {
    return d.severity == Diagnostic::Severity::error;
  });
  if (accepted != (error == diagnostics.end())) std::abort();
  for (const Diagnostic& d : diagnostics) {
    if (d.place.line == 0 || d.place.column == 0 || d.message.empty()) std::abort();
  }
  if (streamobs::config::to_text(diagnostics, false).find('\x1b') != std::string_view::npos) {
    std::abort();
  }
  return 0;
}
