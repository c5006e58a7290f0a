// Finds where events end in a growing buffer: at newlines, or for CSV at newlines outside quotes.
//
// Works over a buffer that starts at the start of an event and only grows; rebase() tells it when
// the front was cut away. Belongs to one BlockReader.
#pragma once

#include <cstddef>

#include "event/block.h"

namespace streamobs::source {

class RecordCutter {
 public:
  explicit RecordCutter(Format format) : is_csv_(format == Format::csv) {}

  /// Looks at data[scanned(), size).
  void scan(const char* data, std::size_t size);

  std::size_t scanned() const { return scanned_; }
  /// Just behind the last (first) event that ends in the buffer; 0: none does.
  std::size_t last_end() const { return last_end_; }
  std::size_t first_end() const { return first_end_; }

  /// The first `bytes` (at most scanned()) are gone. Unless they ended with an event, what follows
  /// still belongs to the event that was begun; `last_byte` is the last byte cut away.
  void rebase(std::size_t bytes, char last_byte);

 private:
  void scan_csv(const char* data, std::size_t size);
  void found(std::size_t end) {
    if (first_end_ == 0) first_end_ = end;
    last_end_ = end;
  }

  enum class State { plain, quoted, quote_in_quoted };
  bool is_csv_;
  State state_ = State::plain;
  char before_ = '\n';  ///< The byte before data[0].
  std::size_t scanned_ = 0;
  std::size_t first_end_ = 0;
  std::size_t last_end_ = 0;
};

}  // namespace streamobs::source
