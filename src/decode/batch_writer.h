// Writes rows into a batch's columns, one value after the other, without allocating.
//
// A decoder owns one for its whole life and points it at each batch in turn: begin(), then for each
// event set_…() for every column and commit() (or reset_row() to start the row over, or
// skip_event()), then finish(). It keeps the dictionaries of the string columns. A column whose
// dictionary is full carries plain strings from then on, which point into the block or the batch's
// text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "event/dictionary.h"
#include "event/event_batch.h"
#include "event/schema.h"

namespace streamobs::decode {

class BatchWriter {
 public:
  static constexpr std::size_t kDictionaryEntries = 1 << 12;
  /// A longer string ends its column's dictionary: such text does not repeat.
  static constexpr std::size_t kMaxDictionaryText = 1 << 10;

  /// Where a column's next value goes; exactly one of the pointers is used.
  struct Place {
    std::int64_t* ints = nullptr;
    double* floats = nullptr;
    std::uint8_t* bools = nullptr;
    Dictionary::Id* ids = nullptr;  ///< Null: the column carries plain strings.
    std::string_view* strings = nullptr;
    std::uint8_t* nulls = nullptr;  ///< Null until the batch's first null in this column.
    Dictionary* dictionary = nullptr;
  };

  /// The row being written, held in registers while an event is read.
  class Row {
   public:
    Row() = default;
    /// The row `count` behind this one.
    Row behind(std::size_t count) const { return {time_, row_ + count}; }
    std::size_t index() const { return row_; }
    /// Where its time goes, and those of the rows behind it.
    Timestamp* time() const { return time_ + row_; }
    void set_time(Timestamp t) const { time_[row_] = t; }
    void set_int(const Place& place, std::int64_t v) const { place.ints[row_] = v; }
    void set_float(const Place& place, double v) const { place.floats[row_] = v; }
    void set_bool(const Place& place, bool v) const { place.bools[row_] = v ? 1 : 0; }
    /// `text` lives as long as the batch, and ShortText::kMax bytes from its start on are readable
    /// if `padded`.
    void set_text(BatchWriter& writer, const Place& place, std::string_view text,
                  bool padded) const {
      if (place.ids != nullptr) {
        const Dictionary::Id id = padded && text.size() <= ShortText::kMax
                                      ? place.dictionary->intern_padded(text)
                                      : intern_long(place, text);
        if (id != Dictionary::kNone) [[likely]] {
          place.ids[row_] = id;
          return;
        }
        writer.leave_dictionary(static_cast<std::size_t>(&place - writer.places_.data()));
      }
      place.strings[row_] = text;
    }

   private:
    friend class BatchWriter;
    Row(Timestamp* time, std::size_t row) : time_(time), row_(row) {}
    Timestamp* time_ = nullptr;
    std::size_t row_ = 0;
  };
  Row row() const { return {time_, row_}; }
  /// A column's place; stays where it is as long as the writer lives.
  const Place& place(std::size_t column) const { return places_[column]; }

  /// `schema` outlives the writer. `keeps_raw`: each row's text goes to the batch too.
  BatchWriter(const StreamSchema& schema, std::size_t time_column, bool keeps_raw);

  /// Turns to `batch`, which has been cleared; `rows` is a guess.
  void begin(EventBatch& batch, std::size_t rows);
  /// Makes room for one more row; to be called before a row's first set_…().
  void prepare_row() {
    if (row_ == capacity_) [[unlikely]]
      grow(capacity_ * 2);
  }
  /// Keeps the row as the next event, whose text is [begin, end): every column has been set.
  void commit(const char* begin, const char* end) {
    if (raw_ != nullptr) [[unlikely]]
      raw_[row_] = {begin, static_cast<std::size_t>(end - begin)};
    ++row_;
  }

  /// Several rows at once, column by column: makes room for `count` of them.
  void reserve_rows(std::size_t count);
  /// What follows is about that row of those reserved. Only with commit_rows() behind it.
  void seek(Row row) { row_ = row.row_; }
  /// Ends what reserve_rows() has begun at `first`: keeps the first `count` rows.
  void commit_rows(Row first, std::size_t count);
  /// Where the texts of these rows go; null where they are not kept.
  std::string_view* raw(Row first) const { return raw_ == nullptr ? nullptr : raw_ + first.row_; }

  /// The next event has become no row.
  void skip_event();
  /// Events so far, with rows and without.
  std::uint32_t events() const { return static_cast<std::uint32_t>(row_) + skipped_; }
  /// Forgets what has been set of the row.
  void reset_row();
  void finish();

  std::size_t rows() const { return row_; }
  EventBatch& batch() { return *batch_; }

  void set_time(Timestamp t) { row().set_time(t); }
  void set_int(std::size_t column, std::int64_t v) { row().set_int(places_[column], v); }
  void set_float(std::size_t column, double v) { row().set_float(places_[column], v); }
  void set_bool(std::size_t column, bool v) { row().set_bool(places_[column], v); }
  void set_text(std::size_t column, std::string_view text, bool padded) {
    row().set_text(*this, places_[column], text, padded);
  }
  void set_null(std::size_t column);

 private:
  void grow(std::size_t rows);
  void number_rows();
  void grow_column(std::size_t column, std::size_t rows);
  void leave_dictionary(std::size_t column);
  static Dictionary::Id intern_long(const Place& place, std::string_view text);

  const StreamSchema& schema_;
  std::size_t time_column_;
  bool keeps_raw_;
  std::vector<std::shared_ptr<Dictionary>> dictionaries_;  ///< Null where there is none (any more).
  EventBatch* batch_ = nullptr;
  std::vector<Place> places_;
  Timestamp* time_ = nullptr;
  std::string_view* raw_ = nullptr;  ///< Null where no texts are kept.
  std::size_t row_ = 0;
  std::size_t capacity_ = 0;
  std::size_t reserved_ = 0;   ///< Where the reserved rows end; 0 without such.
  std::size_t numbered_ = 0;   ///< Rows whose event_index has been written.
  std::uint32_t skipped_ = 0;  ///< Events that became no row.
};

}  // namespace streamobs::decode
