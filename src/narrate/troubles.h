// When something was flagged, and for which keys: rows of those windows do not say what is normal.
//
// Belongs to the narrator's evidence, on its strand. What is older than the rows kept there is
// forgotten as time goes on. Bounded to kMaxKeys keys and kMaxSpans spans for each.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "event/anomaly.h"
#include "event/window_result.h"

namespace streamobs::narrate {

/// A span of time, [from, to).
struct TroubledSpan {
  Timestamp from = 0;
  Timestamp to = 0;
};

/// Whether a window lies in any of them, at least in part. `spans`: as of() gives them.
bool any_overlaps(const std::vector<TroubledSpan>& spans, Timestamp start, Timestamp end);

class Troubles {
 public:
  /// Beyond them what is longest ago is forgotten, down to three quarters of the keys; where all
  /// are as new as one another, a further key is not taken down.
  static constexpr std::size_t kMaxKeys = 10'000;
  /// The oldest leave first.
  static constexpr std::size_t kMaxSpans = 1'000;

  /// Takes down that `keys` of `stream` were in trouble. `keep`: how long it is to be known.
  void add(const std::string& stream, const std::vector<NamedValue>& keys, TroubledSpan span,
           Duration keep);

  /// When rows of these keys were in trouble: they or what they are a part of. By time, apart from
  /// one another.
  std::vector<TroubledSpan> of(const WindowSchema& schema, const std::vector<Value>& keys) const;

  std::size_t keys() const { return count_; }

  /// For a checkpoint, as state.h describes it.
  void put(std::string& out) const;
  /// Takes what put() wrote; false on bytes that nobody wrote.
  bool read(ByteReader& in);

 private:
  using Spans = std::deque<TroubledSpan>;
  /// Stream and names of key columns; then the bytes of their values.
  using ByNames =
      std::map<std::pair<std::string, std::vector<std::string>>, std::map<std::string, Spans>>;

  template <class Old>
  void forget(const Old& is_old);
  bool make_room();

  ByNames by_names_;
  std::size_t count_ = 0;  ///< Keys over all names.
  Timestamp newest_ = kMinTimestamp;
};

}  // namespace streamobs::narrate
