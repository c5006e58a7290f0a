#include "health/stream_tally.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/decimal.h"

namespace streamobs::health {

StreamTally::StreamTally(const StreamSchema& schema, std::uint64_t seed)
    : nulls_(schema.fields.size()), state_(seed * 2 + 1) {
  for (std::size_t i = 0; i < schema.fields.size(); ++i) {
    if (is_numeric(schema.fields[i].type.kind)) numbers_.push_back(i);
  }
}

void StreamTally::add(const EventBatch& batch) {
  if (batch.rows == 0) return;
  for (std::size_t i = 0; i < nulls_.size(); ++i) {
    const Column& column = batch.columns[i];
    if (!column.has_nulls) continue;
    nulls_[i] +=
        std::accumulate(column.nulls.begin(), column.nulls.begin() + batch.rows, std::uint64_t{0});
  }
  if (!numbers_.empty()) sample(batch);
  rows_ += batch.rows;
}

void StreamTally::sample(const EventBatch& batch) {
  if (slots_.empty()) slots_.resize(kSampleRows * numbers_.size());
  std::size_t row = 0;
  for (; row < batch.rows && filled_ < kSampleRows; ++row) {
    put(batch, row, filled_++);
    if (filled_ < kSampleRows) continue;
    next_ = rows_ + row;
    jump();
  }
  while (filled_ == kSampleRows && next_ < rows_ + batch.rows) {
    const auto slot = static_cast<std::size_t>(draw() * kSampleRows);
    put(batch, next_ - rows_, slot);
    jump();
  }
}

void StreamTally::jump() {
  weight_ *= std::exp(std::log(draw()) / kSampleRows);
  const double skipped = std::floor(std::log(draw()) / std::log1p(-weight_));
  // Once the weight is as good as nothing, no further row is drawn in this life of the universe.
  const bool countable = skipped >= 0 && skipped < 1e18;
  next_ = countable ? next_ + static_cast<std::uint64_t>(skipped) + 1
                    : std::numeric_limits<std::uint64_t>::max();
}

void StreamTally::put(const EventBatch& batch, std::size_t row, std::size_t slot) {
  for (std::size_t i = 0; i < numbers_.size(); ++i) {
    const Column& column = batch.columns[numbers_[i]];
    double& value = slots_[slot * numbers_.size() + i];
    if (column.has_nulls && column.nulls[row] != 0) {
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (column.type.kind == Kind::floating) {
      value = column.floats[row];
    } else {
      value = static_cast<double>(column.ints[row]) /
              static_cast<double>(power_of_ten(column.type.scale));
    }
  }
}

/// xorshift64*, which is random enough to choose rows by.
double StreamTally::draw() {
  state_ ^= state_ >> 12;
  state_ ^= state_ << 25;
  state_ ^= state_ >> 27;
  const std::uint64_t bits = state_ * 0x2545F4914F6CDD1DULL >> 11;
  return (static_cast<double>(bits) + 0.5) / 9007199254740992.0;
}

TallyPart StreamTally::take() {
  TallyPart part;
  part.rows = std::exchange(rows_, 0);
  part.sampled_rows = filled_;
  part.fields.resize(nulls_.size());
  for (std::size_t i = 0; i < nulls_.size(); ++i) {
    part.fields[i].nulls = std::exchange(nulls_[i], 0);
  }
  for (std::size_t slot = 0; slot < filled_; ++slot) {
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      const double value = slots_[slot * numbers_.size() + i];
      if (!std::isnan(value)) part.fields[numbers_[i]].sample.push_back(value);
    }
  }
  filled_ = 0;
  next_ = 0;
  weight_ = 1;
  return part;
}

}  // namespace streamobs::health
