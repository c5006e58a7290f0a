#include "app/lookup_watch.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace streamobs::app {

using std::chrono::steady_clock;

LookupWatch::LookupWatch(const Plan& plan, const asio::any_io_executor& executor,
                         flow::BlockingPool& pool, LookupFiles& files)
    : plan_(plan),
      pool_(pool),
      files_(files),
      timer_(executor),
      due_(plan.lookups.size(), steady_clock::now()) {}

asio::awaitable<void> LookupWatch::run(flow::Channel<SequencerInput>& out) {
  while (!stopped_ && !due_.empty()) {
    timer_.expires_at(*std::min_element(due_.begin(), due_.end()));
    const auto token = asio::as_tuple(asio::use_awaitable);
    co_await timer_.async_wait(token);
    for (std::size_t i = 0; i < due_.size() && !stopped_; ++i) {
      if (due_[i] > steady_clock::now()) continue;
      co_await look_at(i, out);
      due_[i] =
          steady_clock::now() + std::chrono::microseconds(plan_.lookups[i]->options.reload_every);
    }
  }
}

asio::awaitable<void> LookupWatch::look_at(std::size_t index, flow::Channel<SequencerInput>& out) {
  const auto read = [this, index] { return files_.read_if_changed(index); };
  Result<LookupVersion> version = co_await pool_.run(read);
  if (version.has_error()) {
    log::error("a look-up table's file cannot be taken over: the version before stays in force",
               {{"error", version.error().message}});
    co_return;
  }
  if (version->table == nullptr) co_return;
  SequencerInput changed = std::move(*version);
  co_await out.push(std::move(changed));
}

void LookupWatch::stop() {
  stopped_ = true;
  timer_.cancel();
}

}  // namespace streamobs::app
