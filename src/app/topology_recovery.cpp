// The topology's beginning: from what the engine left when it ended last to the first new event.
#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "app/coherence.h"
#include "app/state_merging.h"
#include "app/topology.h"
#include "base/log.h"
#include "base/posix_file_system.h"

namespace streamobs::app {

namespace {

/// In one start: the one that is there, and new ones in the place of damaged ones.
constexpr int kDatabasesMax = 3;

void remove_database(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    std::error_code ignored;
    std::filesystem::remove(path + suffix, ignored);
  }
}

/// What their events had been counted to is gone; they themselves are in the log.
void warn_of_lost(const window::LostWindow& lost) {
  std::string what;
  for (const std::string& altered : lost.altered) what += (what.empty() ? "" : ", ") + altered;
  std::uint64_t rows = 0;
  std::size_t late = 0;
  for (const window::LostWindow::Instance& instance : lost.instances) {
    rows += instance.rows;
    late += instance.late ? 1 : 0;
  }
  std::string message = "a window is defined differently now: what was open of it begins anew";
  if (lost.altered.empty()) {
    message = "the config has a window no more: what was open of it is dropped";
  } else if (what == "late") {
    message =
        "the time zone of a window has got new rules: what had closed of it cannot be corrected "
        "any more";
  }
  if (late != 0) message += "; late events that waited for their revision are lost";
  const log::Field events = lost.events ? log::Field("events", *lost.events)
                                        : log::Field("events", "not known, it has no count(*)");
  log::warn(message, {{"window", lost.window},
                      {"open", lost.instances.size() - late},
                      {"awaiting_revision", late},
                      {"rows", rows},
                      events,
                      {"altered", what.empty() ? "gone" : what}});
}

/// Of what nobody has foreseen.
Error cannot_begin(const std::exception& error) {
  return fail(ErrorCode::internal, fmt::format("the engine cannot begin: {}", error.what()));
}

}  // namespace

/// Whoever asks this engine to stop while it replays a past asks that one.
class Topology::PastShown {
 public:
  PastShown(Topology& topology, Topology& past) : topology_(topology) {
    const std::lock_guard lock(topology_.past_mutex_);
    topology_.past_ = &past;
    if (topology_.stop_requested_) past.request_stop();
  }
  ~PastShown() {
    const std::lock_guard lock(topology_.past_mutex_);
    topology_.past_ = nullptr;
  }
  PastShown(const PastShown&) = delete;
  PastShown& operator=(const PastShown&) = delete;

 private:
  Topology& topology_;
};

Result<> Topology::open_database(const std::vector<std::shared_ptr<const WindowSchema>>& windows) {
  store::StoreOptions options = plan_->config.store;
  options.path = plan_->config.data_dir + "/streamobs.db";
  const bool scratch = options_.past && options_.past->stored;
  if (scratch) {
    options.path = plan_->config.data_dir + "/replayed-again.db";
    remove_database(options.path);
  }
  // Without a log nobody could tell what has been sent.
  if (scratch || !options_.durable) options.outboxes.clear();
  // What replays a past only makes results again that are there.
  if (!options_.past && state_merging_ == nullptr) {
    state_merging_ = std::make_unique<StateMerging>(*plan_);
  }
  // Those of a look, and of a past, are the ones that are there.
  const bool may_alter = options_.durable && !options_.past && !windows.empty();
  Result<std::unique_ptr<store::Database>> database =
      store::Database::open(options, windows, state_merging_.get(),
                            may_alter ? store::Changes::when_adopted : store::Changes::at_once);
  if (database.has_error()) return database.error();
  database_ = std::move(*database);
  // What is to be replayed was judged by the one before; whoever replays judges again.
  if (options_.past && database_->begun_anew()) {
    return fail(ErrorCode::corrupt, "the database was damaged, and a new one has been begun");
  }
  return scratch ? database_->bind_log(history_->log_id()) : Result<>();
}

Result<> Topology::open_history() {
  Result<std::unique_ptr<History>> history =
      History::open(posix_file_system(), clock_, plan_->config.data_dir, plan_->config.wal);
  if (history.has_error()) return history.error();
  own_history_ = std::move(*history);
  history_ = own_history_.get();
  for (int n = 0; n < kDatabasesMax; ++n) {
    const Result<bool> ready = go_on_with_database();
    if (ready.has_error()) return ready.error();
    if (!*ready) continue;
    journal_->attach(history_->log(), plan_->config.wal);
    return {};
  }
  return fail(
      ErrorCode::io,
      fmt::format("each database that was begun in {} was damaged when it was opened again: "
                  "check the disk, and then start again: the log has what it had",
                  plan_->config.data_dir));
}

