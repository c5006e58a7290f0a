// The inside of Admission: how lanes ask it. Private to this folder.
//
// A window instance can be in three states. *Roomy*: whatever rows are on their way, it cannot get
// past the cap; lanes add keys without asking. *Near the cap*: batches are processed one at a time,
// and a lane asks admit_ordered() for each key it does not hold itself; the number of different
// keys over all lanes is known exactly then. *Full*: its keys will not change any more; they are
// frozen into a set that lanes can look into freely, so that they need not wait for one another.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "window/admission.h"
#include "window/instance.h"

namespace streamobs::window {

struct Admission::Impl {
  Impl(std::shared_ptr<const StreamWindowsPlan> plan_in, std::size_t lanes_in);

  /// Called by each lane when it is made and when it goes.
  void join(std::size_t lane, const OpenInstances* instances);
  void leave(std::size_t lane);

  bool alone() const { return lanes.size() == 1; }
  bool is_ordered() const { return ordered.load(std::memory_order_relaxed); }

  /// Ordered: may a key that `lane`'s own table lacks have a group there? Counts it if it is new.
  bool admit_ordered(const WindowInstance& instance, std::size_t lane, const GroupKey& key,
                     std::uint32_t hash);
  /// Free: `count` keys went into tables of the window that are not full.
  void note_inserted(std::size_t window, std::size_t count) {
    windows[window].inserted.fetch_add(count, std::memory_order_relaxed);
  }
  /// The keys of an instance that is full, else null.
  std::shared_ptr<const KeySet> frozen_keys(const InstancePlace& place);
  /// `lane` has closed everything that `watermark` closes.
  void passed(std::size_t lane, Timestamp watermark);

  /// A snapshot has been taken over: counts its keys and freezes what is full. With every lane at
  /// rest.
  void restored();

  void recount();      ///< With every lane at rest.
  void freeze_full();  ///< With every lane at rest.
  bool must_order(std::size_t rows, std::size_t rows_in_flight) const;

  struct Window {
    /// Different keys of the largest instance that is not full, at the last recount.
    std::atomic<std::size_t> largest{0};
    /// Keys that lanes have added since, each lane for itself.
    std::atomic<std::size_t> inserted{0};
  };
  struct Frozen {
    InstancePlace place;
    Timestamp closes_at;
    std::shared_ptr<const KeySet> keys;
  };
  std::shared_ptr<const StreamWindowsPlan> plan;
  std::vector<const OpenInstances*> lanes;
  std::vector<Window> windows;
  std::atomic<bool> ordered{false};
  bool closing = false;  ///< Windows have closed since the last recount; the dispatcher's.
  /// Different keys of each instance. Touched only while ordered or at rest.
  std::map<InstancePlace, std::size_t> keys;

  std::atomic<std::size_t> frozen_count{0};
  std::mutex mutex;  ///< For the two below; taken only while something is frozen.
  std::vector<Frozen> frozen;
  std::vector<Timestamp> watermarks;  ///< Of each lane.

 private:
  WindowInstance* held_by(std::size_t lane, const InstancePlace& place) const;
  std::size_t count_keys(const InstancePlace& place) const;
  void update_largest(std::size_t window);
};

}  // namespace streamobs::window
