// Replays dead letters: each event goes the way of a posted one, under an Idempotency-Key of its
// own (event/dead_letter.h). The key is in the log with the event, so whatever happens in between,
// a crash included, it counts once, and the store's mark on the letter follows from the log.
//
// One per engine, outlives the HTTP server. Called on any lane's strand; one replay at a time.
#pragma once

#include <atomic>
#include <cstddef>
#include <set>
#include <string>

#include "app/ingest.h"
#include "app/plan.h"
#include "app/queries.h"
#include "flow/task_group.h"
#include "serve/letter_replay.h"

namespace streamobs::app {

class LetterReplay final : public serve::LetterReplay {
 public:
  /// Events under way at a time: they share the log's syncs.
  static constexpr std::size_t kAtOnce = 32;
  static constexpr std::size_t kPage = 500;

  /// All of them outlive it. `tasks`: where what it has under way is spawned.
  LetterReplay(const Plan& plan, Queries& queries, Ingest& ingest, flow::TaskGroup& tasks,
               const Clock& clock)
      : plan_(plan), queries_(queries), ingest_(ingest), tasks_(tasks), clock_(clock) {}

  asio::awaitable<Result<serve::ReplayReport>> replay(std::size_t lane,
                                                      store::DeadLetterQuery which) override;

 private:
  struct Run;
  class Worker;
  asio::awaitable<Result<>> replay_pages(Run& run, store::DeadLetterQuery which);
  asio::awaitable<Result<>> say_why_none(Run& run, store::DeadLetterQuery which);
  void choose(Run& run, std::vector<store::StoredDeadLetter> page);
  std::string own_event(DeadLetter& letter) const;
  asio::awaitable<void> send_all(Run& run);
  asio::awaitable<void> work(Worker worker);
  asio::awaitable<source::IngestOutcome> send(const Run& run, const DeadLetter& letter);
  Block block_of(const DeadLetter& letter) const;

  const Plan& plan_;
  Queries& queries_;
  Ingest& ingest_;
  flow::TaskGroup& tasks_;
  const Clock& clock_;
  std::atomic<bool> under_way_{false};
};

}  // namespace streamobs::app
