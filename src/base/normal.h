// What is normal, by the windows of the past: one rule for baselines and for the words of
// incidents.
//
// Windows in which there was trouble are left out, so that one incident does not make the next one
// look harmless. But where fewer than `least` ordinary ones are left, all count: what has lasted
// for (nearly) as long as one looks back is the new normal. A value on the stack; any thread.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace streamobs {

class Normal {
 public:
  struct Level {
    std::size_t count = 0;
    double sum = 0;
    double min = std::numeric_limits<double>::infinity();
    double max = -std::numeric_limits<double>::infinity();

    double mean() const { return sum / static_cast<double>(count); }
    /// The standard deviation of a single value; 0 with fewer than two.
    double deviation() const {
      return count < 2 ? 0 : std::sqrt(squares_ / static_cast<double>(count - 1));
    }

    void add(double value) {
      // Welford's update: exact enough also where the mean is large and the spread small.
      const double from_mean = value - running_mean_;
      ++count;
      running_mean_ += from_mean / static_cast<double>(count);
      squares_ += from_mean * (value - running_mean_);
      sum += value;
      min = std::min(min, value);
      max = std::max(max, value);
    }

   private:
    double running_mean_ = 0;
    double squares_ = 0;
  };

  void add(double value, bool troubled) {
    all_.add(value);
    if (!troubled) ordinary_.add(value);
  }

  const Level& level(std::size_t least) const {
    return ordinary_.count >= least ? ordinary_ : all_;
  }

 private:
  Level all_;
  Level ordinary_;
};

}  // namespace streamobs
