// Diagnostics as text, in the manner of a good compiler.
#include <algorithm>

#include <fmt/format.h>

#include "config/config.h"

namespace streamobs::config {

namespace {

struct Palette {
  std::string_view bold, red, yellow, cyan, off;
};
constexpr Palette kPlain{"", "", "", "", ""};
constexpr Palette kColours{"\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[0m"};

/// What a file says must not steer a terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 || byte == 0x7F ? '?' : c;
  }
  return out;
}

std::string place_text(const SourcePlace& place) {
  if (place.line == 0) return printable(place.file);
  return fmt::format("{}:{}:{}", printable(place.file), place.line, place.column);
}

void append_excerpt(std::string& out, const Diagnostic& d, const Palette& colours) {
  std::size_t begin = 0;
  bool first = true;
  while (begin < d.excerpt.size()) {
    const std::size_t end = std::min(d.excerpt.find('\n', begin), d.excerpt.size());
    const std::string_view line = std::string_view(d.excerpt).substr(begin, end - begin);
    const bool numbered = first && d.place.line != 0;
    out += numbered ? fmt::format("{:>5} | {}\n", d.place.line, line)
                    : fmt::format("      | {}{}{}\n", colours.cyan, line, colours.off);
    first = false;
    begin = end + 1;
  }
}

void append(std::string& out, const Diagnostic& d, const Palette& colours) {
  const bool error = d.severity == Diagnostic::Severity::error;
  const std::string place = place_text(d.place);
  out += fmt::format("{}{}{}{}{}{}:{} {}\n", colours.bold, place, place.empty() ? "" : ": ",
                     colours.off, error ? colours.red : colours.yellow, error ? "error" : "warning",
                     colours.off, printable(d.message));
  append_excerpt(out, d, colours);
  if (!d.hint.empty()) {
    out += fmt::format("      {}hint:{} {}\n", colours.bold, colours.off, printable(d.hint));
  }
}

}  // namespace

std::string to_text(const Diagnostics& diagnostics, bool colour) {
  std::string out;
  for (const Diagnostic& d : diagnostics) append(out, d, colour ? kColours : kPlain);
  return out;
}

}  // namespace streamobs::config
