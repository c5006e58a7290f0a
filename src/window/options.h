// [window.NAME]: which events are counted together, for how long, and what is said of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/source_text.h"

namespace streamobs::window {

/// `name = expression`: a key (by = { category = "product_category" }) or a metric.
struct NamedExpression {
  SourceText name;
  SourceText expression;
};

/// Panes of a hopping window: how many windows an event may be in.
inline constexpr std::int64_t kMaxPanes = 1440;
/// Panes of a session's gap, at least: how finely its end is told from the watermark.
inline constexpr std::int64_t kPanesOfGap = 8;
/// How long they are: the longest that `cut_every`, if it is not 0, is a whole number of; 0 where
/// there is none but such as are less than half as long as they could be.
inline Duration session_pane(Duration gap, Duration cut_every) {
  const Duration longest = std::max<Duration>(gap / kPanesOfGap, 1);
  if (cut_every == 0) return longest;
  const Duration fewest = (cut_every + longest - 1) / longest;
  const Duration most = fewest + std::min<Duration>(fewest, 1'000'000);
  for (Duration panes = fewest; panes <= most; ++panes) {
    if (cut_every % panes == 0) return cut_every / panes;
  }
  return 0;
}

struct WindowOptions {
  SourceText name;
  SourceText from;       ///< The stream.
  SourceText size_text;  ///< As written, for messages.
  Duration size = kMinute;
  SourceText hop_text;  ///< As written, for messages.
  Duration hop = 0;     ///< A window begins at each multiple of it; 0: of size (tumbling).
  /// Not 0: sessions of a key, each as long as its events follow one another by less than this.
  /// Then `size` is the same.
  Duration gap = 0;
  /// Of sessions: none goes beyond a multiple of this; 0: they go on for as long as they do.
  Duration cut_every = 0;
  std::string timezone;  ///< For whole days: midnight there; empty: aligned to the epoch.
  std::vector<NamedExpression> by;
  SourceText where;  ///< Only events for which it is true.
  std::vector<NamedExpression> select;
  Duration allowed_lateness = 0;  ///< Closes when the watermark has passed its end by this.
  /// late = "update": for so long behind that it still takes late events, and its rows come again,
  /// corrected. 0: what is late is set aside.
  Duration correct_for = 0;
  std::size_t max_keys = 100'000;     ///< Further keys of a window go to the group __overflow__.
  Duration emit_every = 2 * kSecond;  ///< How often open windows are shown; 0: never.

  /// Mistakes in this section have been told, and it is only looked through for further ones: a key
  /// or metric without an expression is what is left of one.
  bool mistaken = false;
  /// Keys or metrics may be missing as well, so that a name nobody knows need not be wrong.
  bool names_missing = false;
};

/// [stream.NAME] id: which events of a stream are repeats of one another.
struct DeduplicationOptions {
  std::size_t field = 0;            ///< Index of the id among the schema's fields.
  Duration horizon = kHour;         ///< An id is known for this much event time.
  std::size_t max_ids = 1'000'000;  ///< Known at a time; beyond, the oldest are forgotten early.
};

enum class Side : std::uint8_t { left = 0, right = 1 };
constexpr Side other(Side side) {
  return side == Side::left ? Side::right : Side::left;
}

/// [join.NAME]: which events of two streams belong together.
struct JoinOptions {
  SourceText name;
  SourceText streams[2];  ///< By side.
  /// What is equal on both sides of a pair: fields, by side.
  struct Key {
    SourceText fields[2];
  };
  std::vector<Key> on;
  Duration within = 0;  ///< Their times are at most so far apart, whichever comes first.
  /// An event of the left that stays without a partner is a row by itself (a left join).
  bool keep_left = false;
  Side time = Side::right;  ///< Whose time a row bears.
  bool one_to_one = false;  ///< Who has found a partner looks for no other.
  Duration hold = 0;        ///< Who bears the time and waits, holds the join's time back so long.
  bool drop_unmatched = false;  ///< They are counted, and no dead letters.
  std::uint64_t pending_bytes_max = 256 << 20;
};

/// [stream.NAME] template: whose templates are columns of the stream.
struct TemplateOptions {
  std::size_t field = 0;              ///< Index of the message among the schema's fields.
  std::size_t templates_max = 5'000;  ///< Kept at a time; beyond, the one used longest ago goes.
  Duration learn = 0;  ///< Up to this long behind the first message's time nothing is called new.
};

}  // namespace streamobs::window
