#include "serve/live_hub.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "serve/json.h"

namespace streamobs::serve {

namespace {

constexpr std::chrono::seconds kPulseEvery{1};
constexpr int kPulsesPerComment = 15;
/// A reader is given at most this much in one write, so that none keeps its strand for long.
constexpr std::size_t kRoundMessages = 64;
constexpr std::size_t kRoundBytes = 1 << 20;
/// "Policy violation": what RFC 6455 has for a reader that does not keep up.
constexpr std::uint16_t kTooSlow = 1008;

std::size_t size_of(const WindowBatch& batch) {
  std::size_t bytes = sizeof(WindowBatch);
  for (const WindowRow& row : batch.rows) {
    bytes += sizeof(WindowRow) + row.state.size();
    for (const Value& key : row.keys) bytes += sizeof(Value) + key.text.size();
    for (const Value& metric : row.metrics) bytes += sizeof(Value) + metric.text.size();
  }
  return bytes;
}

void write_data(JsonWriter& json, const WindowBatch& batch) {
  json.begin_object().field("window", batch.schema->window).key("rows").begin_array();
  for (const WindowRow& row : batch.rows) write(json, *batch.schema, row);
  json.end_array().end_object();
}

bool is_among(const std::vector<std::string>& chosen, std::string_view name) {
  return chosen.empty() || std::find(chosen.begin(), chosen.end(), name) != chosen.end();
}

}  // namespace

/// One message; its text is made once, when it is first asked for.
class LiveHub::Message {
 public:
  enum class Kind { record, pulse, comment, sample };

  explicit Message(Record record) : kind_(Kind::record), record_(std::move(record)) {
    if (const auto* batch = std::get_if<WindowBatchPtr>(&record_)) {
      window_ = (*batch)->schema->window;
      bytes_ = size_of(**batch);
      event_ = "window";
    } else {
      event_ = std::holds_alternative<AnomalyPtr>(record_) ? "anomaly" : "incident";
    }
  }
  explicit Message(const Pulse& pulse) : kind_(Kind::pulse), pulse_(pulse), event_("pipeline") {}
  Message(std::size_t stream, std::string data)
      : kind_(Kind::sample),
        stream_(stream),
        bytes_(sizeof(Message) + data.size()),
        event_("stream"),
        data_(std::move(data)) {}
  Message() : kind_(Kind::comment) {}

  Kind kind() const { return kind_; }
  std::string_view event() const { return event_; }      ///< Of LiveHub::kEvents; or a comment.
  const std::string& window() const { return window_; }  ///< Empty: no window event.
  std::size_t stream() const { return stream_; }         ///< Of samples: whose.
  std::size_t bytes() const { return bytes_; }
  std::uint64_t id() const { return id_; }
  void set_id(std::uint64_t id) { id_ = id; }

  /// As a server-sent event.
  void append_event(std::string& out) {
    if (kind_ == Kind::comment) {
      out += ": still here\n\n";
      return;
    }
    out += fmt::format("id: {}\nevent: {}\ndata: ", id_, event_);
    out += data();
    out += "\n\n";
  }
  /// As a message of a WebSocket.
  std::string frame() {
    std::string out = fmt::format("{{\"id\":\"{}\",\"event\":\"{}\",\"data\":", id_, event_);
    out += data();
    out += '}';
    return out;
  }

 private:
  const std::string& data() {
    if (kind_ != Kind::sample) std::call_once(made_, [this] { make(); });
    return data_;
  }
  void make() {
    JsonWriter json(data_);
    if (kind_ == Kind::pulse) {
      write(json, pulse_);
    } else if (const auto* batch = std::get_if<WindowBatchPtr>(&record_)) {
      write_data(json, **batch);
    } else if (const auto* anomaly = std::get_if<AnomalyPtr>(&record_)) {
      write(json, **anomaly);
    } else if (const auto* incident = std::get_if<IncidentPtr>(&record_)) {
      write(json, **incident);
    }
    record_ = Record();
  }

