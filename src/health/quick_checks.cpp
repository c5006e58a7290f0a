#include "health/quick_checks.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

#include "health/check_words.h"

namespace streamobs::health {

namespace {

std::string bytes_in_words(double bytes) {
  constexpr double kGiB = 1 << 30;
  constexpr double kMiB = 1 << 20;
  return bytes >= kGiB ? fmt::format("{:.1f} GiB", bytes / kGiB)
                       : fmt::format("{:.0f} MiB", bytes / kMiB);
}

CheckResult judge_lookup(const LookupSeen& lookup) {
  CheckResult result = result_of("lookup", lookup.name);
  result.detail = "its file is in force as it stands";
  if (lookup.error.empty()) return result;
  result.state = lookup.loaded ? State::warning : State::failing;
  result.detail = lookup.error;  // Which names table and file.
  result.advice = lookup.loaded ? "Mend the file; what it said before is in force until then"
                                : "Mend the file; until then nothing is found in the table";
  return result;
}

CheckResult judge_archive(const ArchiveSeen& archive) {
  CheckResult result = result_of("archive", archive.name);
  result.detail = fmt::format("what is too old goes to {}", archive.directory);
  if (archive.error.empty()) return result;
  result.state = State::failing;
  result.detail = fmt::format("nothing can be written to {}: {}", archive.directory, archive.error);
  result.advice = "Mend that; until then rows that are too old stay in the database";
  return result;
}

}  // namespace

std::vector<CheckResult> QuickChecks::judge(const Observation& seen) const {
  std::vector<CheckResult> results;
  results.push_back(engine(seen));
  // Before it takes events there is nothing to be late.
  const std::vector<CheckResult> rest =
      seen.ready_at == 0 ? std::vector<CheckResult>{judge_disk(seen.disk, options_.disk_free_bytes)}
                         : judge_running(seen);
  results.insert(results.end(), rest.begin(), rest.end());
  for (CheckResult& result : results) result.checked_at = seen.now;
  return results;
}

std::vector<CheckResult> QuickChecks::judge_running(const Observation& seen) const {
  const Baseline* const since = baseline(seen.now);
  std::vector<CheckResult> results;
  for (const StreamSeen& stream : seen.streams) {
    const Duration bound = options_.freshness_of(stream.name);
    if (bound == 0) continue;
    results.push_back(freshness(stream, bound, seen, since));
    results.push_back(watermark(stream, bound));
  }
  for (const SourceSeen& one : seen.sources) results.push_back(source(one, seen.now, since));
  results.push_back(backlog(seen));
  results.push_back(progress(seen));
  results.push_back(stage("detection", seen.detection, detection_, seen.now));
  if (!seen.has_rules && results.back().state == State::ok) {
    results.back().state = State::no_data;
    results.back().detail = "there is no [rule.NAME], so nothing is judged";
  }
  results.push_back(stage("narration", seen.narration, narration_, seen.now));
  results.push_back(store(seen.store, seen.now, since));
  results.push_back(clean_up(seen));
  for (const SinkSeen& one : seen.sinks) results.push_back(sink(one, seen.now, since));
  for (const LookupSeen& lookup : seen.lookups) results.push_back(judge_lookup(lookup));
  results.push_back(judge_disk(seen.disk, options_.disk_free_bytes));
  for (const ArchiveSeen& archive : seen.archives) results.push_back(judge_archive(archive));
  return results;
}

void QuickChecks::begin_period(const Observation& seen) {
  Baseline now;
  now.at = seen.now;
  for (const StreamSeen& stream : seen.streams) now.streams[stream.name] = stream;
  for (const SourceSeen& one : seen.sources) now.sources[one.name] = one;
  for (const SinkSeen& one : seen.sinks) now.dropped[one.name] = one.dropped;
  now.checkpoints_failed = seen.store.checkpoints_failed;
  before_ = std::move(last_);
  last_ = std::move(now);
  if (looks_ - (channels_last_ ? channels_last_->looks : 0) < kLooksMin) return;
  channels_before_ = std::move(channels_last_);
  channels_last_ = {seen.now, looks_, channels_};
}

/// A period that has only just begun says nothing yet: nothing comes within a moment.
const QuickChecks::Baseline* QuickChecks::baseline(Timestamp now) const {
  const auto old_enough = [&](const std::optional<Baseline>& since) {
    return since && now - since->at >= options_.quick_every / 2;
  };
  if (old_enough(last_)) return &*last_;
  return old_enough(before_) ? &*before_ : nullptr;
}

CheckResult QuickChecks::engine(const Observation& seen) const {
  CheckResult result = result_of("engine");
  if (seen.not_ready.empty()) {
    result.detail = "it takes events";
    return result;
  }
  result.state = seen.ready_at == 0 ? State::warning : State::failing;
  result.detail = seen.not_ready;
  result.advice = seen.ready_at == 0 ? "Wait: it takes no new events until then (503)"
                                     : "New events are refused until that is mended";
  return result;
}

CheckResult QuickChecks::freshness(const StreamSeen& stream, Duration bound,
                                   const Observation& seen, const Baseline* since) const {
  CheckResult result = result_of("freshness", stream.name);
  const StreamSeen was = since == nullptr ? StreamSeen() : since->streams.at(stream.name);
  const std::uint64_t received = stream.received - was.received;
  const std::string lately = since == nullptr
                                 ? std::string("since the start")
                                 : fmt::format("in {}", in_words(seen.now - since->at));
  const bool all_refused = received != 0 && stream.accepted == was.accepted;
  if (!stream.newest_event_at) {
    result.state = all_refused ? State::failing : State::no_data;
    result.detail = all_refused ? fmt::format("{} {}, and every one was refused",
                                              counted(received, "event") + " came", lately)
                                : std::string("it has never had an event");
    result.advice =
        all_refused ? fmt::format("GET /api/v1/dead-letters?stream={} says why", stream.name)
                    : fmt::format("Send events to POST /v1/events/{0}, or give it a [source.NAME]",
                                  stream.name);
    return result;
  }
  const Duration age = seen.now - *stream.newest_event_at;
  measure(result, age, bound);
  result.detail = fmt::format("the newest event is {} old", in_words(std::max<Duration>(age, 0)));
  if (age < bound) return result;
  if (stream.input_over) {
    result.state = State::no_data;
    result.detail += "; its input has been read to the end";
    return result;
  }
  const Duration awake = seen.now - seen.ready_at;
  if (stream.received == 0 && awake < bound) {
    result.state = State::no_data;
    result.detail +=
        fmt::format(", and the engine has only been taking events for {}", in_words(awake));
    return result;
  }
  result.state = State::failing;
  if (received == 0) {
    result.detail += fmt::format("; nothing has come {}", lately);
    result.advice = fmt::format(
        "See whether what sends to it runs, and whether its sources do (GET /api/v1/pipeline). If "
        "it is meant to be quiet, say so: [stream.{}] freshness = \"1h\", or false",
        stream.name);
  } else if (all_refused) {
    result.detail +=
        fmt::format("; {} came {}, and every one was refused", counted(received, "event"), lately);
    result.advice = fmt::format("GET /api/v1/dead-letters?stream={} says why", stream.name);
  } else {
    result.detail +=
        fmt::format("; {} came {}, with old times", counted(received, "event"), lately);
    result.advice = "Look at what delays them on their way, and at the clocks of what sends them";
  }
  return result;
}

CheckResult QuickChecks::watermark(const StreamSeen& stream, Duration bound) const {
  CheckResult result = result_of("watermark", stream.name);
  if (!stream.newest_event_at || !stream.watermark) {
    result.state = State::no_data;
    result.detail = stream.newest_event_at ? "all of its sources are silent: nothing holds it back"
                                           : "it has never had an event";
    return result;
  }
  const Duration behind = std::max<Duration>(*stream.newest_event_at - *stream.watermark, 0);
  measure(result, behind, bound);
  result.detail = behind == 0
                      ? std::string("event time is where the newest event is")
                      : fmt::format("event time is {} behind the newest event", in_words(behind));
  if (behind < bound) return result;
  result.state = State::warning;
  result.detail += ", and its windows wait with it";
  result.advice =
      "One of its sources or partitions sends older events than the others: find it by its lag in "
      "GET /api/v1/pipeline. Once it has been silent for idle_timeout, nobody waits for it";
  return result;
}

namespace {

/// Nothing is to be had from its cluster, and nobody but it says so: what it reads just stands
/// still.
bool is_cut_off(const SourceSeen& source) {
  if (source.partitions == 0 && !source.waits_for_group) {
    return source.brokers.trouble_at.has_value();
  }
  return source.brokers.up == 0U;
}

constexpr const char* kLookAtBrokers =
    "Are its brokers up, and are `brokers`, topics and login right? The engine's log has what they "
    "said";

std::string advice_of(const BrokersSeen& brokers) {
  if (brokers.advice.empty()) return kLookAtBrokers;
  std::string advice = brokers.advice;  // Written to stand within a line of the log.
  advice.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(advice.front())));
  return advice;
}

}  // namespace

