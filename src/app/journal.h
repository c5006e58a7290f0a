// The coroutine shell round the write-ahead log: group commit.
//
// Takes sequenced steps, has all that wait written and synced in one go, and only then acknowledges
// them and lets them pass on to the lanes: nobody hears of an event that a crash could still lose.
// While one group is being synced the next one gathers. Without a log (replay of files) everything
// passes at once.
//
// Two sides. The sequencer's strand hands in, and asks for room before it gives anything its place,
// so that a full disk refuses new events instead of failing half-way. run() lives on a thread of
// its own, where it may block: between two groups the disk waits for nobody's turn on a loop. Lives
// as long as the topology.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "app/step.h"
#include "base/clock.h"
#include "base/result.h"
#include "flow/asio.h"
#include "flow/blocking_pool.h"
#include "flow/channel.h"
#include "flow/signal.h"
#include "telemetry/registry.h"
#include "wal/log.h"
#include "wal/options.h"

namespace streamobs::app {

class Journal {
 public:
  /// Without a log before attach(). `on_fatal` is called once, on the log's thread, when the log
  /// has failed: nothing more will be acknowledged. `background` is for what is in no hurry.
  Journal(flow::BlockingPool& background, const Clock& clock, telemetry::Registry& metrics,
          std::function<void(Error)> on_fatal);

  /// Before run(): the log to write to, which outlives this.
  void attach(wal::Log& log, const wal::WalOptions& options);
  bool has_log() const { return log_ != nullptr; }

  /// The sequencer's side: hands a step in, in its order; close() when there are no more.
  asio::awaitable<void> push(Step step);
  void close() { input_.close(); }
  flow::Channel<Step>& output() { return output_; }
  double fill() const { return input_.fill_ratio(); }

  /// On a thread that it may block. Until it is closed and drained; then closes the output.
  asio::awaitable<void> run();
  /// Compresses full segments and removes those nobody needs, until stop_maintaining().
  asio::awaitable<void> run_maintenance();
  void stop_maintaining();
  /// Any thread: shutdown has waited long enough for space on the disk.
  void give_up() { give_up_.store(true, std::memory_order_relaxed); }
  /// Any thread: records up to `position` are not needed any more.
  void may_trim(std::uint64_t position) { trim_up_to_.store(position); }

  // Room on the disk; the sequencer's strand but for disk_full().

  /// Whether the log can take a further record with a payload of that many bytes.
  bool has_room(std::uint64_t payload_bytes) const;
  /// Whether it can take some of the small records that are no batches: room is kept back for them.
  bool has_room_for_control() const;
  bool failed() const { return failed_.load(); }
  /// Returns when there is room for it or the disk is full.
  asio::awaitable<void> wait_for_room(std::uint64_t payload_bytes);
  /// Any thread: new events cannot be taken at the moment.
  bool disk_full() const { return disk_full_.load(std::memory_order_relaxed); }

  /// Any thread. Bytes written to the log since the start.
  std::uint64_t bytes_written() const { return bytes_written_.load(std::memory_order_relaxed); }

 private:
  /// What one group writes.
  struct Group {
    std::vector<wal::LogRecord> records;
    std::vector<std::string_view> payloads;  ///< One for each record.
    std::vector<std::string> control_bytes;  ///< Payloads of records that are no batches.
    std::uint64_t queued_bytes = 0;          ///< Of its steps, by Step::bytes_in_log.
    std::uint64_t bytes = 0;                 ///< In the log.
    bool sync = true;
    void clear();
  };

  static std::uint64_t size_in_log(const Step& step);
  void gather(std::vector<Step>& steps);
  void add(std::uint64_t position, wal::RecordType type, std::string_view payload,
           std::uint32_t crc);
  void commit();
  Result<> write_group();
  bool must_sync(Timestamp now) const;
  asio::awaitable<void> pass_on(std::vector<Step>& steps);
  void take_room(const Result<>& reserved, std::uint64_t bytes);
  void fail(const Error& error);
  void acknowledge(Step& step);

  flow::BlockingPool& background_;
  const Clock& clock_;
  std::function<void(Error)> on_fatal_;
  wal::Log* log_ = nullptr;
  wal::WalOptions options_;
  flow::Channel<Step> input_;
  flow::Channel<Step> output_;

  // Between the two sides.
  std::atomic<bool> failed_{false};
  std::atomic<bool> give_up_{false};
  std::atomic<bool> disk_full_{false};
  std::atomic<std::uint64_t> room_wanted_{0};  ///< By the largest record so far.
  /// That the log has promised to take. Lowered before queued_bytes_ is, and read after it: what
  /// has just been written may be counted twice, never left out.
  std::atomic<std::uint64_t> room_bytes_{0};
  std::atomic<std::uint64_t> queued_bytes_{0};  ///< Sequenced, not yet appended.
  flow::Signal room_changed_;
  std::atomic<std::uint64_t> bytes_written_{0};

  // Of the log's thread.
  Group group_;
  /// With durability = "interval": acknowledged, but not to be seen behind the log before the sync,
  /// so that neither store nor checkpoint is ever ahead of the log. Bounded as what is in flight
  /// is.
  std::vector<Step> unsynced_steps_;
  bool barrier_ = false;  ///< The group holds a barrier, or an Answer that wants it synced.
  std::uint64_t unsynced_bytes_ = 0;  ///< Appended since the last sync.
  Timestamp synced_at_ = 0;
  telemetry::Counter& groups_;
  telemetry::Histogram& commit_seconds_;

  // Of maintenance.
  bool maintaining_ = true;
  asio::steady_timer* maintenance_timer_ = nullptr;  ///< While run_maintenance() runs.
  std::atomic<std::uint64_t> trim_up_to_{0};
};

}  // namespace streamobs::app
