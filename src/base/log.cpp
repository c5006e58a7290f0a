#include "base/log.h"

#include <atomic>
#include <cstdlib>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/standard_error.h"
#include "base/time_format.h"

namespace streamobs::log {
namespace {

std::atomic<Level> least_level{Level::info};
std::atomic<Format> chosen_format{Format::automatic};

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};
constexpr std::string_view kColours[] = {"\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[31m"};

bool to_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

bool colour() {
  static const bool wanted = to_terminal() && std::getenv("NO_COLOR") == nullptr;
  return wanted;
}

}  // namespace

void configure(Level least, Format format) {
  least_level = least;
  chosen_format = format;
}

std::string line_of(Level level, std::string_view message, std::initializer_list<Field> fields,
                    Timestamp now, bool json, bool colour) {
  const auto name = kNames[static_cast<int>(level)];
  std::string line;
  if (json) {
    JsonWriter writer(line);
    writer.begin_object();
    writer.key("@timestamp").time(now);
    writer.field("log.level", name);
    writer.field("message", message);
    for (const Field& f : fields) {
      writer.key(f.key);
      if (f.bare) {
        writer.raw(f.value);
      } else {
        writer.value(f.value);
      }
    }
    writer.end_object();
  } else {
    append_rfc3339(line, now / kMillisecond * kMillisecond);
    line += ' ';
    if (colour) line += kColours[static_cast<int>(level)];
    line += fmt::format("{:5}", name);
    if (colour) line += "\x1b[0m";
    line += ' ';
    line += message;
    for (const Field& f : fields) line += fmt::format("  {}={}", f.key, f.value);
  }
  line += '\n';
  return line;
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (level < least_level.load(std::memory_order_relaxed)) return;
  const Format format = chosen_format.load(std::memory_order_relaxed);
  const bool json = format == Format::json || (format == Format::automatic && !to_terminal());
  const std::string line = line_of(level, message, fields, SystemClock().now(), json, colour());
  // One write for one line, so that lines of several threads never mix.
  write_to_stderr(line);
}

}  // namespace streamobs::log
