// What happens, told to everybody who looks: records become server-sent events, or messages of a
// WebSocket, as the reader has asked.
//
// One per engine; must outlive the HTTP server's connections. process() and publish() take a record
// in constant time, on any strand: the text of a message is made when the first reader wants it, on
// the reader's strand. All readers read from one ring of the newest messages, each at its own
// place; so memory is bounded for all of them together, and one whose place has left the ring is
// too slow and is cut off. It may come back and ask for what it missed by the last id that it had.
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
#include "telemetry/registry.h"

namespace streamobs::serve {

/// What a reader has asked for.
struct Subscription {
  std::vector<std::string> events;   ///< Kinds: "window", "anomaly" …; empty: all of them.
  std::vector<std::string> windows;  ///< Likewise.
  std::optional<std::uint64_t> last_event_id;
};

class LiveHub {
 public:
  /// Messages (of windows, anomalies and incidents) that can be asked for again.
  static constexpr std::size_t kMessagesMax = 1'000;
  /// What they may hold together, about.
  static constexpr std::size_t kBytesMax = 32 << 20;
  /// What a message can be of.
  static constexpr std::string_view kEvents[] = {"window", "anomaly", "incident", "pipeline"};

  /// Ids begin at the clock's microseconds, so that they grow across restarts. `pulse` is asked
  /// every second for the pipeline event, on run()'s strand; may be empty.
  LiveHub(const Clock& clock, telemetry::Registry& registry, std::function<Pulse()> pulse);
  ~LiveHub();
  LiveHub(const LiveHub&) = delete;
  LiveHub& operator=(const LiveHub&) = delete;

  /// Any thread. What is no window, anomaly or incident is passed over.
  void process(const Record& record);
  void publish(const Pulse& pulse);

  /// Sends the pulse every second and a comment every 15 (to those who have no pings), until
  /// close().
  asio::awaitable<void> run();
  /// Serves one reader until it goes, is too slow, or close().
  asio::awaitable<void> serve(http::Exchange& exchange, Subscription subscription);
  /// Any thread. Ends run() and every serve().
  void close();

  std::size_t readers() const;
  /// Messages kept now.
  std::size_t kept() const;

 private:
  class Message;
  using MessagePtr = std::shared_ptr<Message>;
  /// A reader's place in the ring. Its serve() coroutine holds it.
  class Reader;
  class LentTimer;

  static asio::awaitable<bool> send_events(http::Exchange& exchange,
                                           const std::vector<MessagePtr>& messages);
  static asio::awaitable<bool> send_frames(http::Exchange& exchange,
                                           const std::vector<MessagePtr>& messages);
  void push(MessagePtr message);
  void evict();
  /// What it wants of the messages after its place, at most a round's worth. False: its place has
  /// gone.
  bool collect(Reader& reader, std::vector<MessagePtr>& out);

  const std::function<Pulse()> pulse_;
  telemetry::Registry& registry_;
  telemetry::Counter& messages_;
  telemetry::Counter& cut_off_;
  std::atomic<std::uint64_t> last_id_;
  std::atomic<bool> closed_{false};

  mutable std::mutex mutex_;
  std::deque<MessagePtr> ring_;   ///< Ids without gaps.
  std::size_t records_kept_ = 0;  ///< Of them those that are no pulse and no comment.
  std::size_t bytes_kept_ = 0;
  std::vector<Reader*> readers_;
  std::shared_ptr<asio::steady_timer> timer_;  ///< Of run() while it runs, for close() to wake it.
};

}  // namespace streamobs::serve
