#include "health/ledger.h"

#include <algorithm>
#include <utility>

namespace streamobs::health {

std::vector<CheckResult> Ledger::take(Kind kind, std::vector<CheckResult> results) {
  std::vector<CheckResult>& known = of(kind);
  std::vector<CheckResult> changed;
  for (CheckResult& result : results) {
    const auto before = std::find_if(known.begin(), known.end(), [&](const CheckResult& other) {
      return other.check == result.check && other.of == result.of;
    });
    const bool same = before != known.end() && before->state == result.state;
    result.since = same ? before->since : result.checked_at;
    const bool was_bad = before != known.end() && before->state > State::ok;
    if (!same && (was_bad || result.state > State::ok)) changed.push_back(result);
  }
  known = std::move(results);
  return changed;
}

bool Ledger::any_bad(Kind kind) const {
  return std::any_of(of(kind).begin(), of(kind).end(),
                     [](const CheckResult& result) { return result.state > State::ok; });
}

std::vector<CheckResult> Ledger::all() const {
  std::vector<CheckResult> all = quick_;
  all.insert(all.end(), deep_.begin(), deep_.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const CheckResult& a, const CheckResult& b) { return a.state > b.state; });
  return all;
}

}  // namespace streamobs::health
