// The loops over many lines that cost most, with 32 bytes at a time: the same as those in
// shapes_lines.cpp, for CPUs with AVX2.
//
// Pure functions over the arrays they are given. Each reads lines from `first` on, as long as they
// have the literal and a value of the common kind, and returns the first that has not (or the
// count): that one is read in another way, then the loop is called again. The only place with
// instructions that not every CPU has; whether this one has them is asked once, by supported().
#pragma once

#include <cstddef>
#include <cstdint>

#include "decode/text_ids.h"
#include "decode/time_text.h"
#include "event/dictionary.h"

namespace streamobs::decode::wide {

/// False: nothing else of this may be called.
bool supported();

/// Lines that are read along one edge.
struct Lines {
  static constexpr std::size_t kMaxLiteral = 32;
  const char** at =
      nullptr;  ///< How far each line has been read: becomes what is behind the value.
  const std::uint16_t* lines = nullptr;  ///< Indexes into `at` and the columns.
  std::size_t count = 0;
  /// What stands in front of each value, its opening quote included; kMaxLiteral bytes can be read.
  const char* literal = nullptr;
  std::size_t size = 0;      ///< Of the literal, at most kMaxLiteral.
  std::uint32_t wanted = 0;  ///< A bit for each byte of it.
};

/// Strings whose ids are known.
std::size_t read_texts(const Lines& lines, std::size_t first, const TextIds::View& known,
                       Dictionary::Id* column);
/// One to eight digits.
std::size_t read_integers(const Lines& lines, std::size_t first, std::int64_t* column);
/// One to eight digits, perhaps one to six behind a point.
std::size_t read_floats(const Lines& lines, std::size_t first, double* column);
/// Times with milliseconds and Z in minutes that are remembered, up to `limit`.
std::size_t read_times(const Lines& lines, std::size_t first, const TimeParser::Minutes& minutes,
                       Timestamp limit, Timestamp* column);

/// Parts `count` lines by whether the literal stands there, and behind it anything but `never`
/// ('\0': anything). Both parts keep their order; returns how many it is for.
std::size_t part(const Lines& lines, char never, std::uint16_t* having, std::uint16_t* others);

/// Writes the places of newlines to `found`, until there are at least `most` of them: at most 63
/// more. Reads up to 63 bytes behind `end`.
std::size_t find_newlines(const char* p, const char* end, std::size_t most, const char** found);

}  // namespace streamobs::decode::wide