/// Opens the database and takes up what it goes on from. False: it was damaged further on than a
/// look shows, is set aside and a new one begun, for which all of this is to be judged anew.
Result<bool> Topology::go_on_with_database() {
  database_.reset();  // One connection writes.
  // A look only: under which config its tables have to be is not known yet.
  if (Result<> opened = open_database({}); opened.has_error()) return opened.error();
  const std::uint64_t log = history_->log_id();
  if (Result<> bound = database_->bind_log(log); bound.has_error()) return bound.error();
  const std::uint64_t applied = database_->applied_position();
  const Result<GoingOn> going_on = history_->go_on_for({log, applied}, clock_);
  if (going_on.has_error()) return going_on.error();
  switch (*going_on) {
    case GoingOn::from_the_checkpoint:
      break;
    case GoingOn::from_the_beginning:
      log::warn(
          "the database is new, or older than the checkpoints: what it lacks is rebuilt from the "
          "whole of the log");
      break;
    case GoingOn::with_a_gap:
      log::error(
          "the database is new, or older than the checkpoints, and the log does not reach back to "
          "its beginning: what it lacks of the time before the oldest checkpoint that the log "
          "still follows cannot be rebuilt",
          {{"has_up_to", applied}, {"checkpoint", history_->checkpoint()->position}});
      break;
  }
  while (true) {
    const std::vector<Stretch>& stretches = history_->stretches();
    const bool now = stretches.size() == 1 && stretches[0].config_text == plan_->config.text;
    if (stretches.empty() || now) break;
    const Stretch past = stretches[0];
    const Result<bool> replayed = replay_past(past, applied);
    if (replayed.has_error() || !*replayed) return replayed;
  }
  database_.reset();
  if (Result<> opened = open_database(plan_->schemas()); opened.has_error()) return opened.error();
  return !database_->begun_anew();
}

/// What was logged under another config is counted under that one. False: as of
/// go_on_with_database().
Result<bool> Topology::replay_past(const Stretch& stretch, std::uint64_t applied) {
  Diagnostics diagnostics;
  std::optional<config::Config> config =
      config::parse_past(stretch.config_text, "the config in the log", diagnostics);
  std::shared_ptr<const Plan> plan;
  if (config) {
    config::set_data_dir(*config, plan_->config.data_dir);
    config->threads = plan_->config.threads;
    config->lanes = plan_->config.lanes;
    plan = make_plan(std::move(*config), diagnostics);
  }
  if (plan == nullptr) {
    return fail(ErrorCode::invalid,
                fmt::format("records {} to {} of the log were written under a config that this "
                            "streamobs does not take any more; run the one that wrote them once "
                            "with its config, so that it ends with a checkpoint. {}",
                            stretch.from, stretch.to, config::to_text(diagnostics, false)));
  }
  log::info("the config has changed: what was logged under the old one is replayed under it first",
            {{"from", stretch.from}, {"to", stretch.to}});
  database_.reset();  // One connection writes.
  TopologyOptions options;
  options.handle_signals = options_.handle_signals;
  options.past = TopologyOptions::Past{history_, stretch, applied >= stretch.to};
  Topology past(plan, std::move(options), clock_);
  const PastShown shown(*this, past);
  const Result<> started = past.start();
  if (past.database_ != nullptr && past.database_->begun_anew()) return false;
  if (started.has_error()) return started.error();
  const int code = past.run();
  remove_database(plan_->config.data_dir + "/replayed-again.db");
  if (code != 0) {
    return fail(ErrorCode::io, "what was logged under the old config could not be replayed");
  }
  // Also where it came too late to cut the replay short: who asks for a stop wants no engine.
  if (past.interrupted() || stop_requested_) {
    return fail(ErrorCode::unavailable,
                "stopped while what was logged under the old config was being replayed; the next "
                "start goes on with it");
  }
  if (Result<> reloaded = history_->reload(); reloaded.has_error()) return reloaded.error();
  const CheckpointParts* const reached = history_->checkpoint();
  if (reached != nullptr && reached->position == stretch.to) return true;
  return fail(
      ErrorCode::unavailable,
      "what was logged under the old config was replayed, but no checkpoint could be made of "
      "it (is the disk full?); the next start tries again");
}

Result<> Topology::restore() {
  const std::vector<Stretch>& stretches = history_->stretches();
  const std::uint64_t takes_effect = stretches.empty() ? history_->end() + 1 : stretches[0].from;
  if (const CheckpointParts* checkpoint = history_->checkpoint()) {
    if (Result<> restored = sequencing_->restore(*checkpoint); restored.has_error()) {
      return restored;
    }
    const std::vector<Timestamp> watermarks = sequencing_->watermarks();
    if (Result<> restored = restore_windows(*checkpoint, watermarks); restored.has_error()) {
      return restored;
    }
    Result<> restored = results_->restore(*checkpoint, takes_effect, watermarks);
    if (restored.has_error()) return restored;
  }
  if (stretches.empty()) return {};
  const Stretch stretch = options_.past ? options_.past->stretch : stretches[0];
  Result<std::unique_ptr<Tail>> tail = history_->tail(plan_, stretch);
  if (tail.has_error()) return tail.error();
  tail_ = std::move(*tail);
  return {};
}

