// What a Database is made of, for the files that hold its halves: database.cpp (opening, writing,
// keeping up), database_outboxes.cpp and database_queries.cpp.
//
// Lives as long as its Database. Which thread may touch what is said at the mutexes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "store/database.h"
#include "store/dead_letter_table.h"
#include "store/outbox.h"
#include "store/record_tables.h"
#include "store/sqlite.h"
#include "store/window_store.h"

namespace streamobs::store {

struct Database::Impl {
  explicit Impl(const StoreOptions& o) : options(o), outbox(o.outboxes) {}

  StoreOptions options;
  bool begun_anew = false;
  Connection writer;
  RecentBudget recent_budget;
  std::map<std::string, std::unique_ptr<WindowStore>, NameLess> tables;
  const StateMerger* merger = nullptr;
  RecordWriter records;
  DeadLetterWriter dead_letters;
  Outbox outbox;
  std::function<void()> on_commit;
  std::mutex writer_mutex;  ///< Of the writing connection, and so of most of the above.
  Statement set_position;
  bool in_transaction = false;
  std::string kept_up_last;         ///< Where the last keep_up() stopped: a name of `tables`.
  std::uint64_t rows_open = 0;      ///< Written in the open transaction.
  int journal_pages = 0;            ///< After the last commit.
  mutable std::mutex reader_mutex;  ///< Queries take turns; each is bounded in time.
  Connection reader;
  mutable std::mutex outbox_mutex;
  Connection outbox_reader;  ///< Of its own: a query must not keep a sink waiting.
  std::atomic<std::uint64_t> log_id{0};
  std::atomic<std::uint64_t> applied{0};
  std::atomic<std::uint64_t> rows_written{0};
  std::atomic<std::uint64_t> transactions{0};
  std::atomic<std::uint64_t> busy_retries{0};
  std::atomic<Timestamp> last_commit_at{0};
  SystemClock clock;

  Result<> set_up(const std::vector<std::shared_ptr<const WindowSchema>>& windows, Changes changes);
  Result<> read_position();
  Result<> write_position(std::uint64_t log, std::uint64_t position);
  Result<> begin();
  Result<> end();
  void undo();
  Result<std::uint64_t> write_all(std::span<const Record> batch);
  Result<> write_window(const WindowBatch& batch);
  Result<> fold_journal();
  Result<> remove_delivered();
  Result<std::size_t> keep_up(WindowStore& table, std::size_t rows_max);
  Error failed(const Error& error);
};

}  // namespace streamobs::store
