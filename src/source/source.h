// A source as the topology runs it: a coroutine that pushes numbered blocks until its input, or the
// engine, ends.
//
// Made at wiring time, run once on a strand of its own, kept until it has ended. What blocks runs
// on the blocking pool. Its progress may be read on any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "base/clock.h"
#include "base/result.h"
#include "event/resume_state.h"
#include "flow/asio.h"
#include "flow/blocking_pool.h"
#include "source/block_sink.h"
#include "source/options.h"
#include "source/progress.h"
#include "telemetry/registry.h"

namespace streamobs::source {

struct SourceSetup {
  SourceOptions options;
  std::uint32_t source_id = 0;
  std::uint32_t stream_id = 0;
  std::size_t event_bytes_max = 1 << 20;  ///< The stream's limit for one event.
  std::size_t block_bytes = 1 << 20;
};

/// What a source needs around it; all of it outlives the source.
struct SourceRuntime {
  BlockSink& sink;
  flow::BlockingPool& pool;
  const Clock& clock;
  const std::atomic<bool>& stop;  ///< Becomes true once: end soon (within some 100 ms).
  telemetry::Registry& metrics;   ///< For what only its kind of source counts.
  /// Called on the source's strand after each block; may be empty.
  std::function<void(const Progress&)> on_progress;
  /// What has reached the log of it before, by partition: the source numbers its blocks from
  /// next_block on and reads its files and topics from their places on. Of what has no places (a
  /// pipe, the demo) only the number goes on.
  std::map<std::uint32_t, ResumeState> resume = {};
  /// What it had proposed to its consumer group when the engine ended, by partition, in rising
  /// order: to be decided before anything else.
  std::map<std::uint32_t, std::vector<ProposedRange>> undecided = {};
  std::uint64_t log_id = 0;        ///< 0: there is no log.
  std::uint64_t log_position = 0;  ///< Of the log's last record when the source was made.

  ResumeState resume_of(std::uint32_t partition) const {
    const auto found = resume.find(partition);
    return found == resume.end() ? ResumeState() : found->second;
  }
};

class Source {
 public:
  virtual ~Source() = default;
  /// Returns when a bounded input has been read to its end, when told to stop, or with the error
  /// that ended it. Called once.
  virtual asio::awaitable<Result<>> run() = 0;
  const Progress& progress() const { return progress_; }

 protected:
  Source(SourceSetup setup, SourceRuntime runtime)
      : setup_(std::move(setup)), runtime_(std::move(runtime)) {
    for (const auto& [partition, state] : runtime_.resume) {
      numbers_[partition] = state.next_block - 1;
    }
    for (const auto& [partition, ranges] : runtime_.undecided) {
      numbers_[partition] = std::max(numbers_[partition], ranges.back().number);
    }
  }

  bool stopping() const { return runtime_.stop.load(std::memory_order_relaxed); }
  /// Numbers the block, stamps it with its arrival and pushes it. `block` has bytes, format,
  /// partition, offset, line, name, header and the place behind it. False: end.
  asio::awaitable<bool> push(Block block);
  /// Sleeps, but not much longer than until told to stop.
  asio::awaitable<void> pause(Duration duration);
  Result<> ended();
  Result<> failed(const Error& error);

  SourceSetup setup_;
  SourceRuntime runtime_;
  Progress progress_;

 private:
  std::map<std::uint32_t, std::uint64_t> numbers_;  ///< Of each partition's last block.
};

/// Fails for a scenario that does not exist. Files are looked for when it runs.
Result<std::unique_ptr<Source>> make_source(SourceSetup setup, SourceRuntime runtime);

}  // namespace streamobs::source