  const Kind kind_;
  std::uint64_t id_ = 0;
  Record record_;
  Pulse pulse_;
  std::string window_;
  std::size_t stream_ = 0;
  std::size_t bytes_ = 1024;
  std::string_view event_;
  std::once_flag made_;
  std::string data_;
};

class LiveHub::Reader {
 public:
  Reader(LiveHub& hub, http::Exchange& exchange, Subscription subscription)
      : hub_(hub),
        web_socket_(exchange.asks_for_web_socket()),
        subscription_(std::move(subscription)) {
    for (std::size_t i = 0; i < hub_.feeds_.size() && !subscription_.streams.empty(); ++i) {
      if (is_among(subscription_.streams, hub_.feeds_[i]->stream())) streams_.push_back(i);
    }
    for (const std::size_t stream : streams_) hub_.feeds_[stream]->reader_came();
    const std::lock_guard lock(hub_.mutex_);
    seen = hub_.last_id_.load(std::memory_order_relaxed);
    live_from_ = seen;
    if (const std::optional<std::uint64_t> last = subscription_.last_event_id) {
      // An id that we never gave is of an earlier life: all that is kept is news then.
      const std::uint64_t before_first = hub_.told_gone_through_;
      seen = *last > seen ? before_first : std::max(*last, before_first);
    }
    hub_.readers_.push_back(this);
  }
  ~Reader() {
    for (const std::size_t stream : streams_) hub_.feeds_[stream]->reader_went();
    const std::lock_guard lock(hub_.mutex_);
    std::erase(hub_.readers_, this);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// It has gone, or has taken all there was of a hub that is closed.
  bool has_ended() const {
    return gone_ || (hub_.closed_.load(std::memory_order_acquire) && !is_behind());
  }
  bool has_news() const { return has_ended() || is_behind(); }
  /// Its own strand: the client has gone.
  void leave() {
    gone_ = true;
    signal.notify();
  }
  /// Any thread.
  bool wants(const Message& message) const {
    // Pulses and comments from before it came tell it nothing, and a WebSocket has pings.
    const Message::Kind kind = message.kind();
    const bool passing = kind == Message::Kind::pulse || kind == Message::Kind::comment;
    if (passing && message.id() <= live_from_) return false;
    if (kind == Message::Kind::comment) return !web_socket_;
    if (!is_among(subscription_.events, message.event())) return false;
    if (kind == Message::Kind::sample) return takes_samples_of(message.stream());
    return message.window().empty() || is_among(subscription_.windows, message.window());
  }
  const std::vector<std::size_t>& streams() const { return streams_; }
  bool takes_samples_of(std::size_t stream) const {
    return std::find(streams_.begin(), streams_.end(), stream) != streams_.end();
  }
  bool web_socket() const { return web_socket_; }
  bool is_behind() const { return hub_.last_id_.load(std::memory_order_acquire) > seen; }

  flow::Signal signal;
  std::uint64_t seen = 0;  ///< Id of the last message taken, or passed over.
  bool missed = false;  ///< Something it wants has gone before it was taken. Under the hub's mutex.

 private:
  LiveHub& hub_;
  const bool web_socket_;
  const Subscription subscription_;
  std::vector<std::size_t> streams_;  ///< Whose samples it takes.
  std::uint64_t live_from_ = 0;       ///< Id of the newest message when it came.
  bool gone_ = false;                 ///< Its strand's own.
};

struct LiveHub::History {
  Ring told;
  std::uint64_t told_gone_through = 0;
  std::size_t records_kept = 0;
  std::uint64_t last_id = 0;
};

LiveHub::LiveHub(const Clock& clock, telemetry::Registry& registry, std::function<Pulse()> pulse,
                 const std::vector<std::string>& streams, const History* before)
    : pulse_(std::move(pulse)),
      registry_(registry),
      messages_(registry.counter("streamobs_live_messages_total",
                                 "Messages published to readers of live events.")),
      cut_off_(registry.counter("streamobs_live_cut_off_total",
                                "Readers of live events cut off for being too slow.")),
      last_id_(static_cast<std::uint64_t>(std::max<Timestamp>(clock.now(), 1))) {
  told_gone_through_ = last_id_.load();
  if (before != nullptr) {
    told_ = before->told;
    told_gone_through_ = before->told_gone_through;
    records_kept_ = before->records_kept;
    last_id_ = before->last_id;
  }
  samples_.resize(streams.size());
  for (std::size_t i = 0; i < streams.size(); ++i) {
    feeds_.push_back(std::make_unique<StreamFeed>(streams[i], [this, i](std::string data) {
      push(std::make_shared<Message>(i, std::move(data)));
    }));
  }
  registry.gauge_callback(this, "streamobs_live_readers", "Readers of live events now.", {},
                          [this] { return static_cast<double>(readers()); });
}

LiveHub::~LiveHub() {
  registry_.remove_callbacks(this);
}

void LiveHub::process(const Record& record) {
  const bool is_news = std::holds_alternative<WindowBatchPtr>(record) ||
                       std::holds_alternative<AnomalyPtr>(record) ||
                       std::holds_alternative<IncidentPtr>(record);
  if (is_news) push(std::make_shared<Message>(record));
}

void LiveHub::publish(const Pulse& pulse) {
  push(std::make_shared<Message>(pulse));
}

void LiveHub::push(MessagePtr message) {
  messages_.add();
  const std::lock_guard lock(mutex_);
  const std::uint64_t id = last_id_.load(std::memory_order_relaxed) + 1;
  message->set_id(id);
  const bool is_sample = message->kind() == Message::Kind::sample;
  if (message->kind() == Message::Kind::record) ++records_kept_;
  const std::size_t stream = message->stream();
  Ring& ring = is_sample ? samples_[stream] : told_;
  ring.bytes += message->bytes();
  ring.messages.push_back(std::move(message));
  if (is_sample) {
    evict_samples(ring);
  } else {
    evict_told();
  }
  last_id_.store(id, std::memory_order_release);
  for (Reader* reader : readers_) {
    if (!is_sample || reader->takes_samples_of(stream)) reader->signal.notify();
  }
}

void LiveHub::drop_oldest(Ring& ring) {
  const Message& oldest = *ring.messages.front();
  for (Reader* reader : readers_) {
    if (reader->seen < oldest.id() && reader->wants(oldest)) reader->missed = true;
  }
  ring.bytes -= oldest.bytes();
  if (&ring == &told_) told_gone_through_ = oldest.id();
  if (oldest.kind() == Message::Kind::record) --records_kept_;
  ring.messages.pop_front();
}

// The newest message stays, however large: its readers must be able to see it.

void LiveHub::evict_told() {
  while (told_.messages.size() > 1 && (records_kept_ > kMessagesMax || told_.bytes > kBytesMax ||
                                       told_.messages.size() > 2 * kMessagesMax)) {
    drop_oldest(told_);
  }
}

void LiveHub::evict_samples(Ring& ring) {
  while (ring.messages.size() > 1 &&
         (ring.messages.size() > kSamplesMax || ring.bytes > kSampleBytesMax)) {
    drop_oldest(ring);
  }
}

bool LiveHub::collect(Reader& reader, std::vector<MessagePtr>& out) {
  const std::lock_guard lock(mutex_);
  if (reader.missed) return false;
  // What is left of each ring; by their ids they are one order.
  using Next = std::deque<MessagePtr>::const_iterator;
  std::vector<std::pair<Next, Next>> rings;
  const auto add = [&](const Ring& ring) {
    const Next first = std::upper_bound(
        ring.messages.begin(), ring.messages.end(), reader.seen,
        [](std::uint64_t id, const MessagePtr& message) { return id < message->id(); });
    if (first != ring.messages.end()) rings.emplace_back(first, ring.messages.end());
  };
  add(told_);
  for (const std::size_t stream : reader.streams()) add(samples_[stream]);
  std::size_t bytes = 0;
  while (!rings.empty()) {
    if (out.size() == kRoundMessages || bytes >= kRoundBytes) return true;
    const auto next = std::min_element(
        rings.begin(), rings.end(),
        [](const auto& a, const auto& b) { return (*a.first)->id() < (*b.first)->id(); });
    const MessagePtr& message = *next->first;
    reader.seen = message->id();
    if (reader.wants(*message)) {
      bytes += message->bytes();
      out.push_back(message);
    }
    if (++next->first == next->second) rings.erase(next);
  }
  reader.seen = last_id_.load(std::memory_order_relaxed);
  return true;
}

asio::awaitable<bool> LiveHub::send_events(http::Exchange& exchange,
                                           const std::vector<MessagePtr>& messages) {
  if (messages.empty()) co_return true;
  std::string out;
  for (const MessagePtr& message : messages) message->append_event(out);
  const bool sent = co_await exchange.write_stream(std::move(out));
  co_return sent;
}

asio::awaitable<bool> LiveHub::send_frames(http::Exchange& exchange,
                                           const std::vector<MessagePtr>& messages) {
  for (const MessagePtr& message : messages) {
    std::string frame = message->frame();
    const bool sent = co_await exchange.send_message(std::move(frame));
    if (!sent) co_return false;
  }
  co_return true;
}

asio::awaitable<void> LiveHub::serve(http::Exchange& exchange, Subscription subscription) {
  Reader reader(*this, exchange, std::move(subscription));
  bool open = false;
  if (reader.web_socket()) {
    std::function<void()> on_end = [&reader] { reader.leave(); };
    open = co_await exchange.start_web_socket(std::move(on_end));
  } else {
    std::string content_type = "text/event-stream";
    open = co_await exchange.start_stream(std::move(content_type));
    std::string retry = "retry: 2000\n\n";
    if (open) open = co_await exchange.write_stream(std::move(retry));
  }
  std::vector<MessagePtr> messages;
  while (open) {
    const auto has_news = [&reader] { return reader.has_news(); };
    co_await reader.signal.wait(has_news);
    if (reader.has_ended()) co_return;
    messages.clear();
    if (!collect(reader, messages)) {
      cut_off_.add();
      std::string reason = "too slow: messages have gone; come back with last_event_id";
      if (reader.web_socket()) co_await exchange.close_web_socket(kTooSlow, std::move(reason));
      co_return;
    }
    if (reader.web_socket()) {
      open = co_await send_frames(exchange, messages);
    } else {
      open = co_await send_events(exchange, messages);
    }
  }
}

/// Shows run()'s timer to close() for as long as run() lives, and not longer: a timer must not
/// outlive its io_context.
class LiveHub::LentTimer {
 public:
  LentTimer(LiveHub& hub, std::shared_ptr<asio::steady_timer> timer) : hub_(hub) {
    const std::lock_guard lock(hub_.mutex_);
    hub_.timer_ = std::move(timer);
  }
  ~LentTimer() {
    const std::lock_guard lock(hub_.mutex_);
    hub_.timer_.reset();
  }
  LentTimer(const LentTimer&) = delete;
  LentTimer& operator=(const LentTimer&) = delete;

