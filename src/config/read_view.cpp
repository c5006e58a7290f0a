// [view.NAME], and what it says of windows. Whether their columns are the same is checked where the
// plan is made, which knows their types.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/time_format.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

using store::ViewOptions;

constexpr std::size_t kWindowsMax = 32;

const window::WindowOptions* find_window(const Config& config, std::string_view name) {
  for (const window::WindowOptions& window : config.windows) {
    if (window.name.text == name) return &window;
  }
  return nullptr;
}

/// What the rows of a window have as window_size: "5m"; of hopping windows "5m/1m".
std::string size_of(const window::WindowOptions& window) {
  std::string size = streamobs::to_text(window.size);
  if (window.hop != 0 && window.hop != window.size) size += "/" + streamobs::to_text(window.hop);
  return size;
}

/// The windows that can be shown together, each with its size.
void check_windows(ViewOptions& view, const Config& config, Report& report) {
  std::vector<std::string_view> known;
  for (const window::WindowOptions& window : config.windows) known.push_back(window.name.text);
  std::vector<SourceText> windows;
  for (const SourceText& name : view.windows) {
    if (!check_name(name, "windows", "window", known, report)) continue;
    const window::WindowOptions& window = *find_window(config, name.text);
    if (window.gap != 0) {
      report.error(span_of(name), fmt::format("windows: {} are sessions", name.text),
                   "each session is as long as its key made it: there is no size to tell it by");
      continue;
    }
    const std::string size = size_of(window);
    const auto same = std::find(view.sizes.begin(), view.sizes.end(), size);
    // One whose size is wrong has been told so.
    if (same != view.sizes.end() && !report.has_errors_in("window", name.text)) {
      const SourceText& other = windows[static_cast<std::size_t>(same - view.sizes.begin())];
      report.error(span_of(name),
                   other.text == name.text
                       ? fmt::format("windows: {} is named twice", name.text)
                       : fmt::format("windows: {} and {} both have the {} \"{}\"", other.text,
                                     name.text, store::kViewColumn, size),
                   "remove one of the two");
      continue;
    }
    windows.push_back(name);
    view.sizes.push_back(size);
  }
  view.windows = std::move(windows);
}

}  // namespace

void read_view(const Entry& entry, Config& config, Report& report) {
  const TableReader table(entry.value, entry.key_span, fmt::format("[view.{}]", entry.key), kView,
                          report);
  ViewOptions out;
  out.name = SourceText(entry.key, report.file().place(entry.key_span));
  check_view_name(entry, "view", report);
  table.texts("windows", out.windows);
  if (!table.has("windows")) {
    table.missing("windows", "whose rows does it show? windows = [\"per_minute\", \"per_hour\"]");
  } else if (out.windows.size() > kWindowsMax) {
    table.error("windows", fmt::format("more than {} windows", kWindowsMax), "leave some out");
    out.windows.resize(kWindowsMax);
  } else if (const Value* list = table.find("windows");
             list->kind == Value::Kind::array && list->items.empty()) {
    table.error("windows", "there are none", "name the windows whose rows it shows");
  }
  config.store.views.push_back(std::move(out));
}

void check_views(Config& config, Report& report) {
  std::vector<std::string> names;
  for (const window::WindowOptions& window : config.windows)
    names.push_back(lower(window.name.text));
  for (ViewOptions& view : config.store.views) {
    const Report::Within item(report, "view", view.name.text);
    const std::string name = lower(view.name.text);
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      report.error(span_of(view.name),
                   fmt::format("there is a window or a view {} already", view.name.text),
                   "SQL does not tell upper from lower case: choose another name");
    }
    names.push_back(name);
    check_windows(view, config, report);
  }
}

}  // namespace streamobs::config