/// Parts of streams and joins that have gone, or that do not need them any more, are named.
void Topology::warn_of_parts_left(const CheckpointParts& checkpoint) const {
  for (const auto& [part, bytes] : checkpoint.parts) {
    const std::size_t slash = part.find('/');
    if (slash == std::string::npos) continue;
    const std::string name = part.substr(slash + 1);
    const std::optional<std::uint32_t> id = plan_->stream_id(name);
    const PlannedStream* const stream = id ? &plan_->streams[*id] : nullptr;
    const auto warn_unless = [&](bool needed, const char* message) {
      if (!needed) log::warn(message, {{"of", name}});
    };
    if (part == part::windows(name)) {
      if (stream != nullptr && stream->windows != nullptr) continue;
      const auto open = window::open_in_snapshot(name, bytes);
      warn_unless(open.has_value(),
                  "the config has no window over this stream any more: what was open is dropped");
      if (!open.has_value()) continue;
      for (const window::LostWindow& lost : *open) warn_of_lost(lost);
    } else if (part == part::deduplication(name)) {
      warn_unless(stream != nullptr && stream->decode->id_column.has_value(),
                  "the stream has no id any more: the ids seen are forgotten");
    } else if (part == part::templates(name)) {
      warn_unless(stream != nullptr && stream->decode->template_column.has_value(),
                  "the stream has no template any more: those known are forgotten");
    } else if (part == part::join(name)) {
      warn_unless(stream != nullptr && plan_->config.streams[*id].joined,
                  "the config has no such join any more: events that waited for a partner are "
                  "forgotten");
    }
  }
}

Result<> Topology::restore_windows(const CheckpointParts& checkpoint,
                                   const std::vector<Timestamp>& watermarks) {
  warn_of_parts_left(checkpoint);
  for (std::uint32_t id = 0; id < plan_->streams.size(); ++id) {
    if (plan_->streams[id].windows == nullptr) continue;
    const std::string& stream = plan_->config.streams[id].name.text;
    const Result<window::RestoredWindows> restored =
        lanes_[0]->restore(id, find_text(checkpoint, part::windows(stream)), watermarks[id]);
    if (restored.has_error()) return restored.error();
    for (const auto& lane : lanes_) lane->keep_closed(id, restored->closed);
    for (const window::LostWindow& lost : restored->lost) warn_of_lost(lost);
  }
  return {};
}

/// On the blocking pool.
Result<> Topology::save_checkpoint(const CheckpointParts& parts) {
  const Result<std::uint64_t> needed = history_->save(parts);
  sequencing_->checkpoint_ended();
  if (needed.has_error()) return needed.error();
  journal_->may_trim(*needed);
  return {};
}

/// On the history strand, before the first new event is sequenced. False: the engine ends, and
/// nothing of its config is to be left behind.
bool Topology::recovered(const Result<>& outcome) {
  // Not where a stage has failed: that ends the process, too.
  if (history_ != nullptr && exit_code_ == 0) history_->watch().end();
  Result<> begun = outcome;
  try {
    if (begun.has_value()) begun = begin_to_take();
  } catch (const std::exception& error) {
    begun = cannot_begin(error);
  }
  if (begun.has_error()) fail_with(begun.error());
  return begun.has_value();
}

/// All that can fail and has waited until here; last what others would see of a config that does
/// not come up after all.
Result<> Topology::begin_to_take() {
  if (options_.past || options_.input != nullptr) {
    request_stop();
    return {};
  }
  for (std::size_t i = 0; i < plan_->lookups.size(); ++i) {
    const std::string error = lookup_files_.error(i);
    if (error.empty()) continue;
    if (!sequencing_->lookups().has(i)) return fail(ErrorCode::invalid, error);
    log::error("a look-up table's file cannot be taken over: the version in the log is used",
               {{"error", error}});
  }
  if (Result<> made = make_sources(); made.has_error()) return made;
  if (tail_ == nullptr) {
    if (Result<> adopted = adopt_database(); adopted.has_error()) return adopted;
  }
  asio::post(main_strand_, [this] {
    try {
      spawn_services();
    } catch (const std::exception& error) {
      fail_with(cannot_begin(error));
    }
  });
  return {};
}

/// From here on tables and outboxes are as this config has them. Once, before anything is written.
/// Where there is a tail it was written under this config, which has had them already.
Result<> Topology::adopt_database() {
  if (history_ != nullptr && !options_.past) {
    if (Result<> dropped = database_->settle_outboxes(); dropped.has_error()) return dropped;
  }
  if (Result<> adopted = database_->adopt(); adopted.has_error()) return adopted;
  // Not before: what waits may not be for them any more.
  for (const auto& sink : sinks_) {
    sink_tasks_.spawn(sink->executor(), "sink " + sink->options().name.text, sink->run());
  }
  return {};
}

}  // namespace streamobs::app