 private:
  LiveHub& hub_;
};

asio::awaitable<void> LiveHub::run() {
  const auto executor = co_await asio::this_coro::executor;
  const auto timer = std::make_shared<asio::steady_timer>(executor);
  const LentTimer lent(*this, timer);
  auto next = std::chrono::steady_clock::now();
  for (int count = 1; !closed_.load(std::memory_order_acquire); ++count) {
    next += kPulseEvery;
    timer->expires_at(next);
    error_code ignored;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (closed_.load(std::memory_order_acquire)) break;
    if (pulse_) publish(pulse_());
    for (const auto& feed : feeds_) feed->settle();
    if (count % kPulsesPerComment == 0) push(std::make_shared<Message>());
    // After a stall there is one pulse, not all that were missed.
    next = std::max(next, std::chrono::steady_clock::now() - kPulseEvery);
  }
}

void LiveHub::close() {
  closed_.store(true, std::memory_order_release);
  const std::lock_guard lock(mutex_);
  for (Reader* reader : readers_) reader->signal.notify();
  if (timer_) {
    asio::post(timer_->get_executor(), [timer = timer_] { timer->cancel(); });
  }
}

std::shared_ptr<const LiveHub::History> LiveHub::history() const {
  const std::lock_guard lock(mutex_);
  return std::make_shared<const History>(
      History{told_, told_gone_through_, records_kept_, last_id_.load(std::memory_order_relaxed)});
}

std::size_t LiveHub::readers() const {
  const std::lock_guard lock(mutex_);
  return readers_.size();
}

std::size_t LiveHub::kept() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = told_.messages.size();
  for (const Ring& ring : samples_) count += ring.messages.size();
  return count;
}

}  // namespace streamobs::serve
