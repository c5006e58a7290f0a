// Keeps the newest result of every check, since when each is in its state, and what has changed.
//
// One per engine, on the strand that checks run on. Bounded: what the engine checks is named by its
// config, and what it does not check any more is forgotten.
#pragma once

#include <vector>

#include "health/report.h"

namespace streamobs::health {

class Ledger {
 public:
  /// Results of one kind of checks, quick or deep: they take the place of those that this kind had
  /// before. Returns those that somebody should hear of: what has become a warning or failing, and
  /// what is so no more.
  enum class Kind : std::uint8_t { quick, deep };
  std::vector<CheckResult> take(Kind kind, std::vector<CheckResult> results);

  /// Whether one of this kind warns or fails.
  bool any_bad(Kind kind) const;
  /// All of them, the worst first; of one state, in the order in which they were given.
  std::vector<CheckResult> all() const;

 private:
  std::vector<CheckResult>& of(Kind kind) { return kind == Kind::quick ? quick_ : deep_; }
  const std::vector<CheckResult>& of(Kind kind) const {
    return kind == Kind::quick ? quick_ : deep_;
  }

  std::vector<CheckResult> quick_;
  std::vector<CheckResult> deep_;
};

}  // namespace streamobs::health
