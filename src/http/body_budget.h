// What all request bodies together may hold in memory, whoever receives them.
//
// One budget for a server, shared by its connections on any thread; each connection has a share,
// which it gives back when its request has been answered.
#pragma once

#include <atomic>
#include <cstddef>

namespace streamobs::http {

class BodyBudget {
 public:
  explicit BodyBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}
  std::size_t held() const { return held_.load(std::memory_order_relaxed); }

 private:
  friend class BodyShare;
  const std::size_t bytes_max_;
  std::atomic<std::size_t> held_{0};
};

/// One connection's part of the budget. One strand.
class BodyShare {
 public:
  /// `budget` must outlive it.
  explicit BodyShare(BodyBudget& budget) : budget_(budget) {}
  ~BodyShare() { release(); }
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;

  /// The body has, or is about to have, so many bytes. False: all bodies together would have too
  /// many, and the share is what it was.
  [[nodiscard]] bool resize(std::size_t bytes) {
    if (bytes <= bytes_) {
      budget_.held_.fetch_sub(bytes_ - bytes, std::memory_order_relaxed);
    } else {
      const std::size_t more = bytes - bytes_;
      const std::size_t before = budget_.held_.fetch_add(more, std::memory_order_relaxed);
      if (before + more > budget_.bytes_max_) {
        budget_.held_.fetch_sub(more, std::memory_order_relaxed);
        return false;
      }
    }
    bytes_ = bytes;
    return true;
  }
  void release() {
    if (bytes_ != 0) budget_.held_.fetch_sub(bytes_, std::memory_order_relaxed);
    bytes_ = 0;
  }

 private:
  BodyBudget& budget_;
  std::size_t bytes_ = 0;
};

}  // namespace streamobs::http
