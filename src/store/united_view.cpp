#include "store/united_view.h"

#include <algorithm>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "store/foreign_names.h"

namespace streamobs::store {

namespace {

/// Part of the statement that makes such a view, which SQLite keeps: how they are known later.
constexpr std::string_view kMark = "/* streamobs: windows united */";

Result<std::vector<std::string>> united_views(const Connection& connection) {
  Result<Statement> select = connection.prepare(
      "SELECT name FROM sqlite_master WHERE type = 'view' AND instr(sql, ?1) ORDER BY name");
  if (select.has_error()) return select.error();
  select->bind(1, kMark);
  std::vector<std::string> names;
  while (true) {
    const Result<bool> more = select->step();
    if (more.has_error()) return more.error();
    if (!*more) return names;
    names.push_back(select->text_at(0));
  }
}

std::string create_sql(const ViewOptions& view, const WindowSchema& columns) {
  std::string names = "window_start, window_end";
  for (const ResultColumn& key : columns.keys) names += ", " + quoted(key.name);
  std::string metrics;
  for (const ResultColumn& metric : columns.metrics) metrics += ", " + quoted(metric.name);
  std::string sql = fmt::format("CREATE VIEW {} AS {} ", quoted(view.name.text), kMark);
  for (std::size_t i = 0; i < view.windows.size(); ++i) {
    sql += fmt::format("{}SELECT {}, {} AS {}{}, closed, revision FROM {}",
                       i == 0 ? "" : " UNION ALL ", names, quoted_text(view.sizes[i]), kViewColumn,
                       metrics, quoted(view.windows[i].text));
  }
  return sql;
}

}  // namespace

Result<> create_united_views(const Connection& connection, const std::vector<ViewOptions>& views,
                             const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  const Result<std::vector<std::string>> old = united_views(connection);
  if (old.has_error()) return old.error();
  for (const std::string& name : *old) {
    const Result<> done = connection.execute("DROP VIEW " + quoted(name));
    if (done.has_error()) return done;
  }
  for (const ViewOptions& view : views) {
    const auto first = std::find_if(windows.begin(), windows.end(), [&](const auto& window) {
      return window->window == view.windows.front().text;
    });
    if (first == windows.end()) {
      return fail(ErrorCode::invalid, fmt::format("view {}: there is no window {}", view.name.text,
                                                  view.windows.front().text));
    }
    // One of that name may be a window's that the config has no more; its table stays.
    const Result<> dropped = drop_own_view(connection, view.name.text, "view " + view.name.text);
    if (dropped.has_error()) return dropped;
    const Result<> created = connection.execute(create_sql(view, **first));
    if (created.has_error()) return created;
  }
  return {};
}

}  // namespace streamobs::store
