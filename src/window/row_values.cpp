#include "window/row_values.h"

namespace streamobs::window {

void put_value(std::string& out, const ColumnView& column, std::size_t row) {
  if (column.is_null(row)) {
    put_u8(out, 1);
    return;
  }
  put_u8(out, 0);
  const Kind kind = column.type.kind;
  if (kind == Kind::boolean) {
    put_u8(out, column.bool_at(row) ? 1 : 0);
  } else if (kind == Kind::floating) {
    put_double(out, column.float_at(row));
  } else if (is_text(kind)) {
    put_text(out, column.string_at(row));
  } else {
    put_signed(out, column.int_at(row));
  }
}

namespace {

/// Whichever array the column uses; the value beside a null is defined all the same.
void append(Column& column, bool null, std::int64_t integer, double floating,
            std::string_view text) {
  column.has_nulls = true;
  column.nulls.push_back(null ? 1 : 0);
  const Kind kind = column.type.kind;
  if (kind == Kind::boolean) {
    column.bools.push_back(integer != 0 ? 1 : 0);
  } else if (kind == Kind::floating) {
    column.floats.push_back(floating);
  } else if (is_text(kind)) {
    column.strings.push_back(text);
  } else {
    column.ints.push_back(integer);
  }
}

}  // namespace

void append_null(Column& column) {
  append(column, true, 0, 0, {});
}

void append_value(Column& column, ByteReader& in, TextArena& arena) {
  if (in.u8() != 0 || !in.ok()) {
    append_null(column);
    return;
  }
  const Kind kind = column.type.kind;
  if (kind == Kind::boolean) {
    append(column, false, in.u8(), 0, {});
  } else if (kind == Kind::floating) {
    append(column, false, 0, in.number(), {});
  } else if (is_text(kind)) {
    append(column, false, 0, 0, arena.keep(in.text()));
  } else {
    append(column, false, in.signed_varint(), 0, {});
  }
}

void skip_value(Kind kind, ByteReader& in) {
  if (in.u8() != 0) return;
  if (kind == Kind::boolean) {
    in.u8();
  } else if (kind == Kind::floating) {
    in.u64();
  } else if (is_text(kind)) {
    in.text();
  } else {
    in.varint();
  }
}

}  // namespace streamobs::window
