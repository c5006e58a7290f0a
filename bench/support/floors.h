// How a figure that is held to a floor of the project's issue is printed: median over the rounds,
// and their range.
#pragma once

#include <algorithm>
#include <cstdio>
#include <vector>

#include "support/measure.h"

namespace streamobs::bench {

inline void print_figure(const char* what, const std::vector<double>& rounds, const char* relation,
                         double floor, bool good) {
  std::printf("%-56s %8.2f  [%6.2f..%6.2f]  floor %s %g %s\n", what, median(rounds),
              *std::min_element(rounds.begin(), rounds.end()),
              *std::max_element(rounds.begin(), rounds.end()), relation, floor,
              good ? "ok" : "BELOW");
  std::fflush(stdout);
}

/// More is better.
inline void at_least(const char* what, const std::vector<double>& rounds, double floor) {
  print_figure(what, rounds, ">=", floor, median(rounds) >= floor);
}

/// Less is better.
inline void at_most(const char* what, const std::vector<double>& rounds, double floor) {
  print_figure(what, rounds, "<=", floor, median(rounds) <= floor);
}

}  // namespace streamobs::bench
