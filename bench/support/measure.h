// Timing that can be trusted on a noisy machine: variants alternate within each round, CPU time,
// and what counts is the median over the rounds of the ratio to the first variant in the same
// round.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

namespace streamobs::bench {

inline double seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// CPU time of the whole process, all threads.
inline double cpu_seconds() {
  return seconds(CLOCK_PROCESS_CPUTIME_ID);
}
inline double wall_seconds() {
  return seconds(CLOCK_MONOTONIC);
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

inline double percentile(std::vector<double> values, double p) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(p * static_cast<double>(values.size() - 1))];
}

struct Variant {
  std::string name;
  std::size_t events;  ///< That one run handles.
  std::function<std::uint64_t()> run;
  double floor = 0;  ///< Of the ratio; 0: none is stated.
  std::vector<double> seconds;
};

/// Runs every variant once to warm up, then `rounds` times in turn, and prints the table.
inline void compare(std::vector<Variant>& variants, int rounds) {
  for (Variant& v : variants) v.run();
  for (int round = 0; round < rounds; ++round) {
    for (Variant& v : variants) {
      const double begin = cpu_seconds();
      v.run();
      v.seconds.push_back(cpu_seconds() - begin);
    }
  }
  std::printf("%-48s %8s %8s %7s  [ min ..  max]  floor\n", "variant", "M ev/s", "ns/event",
              "ratio");
  for (const Variant& v : variants) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < v.seconds.size(); ++i) {
      const double rate = static_cast<double>(v.events) / v.seconds[i];
      const double limit = static_cast<double>(variants[0].events) / variants[0].seconds[i];
      ratios.push_back(rate / limit);
    }
    const double seconds = median(v.seconds);
    const double events = static_cast<double>(v.events);
    std::printf("%-48s %8.2f %8.1f %7.2f  [%5.2f..%5.2f]", v.name.c_str(), events / seconds / 1e6,
                seconds / events * 1e9, median(ratios),
                *std::min_element(ratios.begin(), ratios.end()),
                *std::max_element(ratios.begin(), ratios.end()));
    if (v.floor > 0) std::printf("  %.2f %s", v.floor, median(ratios) >= v.floor ? "ok" : "BELOW");
    std::printf("\n");
  }
}

}  // namespace streamobs::bench
