#include "decode/batch_writer.h"

#include <algorithm>
#include <cstring>

namespace streamobs::decode {

BatchWriter::BatchWriter(const StreamSchema& schema, std::size_t time_column, bool keeps_raw)
    : schema_(schema),
      time_column_(time_column),
      keeps_raw_(keeps_raw),
      places_(schema.fields.size()) {
  for (const Field& field : schema.fields) {
    dictionaries_.push_back(
        is_text(field.type.kind) ? std::make_shared<Dictionary>(kDictionaryEntries) : nullptr);
    // A null has id 0: let it be the empty string.
    if (dictionaries_.back()) dictionaries_.back()->intern("");
  }
}

void BatchWriter::begin(EventBatch& batch, std::size_t rows) {
  batch_ = &batch;
  row_ = 0;
  reserved_ = 0;
  numbered_ = 0;
  skipped_ = 0;
  batch.schema = &schema_;
  batch.columns.resize(schema_.fields.size());
  for (std::size_t i = 0; i < places_.size(); ++i) {
    Column& column = batch.columns[i];
    column.type = schema_.fields[i].type;
    column.dictionary = dictionaries_[i];
    places_[i] = {};
    places_[i].dictionary = dictionaries_[i].get();
  }
  grow(std::max<std::size_t>(rows, 16));
}

void BatchWriter::grow(std::size_t rows) {
  capacity_ = rows;
  batch_->time.resize(rows);
  batch_->event_index.resize(rows);
  time_ = batch_->time.data();
  if (keeps_raw_) {
    batch_->raw.resize(rows);
    raw_ = batch_->raw.data();
  }
  for (std::size_t i = 0; i < places_.size(); ++i) grow_column(i, rows);
}

void BatchWriter::grow_column(std::size_t index, std::size_t rows) {
  Column& column = batch_->columns[index];
  Place& place = places_[index];
  if (column.type.kind == Kind::boolean) {
    column.bools.resize(rows);
    place.bools = column.bools.data();
  } else if (column.type.kind == Kind::floating) {
    column.floats.resize(rows);
    place.floats = column.floats.data();
  } else if (!is_text(column.type.kind)) {
    column.ints.resize(rows);
    place.ints = column.ints.data();
  } else if (column.dictionary) {
    column.ids.resize(rows);
    place.ids = column.ids.data();
  } else {
    column.strings.resize(rows);
    place.strings = column.strings.data();
  }
  if (column.has_nulls) {
    column.nulls.resize(rows, 0);
    place.nulls = column.nulls.data();
  }
}

void BatchWriter::set_null(std::size_t index) {
  Column& column = batch_->columns[index];
  Place& place = places_[index];
  if (place.nulls == nullptr) {
    column.has_nulls = true;
    column.nulls.clear();
    column.nulls.resize(capacity_, 0);
    place.nulls = column.nulls.data();
  }
  place.nulls[row_] = 1;
  if (place.ints != nullptr) {
    place.ints[row_] = 0;
  } else if (place.floats != nullptr) {
    place.floats[row_] = 0;
  } else if (place.bools != nullptr) {
    place.bools[row_] = 0;
  } else if (place.ids != nullptr) {
    place.ids[row_] = 0;
  } else {
    place.strings[row_] = {};
  }
}

void BatchWriter::reserve_rows(std::size_t count) {
  reserved_ = row_ + count;
  if (reserved_ > capacity_) grow(std::max(capacity_ * 2, reserved_));
  // Ids that leave_dictionary() may look at before they have been set.
  for (const Place& place : places_) {
    if (place.ids != nullptr) std::memset(place.ids + row_, 0, count * sizeof *place.ids);
  }
}

void BatchWriter::commit_rows(Row first, std::size_t count) {
  row_ = first.row_ + count;
  for (const Place& place : places_) {
    if (place.nulls != nullptr) std::memset(place.nulls + row_, 0, reserved_ - row_);
  }
  reserved_ = 0;
}

/// Rows since the last skipped event were consecutive events.
void BatchWriter::number_rows() {
  std::uint32_t* const index = batch_->event_index.data();
  const std::uint32_t skipped = skipped_;
  for (std::size_t i = numbered_; i < row_; ++i) index[i] = static_cast<std::uint32_t>(i) + skipped;
  numbered_ = row_;
}

void BatchWriter::skip_event() {
  number_rows();
  ++skipped_;
}

void BatchWriter::reset_row() {
  for (Place& place : places_) {
    if (place.nulls != nullptr) place.nulls[row_] = 0;
  }
}

Dictionary::Id BatchWriter::intern_long(const Place& place, std::string_view text) {
  return text.size() <= kMaxDictionaryText ? place.dictionary->intern(text) : Dictionary::kNone;
}

/// From here on the column carries plain strings, those of this batch's earlier rows included.
void BatchWriter::leave_dictionary(std::size_t index) {
  Column& column = batch_->columns[index];
  Place& place = places_[index];
  column.strings.resize(capacity_);
  place.strings = column.strings.data();
  // The batch must not depend on a dictionary that it does not hold.
  const std::size_t rows = std::max(row_, reserved_);
  for (std::size_t row = 0; row < rows; ++row) {
    place.strings[row] = batch_->text.keep((*place.dictionary)[place.ids[row]]);
  }
  dictionaries_[index].reset();
  column.dictionary.reset();
  place.ids = nullptr;
  place.dictionary = nullptr;
}

void BatchWriter::finish() {
  EventBatch& batch = *batch_;
  number_rows();
  batch.rows = row_;
  batch.events = events();
  batch.time.resize(row_);
  batch.event_index.resize(row_);
  if (keeps_raw_) batch.raw.resize(row_);
  const bool timed = time_column_ < places_.size();
  if (!timed) std::fill(batch.time.begin(), batch.time.end(), 0);
  Timestamp newest = batch.time_max;
  for (const Timestamp t : batch.time) newest = std::max(newest, t);
  batch.time_max = newest;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    Column& column = batch.columns[i];
    column.bools.resize(places_[i].bools != nullptr ? row_ : 0);
    column.floats.resize(places_[i].floats != nullptr ? row_ : 0);
    column.ints.resize(places_[i].ints != nullptr ? row_ : 0);
    column.ids.resize(places_[i].ids != nullptr ? row_ : 0);
    column.strings.resize(places_[i].strings != nullptr ? row_ : 0);
    // A null that was set in a row which was then refused leaves none behind.
    column.has_nulls =
        column.has_nulls && row_ != 0 && std::memchr(column.nulls.data(), 1, row_) != nullptr;
    column.nulls.resize(column.has_nulls ? row_ : 0);
  }
  if (timed && batch.columns[time_column_].type.kind == Kind::timestamp && row_ != 0) {
    std::memcpy(batch.columns[time_column_].ints.data(), batch.time.data(),
                row_ * sizeof(Timestamp));
  }
  batch_ = nullptr;
}

}  // namespace streamobs::decode
