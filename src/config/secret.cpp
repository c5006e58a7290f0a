#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <fmt/format.h>

#include "config/sections.h"

namespace streamobs::config {

namespace {

constexpr std::size_t kSecretBytesMax = 4096;
constexpr std::size_t kSecretBytesAdvised = 16;
constexpr std::string_view kInlineHint =
    "secrets come from the environment or from a file: \"env:STREAMOBS_TOKEN\" or "
    "\"file:/run/secrets/token\"";

/// Without the line end that editors and `echo` leave.
std::string without_line_end(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

/// Goes into an HTTP header as it is: visible ASCII only.
bool is_sendable(std::string_view secret) {
  for (const char c : secret) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

bool from_environment(const Value& value, std::string_view key, std::string& out, Report& report) {
  const std::string name = value.text.substr(4);
  const char* found = name.empty() ? nullptr : std::getenv(name.c_str());
  if (found != nullptr && *found != '\0') {
    out = found;
    return true;
  }
  report.error(value.span,
               fmt::format("{}: the environment variable {} is {}", key, name,
                           found == nullptr ? "not set" : "empty"),
               fmt::format("set it before the start: {}=… streamobs …", name));
  return false;
}

bool from_file(const Value& value, std::string_view key, std::string& out, Report& report) {
  const std::string path = value.text.substr(5);
  std::ifstream in(path, std::ios::binary);
  std::string text(kSecretBytesMax + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in.eof() && !in) {
    report.error(value.span, fmt::format("{}: cannot read the file {}", key, path),
                 "does it exist, and may this user read it? A relative path begins in the "
                 "directory streamobs is started in");
    return false;
  }
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kSecretBytesMax) {
    report.error(value.span, fmt::format("{}: the file {} is longer than {} bytes", key, path,
                                         kSecretBytesMax));
    return false;
  }
  out = without_line_end(std::move(text));
  if (!out.empty()) return true;
  report.error(value.span, fmt::format("{}: the file {} is empty", key, path));
  return false;
}

}  // namespace

bool is_reference(const Value& value) {
  return value.kind == Value::Kind::string &&
         (value.text.starts_with("env:") || value.text.starts_with("file:"));
}

bool resolve_reference(const Value& value, std::string_view key, std::string& out, Report& report) {
  return value.text.starts_with("env:") ? from_environment(value, key, out, report)
                                        : from_file(value, key, out, report);
}

bool resolve_secret(const Value& value, std::string_view key, std::string& out, Report& report) {
  if (value.kind != Value::Kind::string) {
    report.error_without_excerpt(value.span, fmt::format("{}: expected a text in quotes", key),
                                 std::string(kInlineHint));
    return false;
  }
  std::string secret;
  if (!is_reference(value)) {
    report.error_without_excerpt(value.span,
                                 fmt::format("{}: a secret must not stand in the config", key),
                                 std::string(kInlineHint));
    return false;
  }
  if (!resolve_reference(value, key, secret, report)) return false;
  if (!is_sendable(secret)) {
    report.error(
        value.span,
        fmt::format("{}: the secret has spaces, control or non-ASCII characters in it", key),
        "an HTTP header cannot carry them; use letters and digits");
    return false;
  }
  if (secret.size() < kSecretBytesAdvised) {
    report.warning(
        value.span,
        fmt::format("{}: the secret is shorter than {} characters", key, kSecretBytesAdvised),
        "make one that cannot be guessed: openssl rand -hex 32");
  }
  out = std::move(secret);
  return true;
}

}  // namespace streamobs::config
