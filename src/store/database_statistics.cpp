// The statistics by which SQLite chooses how to answer: renewed now and then, a table at a time.
#include <mutex>

#include <fmt/format.h>

#include "store/database_impl.h"

namespace streamobs::store {

namespace {

/// Rows of an index that ANALYZE looks at; SQLite's own advice.
constexpr int kAnalyzedRows = 1'000;

}  // namespace

Result<std::vector<std::string>> Database::tables_to_analyze() const {
  const std::lock_guard lock(impl_->reader_mutex);
  Result<Statement> names = impl_->reader.prepare(
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' "
      "ESCAPE '\\' AND name NOT LIKE 'streamobs\\_%' ESCAPE '\\'");
  if (names.has_error()) return names.error();
  std::vector<std::string> tables;
  while (true) {
    const Result<bool> row = names->step();
    if (row.has_error()) return row.error();
    if (!*row) return tables;
    tables.push_back(names->text_at(0));
  }
}

Result<bool> Database::analyze(const std::string& table) {
  Impl& impl = *impl_;
  const std::lock_guard lock(impl.writer_mutex);
  if (impl.in_transaction) return false;
  const Result<std::int64_t> there = impl.writer.query_int(fmt::format(
      "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = {}", quoted_text(table)));
  if (there.has_error()) return impl.failed(there.error());
  if (*there == 0) return true;
  const Result<> done = impl.writer.execute(
      fmt::format("PRAGMA analysis_limit = {}; ANALYZE {}", kAnalyzedRows, quoted(table)));
  if (done.has_error()) return impl.failed(done.error());
  return true;
}

}  // namespace streamobs::store
