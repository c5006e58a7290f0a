// One row's values of several columns as bytes, and back into columns: how a join keeps rows.
//
// Private to this folder; pure. The bytes stand in checkpoints: a byte for
// each value that says whether it is null, and behind it, if not: a boolean as a byte, what is
// integral as a signed varint, a float as its eight bytes, text with its length.
#pragma once

#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "event/column.h"
#include "event/event_batch.h"

namespace streamobs::window {

void put_value(std::string& out, const ColumnView& column, std::size_t row);

/// Reads a value of the column's type and appends it; text is kept in `arena`. Past the end, nulls.
void append_value(Column& column, ByteReader& in, TextArena& arena);
void append_null(Column& column);
/// Passes over a value of that kind.
void skip_value(Kind kind, ByteReader& in);

}  // namespace streamobs::window
