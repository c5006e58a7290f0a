// Which keys of a window get a group of their own when there are more than max_keys.
//
// The first max_keys keys in log order are admitted; the rest are counted together in the group
// __overflow__. With one lane, log order is processing order and nothing more is needed. With
// several, lanes run freely while even the worst case (keys held by all lanes + rows in flight)
// fits under the cap; beyond that the dispatcher hands out one batch at a time (`must_order`), all
// other lanes are then at rest, and admission looks at their tables. One Admission per stream,
// shared by its lanes; `must_order` is called on the dispatcher's strand, the rest by lanes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "window/window_plan.h"

namespace streamobs::window {

class Admission {
 public:
  Admission(std::shared_ptr<const StreamWindowsPlan> plan, std::size_t lanes);
  ~Admission();

  /// True if a further batch of `rows` rows, with `rows_in_flight` already handed out and not yet
  /// processed, may bring a window past its cap: then the batch must be processed alone.
  bool must_order(std::size_t rows, std::size_t rows_in_flight) const;
  /// Called by the dispatcher, with every lane at rest, before a batch that is processed alone;
  /// and with false before lanes run freely again.
  void set_ordered(bool ordered);

  /// Called by the dispatcher when it has lanes close windows: counts made before are too high.
  void note_closing();

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace streamobs::window
