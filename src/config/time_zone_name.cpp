#include <filesystem>
#include <string>
#include <system_error>

#include <fmt/format.h>

#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

constexpr std::string_view kZoneDirectory = "/usr/share/zoneinfo/";

/// "Europe/Berlin", "Etc/GMT+1": what cannot leave the directory of zones.
bool is_zone_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '/' || name.back() == '/') return false;
  for (const char c : name) {
    if (c != '/' && c != '+' && !is_label(std::string_view(&c, 1))) return false;
  }
  return true;
}

}  // namespace

void read_time_zone(const TableReader& table, std::string& out) {
  SourceText name;
  table.text("timezone", name);
  if (name.empty()) return;
  std::error_code error;
  const bool known = name.text == "UTC" || (is_zone_name(name.text) &&
                                            std::filesystem::is_regular_file(
                                                std::string(kZoneDirectory) + name.text, error));
  if (known) {
    out = name.text;
    return;
  }
  table.error("timezone", fmt::format("there is no time zone \"{}\"", name.text),
              "it is an IANA name such as \"UTC\" or \"Europe/Berlin\" (package tzdata)");
}

}  // namespace streamobs::config
