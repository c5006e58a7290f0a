// What the fields of a stream's events are like: how many are null, counted exactly, and a sample
// of the rows, to see which numbers are usual.
//
// One for each stream in each lane, on the lane's strand, filled as batches are decoded (so events
// that are replayed from the log are not in it, and refused ones have no row). It costs a few sums
// a batch: rows that are not in the sample are jumped over, not drawn for one by one (algorithm L
// of Li, "Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n)))", 1994), and every
// row is in it with the same chance. Bounded: kSampleRows rows, eight bytes for each field that is
// a number.
#pragma once

#include <cstdint>
#include <vector>

#include "event/event_batch.h"
#include "event/schema.h"

namespace streamobs::health {

struct FieldTally {
  std::uint64_t nulls = 0;
  std::vector<double> sample;  ///< Of numbers: those of the sampled rows that are not null.
};

/// Since the one before; a stream's fields in the schema's order.
struct TallyPart {
  std::uint64_t rows = 0;
  std::uint64_t sampled_rows = 0;
  std::vector<FieldTally> fields;
};

class StreamTally {
 public:
  static constexpr std::size_t kSampleRows = 512;

  /// The schema outlives it. With the same seed the same rows are drawn.
  StreamTally(const StreamSchema& schema, std::uint64_t seed);

  void add(const EventBatch& batch);
  /// What there is, and begins anew.
  TallyPart take();

 private:
  void sample(const EventBatch& batch);
  void put(const EventBatch& batch, std::size_t row, std::size_t slot);
  double draw();  ///< In (0, 1).
  void jump();

  std::vector<std::size_t> numbers_;  ///< Fields that are numbers.
  std::uint64_t rows_ = 0;
  std::vector<std::uint64_t> nulls_;  ///< By field.
  std::vector<double> slots_;         ///< Row by row, for each of numbers_; NaN: null.
  std::size_t filled_ = 0;            ///< Rows of it.
  std::uint64_t next_ = 0;            ///< The next row to be put into it once it is full.
  double weight_ = 1;
  std::uint64_t state_;
};

}  // namespace streamobs::health
