#include "app/loop_threads.h"

namespace streamobs::app {

LoopThreads::LoopThreads(boost::asio::io_context& loop, std::size_t count) : loop_(loop) {
  const std::shared_future<bool> open = gate_.get_future().share();
  others_.reserve(count - 1);
  try {
    while (others_.size() < count - 1) {
      others_.emplace_back([this, open] {
        if (open.get()) loop_.run();
      });
    }
  } catch (...) {
    dismiss();
    throw;
  }
}

LoopThreads::~LoopThreads() {
  dismiss();
}

void LoopThreads::dismiss() {
  if (opened_) return;
  opened_ = true;
  gate_.set_value(false);
  for (std::thread& thread : others_) thread.join();
}

void LoopThreads::run() {
  opened_ = true;
  gate_.set_value(true);
  loop_.run();
  for (std::thread& thread : others_) thread.join();
  others_.clear();
}

}  // namespace streamobs::app
