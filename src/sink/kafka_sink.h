// Results into a topic, each exactly once for whoever reads what is committed.
//
// The store keeps a sink's results in its outbox, in the transaction that makes them results. This
// takes them from there in order and sends each batch in one Kafka transaction, together with a
// marker that says up to which place it goes: a message of its own topic, keyed by log and sink.
// Then they are removed from the outbox. So after a crash at any moment, or an end of a transaction
// that nobody knows, the marker says what has been delivered: a producer is made afresh (which ends
// what the earlier one left open, and fences whoever else is at it), reads the marker, has the
// outbox forget everything up to it, and goes on. The marker also bears the number of the engine's
// run that wrote it (its writer), and the database those that wrote for it: a marker of somebody
// else's, who runs on a copy of the data directory or went on from where a backup was taken, stops
// the sink for good, since which of its results are there cannot be told.
//
// One coroutine that lives on a thread that may block (flow/blocking_pool): librdkafka's
// transactions do, and so does the database. Never in the way of ingest but by the outbox's bound.
// Lives as long as the engine; goes when its pool has been joined, before the pool.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "flow/asio.h"
#include "kafka/producer.h"
#include "sink/options.h"
#include "store/database.h"
#include "telemetry/registry.h"
#include "telemetry/troubles.h"

namespace streamobs::sink {

class KafkaSink {
 public:
  enum class State : std::uint8_t {
    connecting,
    delivering,
    waiting,   ///< The outbox is empty.
    retrying,  ///< The brokers are away, or refuse.
    stopped,   ///< It needs a person; what is for it gathers in the outbox.
    ended,
  };

  /// Which log the results come from, and where that ended when the engine started.
  struct Origin {
    std::uint64_t log_id = 0;
    std::uint64_t end = 0;
  };

  /// `executor`: of the pool that run() lives on. All references outlive this.
  KafkaSink(SinkOptions options, Origin origin, store::Database& database,
            asio::any_io_executor executor, const Clock& clock, telemetry::Registry& metrics);
  ~KafkaSink();

  const asio::any_io_executor& executor() const { return executor_; }
  asio::awaitable<void> run();

  // Any thread.

  /// There may be something in the outbox.
  void notify();
  /// Nothing more comes: deliver what there is, for at most `patience`, and end.
  void finish(Duration patience);
  const SinkOptions& options() const { return options_; }
  State state() const { return state_.load(std::memory_order_relaxed); }
  std::uint64_t sent() const { return sent_.value(); }
  std::uint64_t refused() const { return refused_.value(); }
  /// What the last transaction took; 0: there was none yet.
  double transaction_seconds() const { return last_seconds_.load(std::memory_order_relaxed); }
  const telemetry::Troubles& troubles() const { return troubles_; }
  /// Connected to, as far as is known.
  std::int64_t brokers_up() const { return static_cast<std::int64_t>(brokers_up_.value()); }

 private:
  using Steady = std::chrono::steady_clock;
  enum class Step : std::uint8_t { more, nothing, again, stop };

  asio::awaitable<void> sleep(asio::steady_timer& timer, Duration duration, bool until_notified);
  void wake();
  bool gave_up() const;

  Step connect();
  Step find_topics();
  Step make_producer();
  /// What a transaction leaves in the topic of markers.
  struct Marker {
    store::OutboxPlace place;
    std::uint64_t writer = 0;
    friend bool operator==(const Marker&, const Marker&) = default;
  };

  Step read_marker();
  Step take_over(const std::optional<Marker>& found);
  Step disown(std::string_view message);
  Step deliver();
  Step produce(const std::vector<store::OutboxRow>& rows);
  Step commit(const store::OutboxPlace& last);
  Step deliver_less(const std::vector<store::OutboxRow>& rows, Step failed);
  void pass_over(std::size_t bytes);
  Step produce_one(const std::string& topic, std::optional<std::string_view> key,
                   std::string_view value, std::int32_t partition);

  Step again(const kafka::ProduceFailure& failure);
  Step again(const Error& error, std::string_view advice = {});
  Step stop(std::string_view message);
  void drop_producer();
  void say(const std::string& what, std::string_view error, std::string_view advice,
           telemetry::Troubles::Says says = telemetry::Troubles::Says::why);
  void say_delivering();
  void count_error(std::string_view name);
  std::string marker_key() const;
  std::string marker_of(const store::OutboxPlace& place) const;
  Result<Marker> read(const std::string& marker) const;

  const SinkOptions options_;
  const Origin origin_;
  store::Database& database_;
  const asio::any_io_executor executor_;
  const Clock& clock_;
  telemetry::Registry& metrics_;
  const std::uint64_t writer_;  ///< Of this run; never 0.

  // The coroutine's.
  std::unique_ptr<kafka::Producer> producer_;
  bool topics_found_ = false;
  bool initialised_ = false;  ///< The producer has the transactional id.
  bool marker_read_ = false;  ///< Ready to deliver.
  /// The marker as far as we know, and as it is if the last transaction was committed without our
  /// hearing of it. None: there is none yet.
  std::optional<Marker> marker_;
  std::optional<Marker> attempted_;
  bool marker_known_ = false;  ///< It has been read in this life.
  /// The topic refused a message of the last transaction for its size: which one is found by
  /// sending fewer at a time, and passed over once it is alone.
  bool too_large_ = false;
  std::size_t rows_max_;
  std::optional<store::OutboxPlace> passed_over_;
  std::set<std::string> said_;  ///< Troubles that have been told and not yet been got over.
  asio::steady_timer* timer_ = nullptr;  ///< While it runs.

  std::atomic<bool> notified_{false};
  std::atomic<bool> finishing_{false};
  std::atomic<Steady::rep> finish_by_{0};
  std::atomic<State> state_{State::connecting};
  std::atomic<double> last_seconds_{0};
  telemetry::Troubles troubles_;
  telemetry::Counter& sent_;
  telemetry::Counter& refused_;
  telemetry::Histogram& seconds_;
  telemetry::Gauge& brokers_up_;
};

/// As the API has it.
std::string_view to_text(KafkaSink::State state);

}  // namespace streamobs::sink
