// What happens, told to everybody who looks: records become server-sent events, or messages of a
// WebSocket, as the reader has asked.
//
// One per engine; must outlive the HTTP server's connections. process() and publish() take a record
// in constant time, on any strand: the text of a message is made when the first reader wants it, on
// the reader's strand. (Samples of streams are made by the lanes, while somebody looks.) All
// readers read from the same rings of the newest messages, one of results and one of each stream's
// samples, each at its own place; so memory is bounded for all of them together. One that has not
// taken what it asked for before that left its ring is too slow and is cut off. It may come back
// and ask for what it missed by the last id that it had.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "event/record.h"
#include "flow/asio.h"
#include "flow/signal.h"
#include "http/exchange.h"
#include "serve/state.h"
#include "serve/stream_feed.h"
#include "telemetry/registry.h"

namespace streamobs::serve {

/// What a reader has asked for.
struct Subscription {
  std::vector<std::string> events;   ///< Kinds: "window", "anomaly" …; empty: all of them.
  std::vector<std::string> windows;  ///< Likewise.
  std::vector<std::string> streams;  ///< Whose events; empty: none.
  std::optional<std::uint64_t> last_event_id;
};

class LiveHub {
 public:
  /// Messages (of windows, anomalies and incidents) that can be asked for again.
  static constexpr std::size_t kMessagesMax = 1'000;
  /// What they may hold together, about.
  static constexpr std::size_t kBytesMax = 32 << 20;
  /// Samples are kept apart, each stream's by themselves, so that they push out nothing else: so
  /// many messages of a stream, and what they may hold together.
  static constexpr std::size_t kSamplesMax = 500;
  static constexpr std::size_t kSampleBytesMax = 4 << 20;
  /// What a message can be of.
  static constexpr std::string_view kEvents[] = {"window", "anomaly", "incident", "pipeline",
                                                 "stream"};

  /// What a hub has told, for one that follows it in the same process.
  struct History;

  /// Ids begin at the clock's microseconds, so that they grow across restarts, and go on from
  /// `before` where there is one: what its readers missed can be asked for here. `pulse` is asked
  /// every second for the pipeline event, on run()'s strand; may be empty. `streams` are those
  /// whose events can be looked at.
  LiveHub(const Clock& clock, telemetry::Registry& registry, std::function<Pulse()> pulse,
          const std::vector<std::string>& streams, const History* before = nullptr);
  ~LiveHub();
  LiveHub(const LiveHub&) = delete;
  LiveHub& operator=(const LiveHub&) = delete;

  /// Any thread. What is no window, anomaly or incident is passed over.
  void process(const Record& record);
  void publish(const Pulse& pulse);
  /// For whoever counts the events of a stream, by its place in `streams`.
  StreamFeed& feed(std::size_t stream) { return *feeds_[stream]; }

  /// Sends the pulse every second and a comment every 15 (to those who have no pings), until
  /// close().
  asio::awaitable<void> run();
  /// Serves one reader until it goes, is too slow, or close().
  asio::awaitable<void> serve(http::Exchange& exchange, Subscription subscription);
  /// Any thread. Ends run(), and every serve() once it has sent what there is.
  void close();
  /// Without samples. Any thread.
  std::shared_ptr<const History> history() const;

  std::size_t readers() const;
  /// Messages kept now.
  std::size_t kept() const;

 private:
  class Message;
  using MessagePtr = std::shared_ptr<Message>;
  /// A reader's place in the rings. Its serve() coroutine holds it.
  class Reader;
  class LentTimer;

  static asio::awaitable<bool> send_events(http::Exchange& exchange,
                                           const std::vector<MessagePtr>& messages);
  static asio::awaitable<bool> send_frames(http::Exchange& exchange,
                                           const std::vector<MessagePtr>& messages);
  /// Messages by id, the oldest first; ids of the other rings' are missing.
  struct Ring {
    std::deque<MessagePtr> messages;
    std::size_t bytes = 0;
  };

  void push(MessagePtr message);
  void evict_told();
  void evict_samples(Ring& ring);
  void drop_oldest(Ring& ring);
  /// What it wants of the messages after its place, at most a round's worth. False: some of that
  /// has gone.
  bool collect(Reader& reader, std::vector<MessagePtr>& out);

  const std::function<Pulse()> pulse_;
  std::vector<std::unique_ptr<StreamFeed>> feeds_;
  telemetry::Registry& registry_;
  telemetry::Counter& messages_;
  telemetry::Counter& cut_off_;
  std::atomic<std::uint64_t> last_id_;
  std::atomic<bool> closed_{false};

  mutable std::mutex mutex_;
  Ring told_;                            ///< All but samples.
  std::uint64_t told_gone_through_ = 0;  ///< Id of the newest of them that has been let go.
  std::size_t records_kept_ = 0;         ///< Of them those that are no pulse and no comment.
  std::vector<Ring> samples_;            ///< By stream.
  std::vector<Reader*> readers_;
  std::shared_ptr<asio::steady_timer> timer_;  ///< Of run() while it runs, for close() to wake it.
};

}  // namespace streamobs::serve