CheckResult QuickChecks::source(const SourceSeen& source, Timestamp now,
                                const Baseline* since) const {
  CheckResult result = result_of("source", source.name);
  switch (source.state) {
    case SourceSeen::State::starting:
      result.state = State::no_data;
      result.detail = "it is being started";
      return result;
    case SourceSeen::State::failed:
      result.state = State::failing;
      result.detail = "it has failed and reads no more";
      result.advice =
          "The engine's log says why (\"a source has failed\"); mend that and start the engine "
          "again";
      return result;
    case SourceSeen::State::ended:
      result.detail = "it has been read to its end";
      return result;
    case SourceSeen::State::reading:
      break;
  }
  result.detail = "it runs";
  if (!source.has_backlog) return result;
  if (health::is_cut_off(source)) {
    const bool before_too = since != nullptr && health::is_cut_off(since->sources.at(source.name));
    result.state = before_too ? State::failing : State::warning;
    result.detail = source.partitions == 0 ? "it has found nothing to read"
                                           : "none of its brokers can be reached";
    if (!source.brokers.trouble.empty()) result.detail += ": " + source.brokers.trouble;
    result.advice = advice_of(source.brokers);
    return result;
  }
  if (source.partitions == 0 && !source.waits_for_group) {
    result.state = State::no_data;
    result.detail = "it is looking for its topics";
    return result;
  }
  if (source.waits_for_group) {
    result.state = State::warning;
    result.detail = "its consumer group has given it no partitions";
    result.advice =
        "There may be more members than partitions, or the group is just sharing them out anew; "
        "if it stays so, look at the brokers";
    return result;
  }
  if (source.behind == 0) {
    measure(result, 0, options_.lag);
    result.detail = "it has read all there is";
    return result;
  }
  const std::string waiting =
      counted(source.behind, "message") + (source.behind == 1 ? " waits" : " wait");
  if (since == nullptr) {
    result.state = State::no_data;
    result.detail = waiting + "; how fast they are read is known at the next check";
    return result;
  }
  const SourceSeen& before = since->sources.at(source.name);
  const std::uint64_t read = source.messages - before.messages;
  const Duration period = now - since->at;
  if (read == 0) {
    // What has only just come may wait for a moment.
    result.state = before.behind == 0 ? State::warning : State::failing;
    result.detail = fmt::format("{}, and none was read in {}", waiting, in_words(period));
    result.advice = source.partitions_held != 0
                        ? "Partitions wait for a slower one (max_skew): see which in "
                          "streamobs_kafka_ahead_seconds"
                        : "Look for its brokers in the engine's log, and for a full channel in GET "
                          "/api/v1/pipeline";
    return result;
  }
  // Little's law: how long the last of what waits will have waited.
  const double periods = static_cast<double>(source.behind) / static_cast<double>(read);
  const auto wait = static_cast<Duration>(std::min(periods * static_cast<double>(period), 1e18));
  measure(result, wait, options_.lag);
  result.detail = fmt::format("{}: {} of work at the pace of the last {}", waiting, in_words(wait),
                              in_words(period));
  if (wait < options_.lag) return result;
  result.state = wait >= kLagFailsAt * options_.lag ? State::failing : State::warning;
  result.advice =
      "If it does not fall by itself, more comes than is read: look for the channel that is full "
      "(GET /api/v1/pipeline), give the engine more cores, or share the topic out by `group`";
  return result;
}

