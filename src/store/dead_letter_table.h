// The table of dead letters, with their headers and counts: writing it and reading it back.
//
// The writing half belongs to the writing connection; the reading functions take whichever
// connection the caller reads by.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/record.h"
#include "store/query.h"
#include "store/sqlite.h"

namespace streamobs::store {

struct DeadLetterCount {
  std::string stream;
  std::string reason;
  std::uint64_t count = 0;
};

struct StoredDeadLetter {
  std::int64_t id = 0;
  DeadLetter letter;
};

class DeadLetterWriter {
 public:
  static constexpr std::int64_t kMaxDeadLetters = 100'000;

  Result<> prepare(const Connection& connection);
  /// Adds and counts those that are not there yet, and removes the oldest beyond kMaxDeadLetters.
  Result<> write(const DeadLetters& letters);
  /// Notes when a letter's event was sent again, if it is still there.
  Result<> write(const ReplayedLetter& replayed);
  /// Removes at most `step` of them that were received before `before`; with the last of those what
  /// only they needed.
  Result<std::int64_t> expire(Timestamp before, std::int64_t step);

 private:
  Result<std::int64_t> id_of_header(const std::string& header);

  Statement letter_;
  Statement header_;
  Statement replayed_;
  Statement count_;
  Statement trim_;
  Statement expire_;
  Statement unused_headers_;
};

Result<std::vector<StoredDeadLetter>> read_dead_letters(const Connection& connection,
                                                        const DeadLetterQuery& query);
Result<std::vector<DeadLetterCount>> read_dead_letter_counts(const Connection& connection);

}  // namespace streamobs::store
