#include "health/report.h"

#include <algorithm>

namespace streamobs::health {

namespace {

constexpr State kStates[] = {State::no_data, State::ok, State::warning, State::failing};

}  // namespace

std::string_view to_text(State state) {
  switch (state) {
    case State::no_data:
      return "no_data";
    case State::ok:
      return "ok";
    case State::warning:
      return "warning";
    case State::failing:
      return "failing";
  }
  return "failing";
}

std::optional<State> parse_state(std::string_view text) {
  for (const State state : kStates) {
    if (to_text(state) == text) return state;
  }
  return std::nullopt;
}

State worst_of(const std::vector<CheckResult>& checks) {
  State worst = State::no_data;
  for (const CheckResult& check : checks) worst = std::max(worst, check.state);
  return worst;
}

}  // namespace streamobs::health