CheckResult QuickChecks::store(const StoreSeen& store, Timestamp now, const Baseline* since) const {
  CheckResult result = result_of("store");
  const Duration still = store_.still_for(now);
  measure(result, still, options_.lag);
  result.detail = store.rows_waiting == 0 ? std::string("all results are stored")
                                          : fmt::format("{} on the way to the database",
                                                        counted(store.rows_waiting, "row"));
  if (!store.held_up.empty()) {
    result.state = State::failing;
    result.detail = store.held_up;
    result.advice = "It heals by itself once that is done; nothing that was acknowledged is lost";
  } else if (still >= options_.lag) {
    result.state = State::failing;
    result.detail = fmt::format("{} wait for the database, which has committed nothing for {}",
                                counted(store.rows_waiting, "row"), in_words(still));
    result.advice = "Look at the disk: is it slow, or does another program keep it busy?";
  } else if (store.checkpoints_failed != (since == nullptr ? 0 : since->checkpoints_failed)) {
    result.state = State::warning;
    result.detail = "there was no room for a checkpoint";
    result.advice = "Free some of the disk: until then a restart has more of the log to replay";
  }
  return result;
}

CheckResult QuickChecks::clean_up(const Observation& seen) const {
  CheckResult result = result_of("clean_up");
  const Timestamp last = std::max(seen.store.tidied_at, seen.ready_at);
  const Duration untidy = std::max<Duration>(seen.now - last, 0);
  measure(result, untidy, kUntidy);
  result.detail = seen.store.tidied_at == 0
                      ? std::string("what is too old is removed for the first time soon")
                      : fmt::format("what is too old was removed {} ago", in_words(untidy));
  if (untidy < kUntidy) return result;
  result.state = State::failing;
  result.detail = fmt::format(
      "what is too old has not been removed, and hours and days not been merged, for {}",
      in_words(untidy));
  result.advice =
      "The engine's log says why (\"the store could not be tidied up\"): mostly another program "
      "writes to the database, or the disk is full";
  return result;
}

