// Addresses that a config declares: what they may look like, and which ones the engine has itself.
#include <string>

#include <fmt/format.h>

#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

/// HTTP paths the engine needs for itself. A path clashes if it is one of them or lies below one.
constexpr std::string_view kReservedPaths[] = {"/api",     "/v1/events", "/metrics",   "/livez",
                                               "/readyz",  "/healthz",   "/health",    "/-",
                                               "/version", "/assets",    "/index.html"};

}  // namespace

bool check_http_path(const SourceText& path, std::string_view what, Report& report) {
  const Span at = span_of(path);
  if (!path.text.starts_with('/') || path.text.size() < 2 || path.text.ends_with('/') ||
      path.text.find("//") != std::string::npos) {
    report.error(at, fmt::format("{}: \"{}\" is not a path", what, path.text),
                 "it begins with / and does not end with one: \"/v1/llm/request\"");
    return false;
  }
  if (path.text.find_first_of("?#% \t\"\\{}*") != std::string::npos) {
    report.error(at,
                 fmt::format("{}: \"{}\" has characters that mean something else", what, path.text),
                 "a path is taken letter for letter: no parameters, no wildcards");
    return false;
  }
  for (const std::string_view reserved : kReservedPaths) {
    if (path.text == reserved || path.text.starts_with(std::string(reserved) + "/")) {
      report.error(
          at, fmt::format("{}: {} belongs to the engine", what, reserved),
          "choose a path outside of it; /v1/events/STREAM and /api/v1/windows/NAME are there "
          "anyway");
      return false;
    }
  }
  return true;
}

}  // namespace streamobs::config
