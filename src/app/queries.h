// The API's questions, answered by the store on a blocking pool; rows of the last hour, which are
// in memory, on another one, where they do not wait for others' long questions.
//
// One per engine, outlives the HTTP server. Called on any strand.
#pragma once

#include "app/plan.h"
#include "flow/blocking_pool.h"
#include "serve/queries.h"
#include "store/database.h"

namespace streamobs::app {

class Queries final : public serve::Queries {
 public:
  /// `memory`: for answers that need nothing but memory.
  Queries(const Plan& plan, const store::Database& database, flow::BlockingPool& pool,
          flow::BlockingPool& memory)
      : plan_(plan), database_(database), pool_(pool), memory_(memory) {}

  asio::awaitable<Result<std::vector<WindowRow>>> window_rows(store::WindowQuery query) override;
  asio::awaitable<Result<std::vector<Timestamp>>> window_starts(store::WindowQuery query) override;
  asio::awaitable<Result<serve::MergedRows>> merged_rows(serve::MergeQuery query) override;
  Duration step_for(const store::WindowQuery& query) const override;
  asio::awaitable<Result<std::vector<Anomaly>>> anomalies(store::ListQuery query) override;
  asio::awaitable<Result<std::vector<Incident>>> incidents(store::ListQuery query) override;
  asio::awaitable<Result<std::vector<store::StoredDeadLetter>>> dead_letters(
      store::DeadLetterQuery query) override;
  asio::awaitable<Result<std::vector<store::DeadLetterCount>>> dead_letter_counts() override;

 private:
  const Plan& plan_;
  const store::Database& database_;
  flow::BlockingPool& pool_;
  flow::BlockingPool& memory_;
};

}  // namespace streamobs::app