CheckResult QuickChecks::sink(const SinkSeen& sink, Timestamp now, const Baseline* since) const {
  CheckResult result = result_of("sink", sink.name);
  const Duration age = sink.oldest_at ? std::max<Duration>(now - *sink.oldest_at, 0) : Duration{0};
  measure(result, age, options_.lag);
  result.detail = sink.rows_waiting == 0
                      ? std::string("all results are delivered")
                      : fmt::format("{} on the way", counted(sink.rows_waiting, "result"));
  const std::uint64_t dropped =
      sink.dropped - (since == nullptr ? 0 : since->dropped.at(sink.name));
  if (sink.stopped) {
    result.state = State::failing;
    result.detail =
        fmt::format("it has stopped for good; {} wait", counted(sink.rows_waiting, "result"));
    result.advice = "The engine's log says why (\"a sink has stopped\") and what to do";
  } else if (dropped != 0) {
    result.state = State::failing;
    result.detail = fmt::format("its outbox was full, and {} given up undelivered",
                                counted(dropped, "result") + (dropped == 1 ? " was" : " were"));
    result.advice = "Bring its brokers back, or give it a larger outbox_max";
  } else if (age >= options_.lag) {
    result.state = age >= kLagFailsAt * options_.lag ? State::failing : State::warning;
    result.detail = fmt::format("{} wait, the oldest for {}", counted(sink.rows_waiting, "result"),
                                in_words(age));
    result.advice =
        "The engine's log says what its brokers complain of (\"a sink cannot deliver\")";
  } else if (is_cut_off(sink, now)) {
    // Nobody would know before there is something to deliver.
    result.state = State::warning;
    result.detail = fmt::format("none of its brokers can be reached: {}", sink.brokers.trouble);
    result.advice = advice_of(sink.brokers);
  }
  return result;
}

/// Connections that are idle are let go by themselves: without a complaint that says nothing.
bool QuickChecks::is_cut_off(const SinkSeen& sink, Timestamp now) const {
  const BrokersSeen& brokers = sink.brokers;
  return brokers.up == 0U && brokers.trouble_at && now - *brokers.trouble_at < options_.lag;
}

CheckResult judge_disk(const DiskSeen& disk, std::uint64_t free_bytes_min) {
  CheckResult result = result_of("disk");
  if (disk.log_full) {
    result.state = State::failing;
    result.detail = fmt::format("the disk of {} is full: new events are refused (507)", disk.path);
    result.advice = "Free some space; it goes on by itself";
    return result;
  }
  if (!disk.free_bytes) {
    result.state = State::warning;
    result.detail = fmt::format("the disk of {} does not say what is free", disk.path);
    return result;
  }
  const auto free = static_cast<double>(*disk.free_bytes);
  const auto bound = static_cast<double>(free_bytes_min);
  result.value = free;
  result.bound = bound;
  result.unit = "bytes";
  result.detail = fmt::format("{} of {} are free at {}", bytes_in_words(free),
                              bytes_in_words(static_cast<double>(disk.bytes)), disk.path);
  if (free >= QuickChecks::kDiskWarnsAt * bound) return result;
  result.state = free < bound ? State::failing : State::warning;
  result.advice =
      "Free some space, or keep less: [window.NAME.keep], [wal.keep], keep_dead_letters. When it "
      "is "
      "full, new events are refused (507)";
  return result;
}

}  // namespace streamobs::health
