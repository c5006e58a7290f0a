// The sequencing's state in checkpoints: what is taken over from one, and what goes into the next.
#include <chrono>
#include <memory>
#include <utility>

#include "app/sequencing.h"
#include "base/log.h"
#include "base/version.h"

namespace streamobs::app {

Result<> Sequencing::restore(const CheckpointParts& checkpoint) {
  if (const std::string* bytes = find_part(checkpoint, part::sequencer)) {
    const Result<std::vector<std::string>> lost = sequencer_.restore(*bytes);
    if (lost.has_error()) return lost.error();
    for (const std::string& source : *lost) {
      log::warn(
          "a source is gone, or has another name or stream: the places in its files are "
          "forgotten, and they are read from the start if it comes back",
          {{"source", source}});
    }
  }
  if (const std::string* bytes = find_part(checkpoint, part::request_keys)) {
    if (Result<> restored = request_keys_.restore(*bytes); restored.has_error()) return restored;
  }
  if (const std::string* bytes = find_part(checkpoint, part::proposed)) {
    if (Result<> restored = ranges_.restore(*bytes); restored.has_error()) return restored;
  }
  for (std::size_t id = 0; id < deduplicators_.size(); ++id) {
    const std::string& stream = plan_.config.streams[id].name.text;
    const std::string* bytes = find_part(checkpoint, part::deduplication(stream));
    if (bytes == nullptr || deduplicators_[id] == nullptr) continue;
    const Result<window::RestoredIds> restored = deduplicators_[id]->restore(*bytes);
    if (restored.has_error()) return restored.error();
    if (!restored->altered.empty()) {
      log::warn(
          "the stream's id is another field now: ids seen before are forgotten, and an event "
          "sent again may count twice",
          {{"stream", stream}, {"was", restored->altered}});
    }
  }
  if (Result<> restored = restore_templates(checkpoint); restored.has_error()) return restored;
  if (const std::string* bytes = find_part(checkpoint, part::lookups)) {
    if (Result<> restored = lookups_.restore(*bytes); restored.has_error()) return restored;
  }
  if (Result<> restored = joins_.restore(checkpoint); restored.has_error()) return restored;
  tell_joins();  // Of those that begin anew.
  checkpoint_position_ = checkpoint.position;
  publish_times();
  return {};
}

Result<> Sequencing::restore_templates(const CheckpointParts& checkpoint) {
  for (std::size_t id = 0; id < templates_.size(); ++id) {
    const std::string& stream = plan_.config.streams[id].name.text;
    const std::string* bytes = find_part(checkpoint, part::templates(stream));
    if (bytes == nullptr || templates_[id] == nullptr) continue;
    const Result<std::string> was = templates_[id]->restore(*bytes);
    if (was.has_error()) return was.error();
    if (!was->empty()) {
      log::warn("the stream's templates come from another field now: those known are forgotten",
                {{"stream", stream}, {"was", *was}});
    }
  }
  return {};
}

/// At the start, and again with each checkpoint: a log that has lost its beginning, or has been
/// kept for longer than anybody remembers, still says what its batches mean.
asio::awaitable<void> Sequencing::note_session() {
  wal::SessionStarted session;
  session.at = clock_.now();
  session.program = kVersion;
  session.config_text = plan_.config.text;
  for (const decode::StreamOptions& stream : plan_.config.streams) {
    session.streams.push_back(stream.name.text);
  }
  for (const PlannedSource& source : plan_.sources) {
    session.sources.push_back({source.name_in_log, source.stream_id});
  }
  wal::ControlRecord record = std::move(session);
  co_await note(std::move(record));
}

bool Sequencing::checkpoint_due() const {
  if (!journal_.has_log() || checkpoint_under_way_.load(std::memory_order_acquire)) return false;
  if (sequencer_.position() == checkpoint_position_) return false;
  const wal::WalOptions& options = plan_.config.wal;
  if (journal_.bytes_written() - bytes_at_checkpoint_ >= options.checkpoint_bytes) return true;
  const auto waited = std::chrono::steady_clock::now() - checkpoint_asked_at_;
  return waited >= std::chrono::microseconds(options.checkpoint_every);
}

asio::awaitable<void> Sequencing::ask_for_checkpoint() {
  const bool noted = journal_.has_log() && journal_.has_room(plan_.config.text.size());
  if (noted) co_await note_session();
  auto checkpoint = std::make_shared<CheckpointParts>();
  checkpoint->position = sequencer_.position();
  checkpoint->parts[part::config] = plan_.config.text;
  sequencer_.snapshot(checkpoint->parts[part::sequencer]);
  request_keys_.snapshot(checkpoint->parts[part::request_keys]);
  if (ranges_.size() != 0) ranges_.snapshot(checkpoint->parts[part::proposed]);
  for (std::size_t id = 0; id < deduplicators_.size(); ++id) {
    if (deduplicators_[id] == nullptr) continue;
    const std::string& stream = plan_.config.streams[id].name.text;
    deduplicators_[id]->snapshot(checkpoint->parts[part::deduplication(stream)]);
  }
  for (std::size_t id = 0; id < templates_.size(); ++id) {
    if (templates_[id] == nullptr) continue;
    const std::string& stream = plan_.config.streams[id].name.text;
    templates_[id]->snapshot(checkpoint->parts[part::templates(stream)]);
  }
  if (!plan_.lookups.empty()) lookups_.snapshot(checkpoint->parts[part::lookups]);
  joins_.snapshot(*checkpoint);
  checkpoint_under_way_.store(true, std::memory_order_release);
  checkpoint_asked_at_ = std::chrono::steady_clock::now();
  checkpoint_position_ = checkpoint->position;
  bytes_at_checkpoint_ = journal_.bytes_written();
  Step step;
  step.what = Barrier{std::move(checkpoint)};
  co_await journal_.push(std::move(step));
}

}  // namespace streamobs::app
