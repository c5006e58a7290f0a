// What the sink's tests share: records of log positions, cuts, and a sink with all it refers to.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "flow/task_group.h"
#include "sink/store_sink.h"
#include "store/support.h"

namespace streamobs::sink::test {

using namespace streamobs::store::test;  // NOLINT
using Channel = flow::Channel<Record>;

inline Record some(int first, int count, bool early = false) {
  std::vector<WindowRow> rows;
  for (int i = first; i < first + count; ++i) {
    rows.push_back(service_row(kNoon, Value::of_string(std::to_string(i)), i));
  }
  return batch(services(), std::move(rows), early);
}

inline Record cut(std::uint64_t position = 0,
                  std::shared_ptr<CheckpointParts> checkpoint = nullptr) {
  auto made = std::make_shared<Cut>();
  made->position = position;
  made->checkpoint = std::move(checkpoint);
  return CutPtr(std::move(made));
}

inline std::shared_ptr<CheckpointParts> barrier(std::uint64_t position) {
  auto made = std::make_shared<CheckpointParts>();
  made->position = position;
  made->parts["windows/requests"] = "state";
  return made;
}

/// A sink over a database in a directory of its own, with everything it refers to.
struct Fixture {
  explicit Fixture(std::size_t capacity = 64, std::size_t rows_per_transaction = 1'000,
                   std::size_t keep_bytes_max = StoreSink::kKeepBytesMax)
      : input(capacity), database(open(temp.database(), {services()})) {
    store::StoreOptions made = options(temp.database());
    made.rows_per_transaction = rows_per_transaction;
    sink.emplace(
        *database, input, pool, clock, metrics, made,
        [this](const Error& error) {
          ++fatal_calls;
          fatal = error;
        },
        [this](const std::shared_ptr<CheckpointParts>& parts) { return save(parts); },
        keep_bytes_max);
  }

  Result<> save(const std::shared_ptr<CheckpointParts>& parts) {
    ++saves;
    saved_rows = stored();
    saved_position = parts->position;
    applied_when_saved = database->applied_position();
    return save_result;
  }

  /// Runs the sink and `produce` on two threads until both have ended.
  void run(std::function<asio::awaitable<void>()> produce) {
    flow::TaskGroup tasks([](const std::string& name, const std::exception_ptr&) {
      FAIL_CHECK(name << " ended with an exception");
    });
    tasks.spawn(asio::make_strand(io), "sink", sink->run());
    tasks.spawn(asio::make_strand(io), "produce", produce());
    std::thread second([this] { io.run(); });
    io.run();
    second.join();
  }

  std::size_t stored() const {
    return database->window_rows(rows_of("service_metrics")).value().size();
  }

  TempDir temp;
  asio::io_context io;
  Channel input;
  flow::BlockingPool pool{2};
  ManualClock clock{kNoon};
  telemetry::Registry metrics;
  std::unique_ptr<store::Database> database;
  std::optional<StoreSink> sink;
  int fatal_calls = 0;
  Error fatal;
  Result<> save_result;
  int saves = 0;
  std::size_t saved_rows = 0;
  std::uint64_t saved_position = 0;
  std::uint64_t applied_when_saved = 0;
};

inline asio::awaitable<void> push_all(Channel& input, std::vector<Record> records) {
  for (Record& record : records) {
    const bool taken = co_await input.push(std::move(record));
    if (!taken) co_return;
  }
  input.close();
}

/// Waits on a condition, at most ten seconds.
inline asio::awaitable<bool> until(std::function<bool()> condition) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (int i = 0; i < 2'000; ++i) {
    if (condition()) co_return true;
    timer.expires_after(std::chrono::milliseconds(5));
    co_await timer.async_wait(asio::use_awaitable);
  }
  co_return false;
}

inline Record at(std::uint64_t position, int first, int count) {
  auto made = std::make_shared<WindowBatch>(*std::get<WindowBatchPtr>(some(first, count)));
  made->position = position;
  return WindowBatchPtr(std::move(made));
}

inline Record letter_at(std::uint64_t sequence, std::uint32_t event) {
  DeadLetter made = letter("s", "late", kNoon);
  made.sequence = sequence;
  made.event_index = event;
  return letters({made});
}

}  // namespace streamobs::sink::test
