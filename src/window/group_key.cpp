#include "window/group_key.h"

#include <algorithm>
#include <bit>

#include "base/bytes.h"

namespace streamobs::window {

void append_key(std::string& out, const ColumnView& column, std::size_t row, bool last) {
  const Kind kind = column.type.kind;
  if (kind == Kind::null || column.is_null(row)) {
    put_u8(out, 0);
    return;
  }
  put_u8(out, 1);
  if (is_text(kind)) {
    const std::string_view text = column.string_at(row);
    if (!last) put_varint(out, text.size());
    out.append(text);
  } else if (kind == Kind::boolean) {
    put_u8(out, column.bool_at(row) ? 1 : 0);
  } else if (kind == Kind::floating) {
    put_double(out, column.float_at(row) + 0.0);  // −0 and 0 are one key.
  } else {
    put_u64(out, static_cast<std::uint64_t>(column.int_at(row)));
  }
}

namespace {

/// One column's value, read off the front of a key.
struct KeyPart {
  bool null = false;
  std::int64_t integer = 0;
  double floating = 0;
  std::string_view text;
};

KeyPart read_part(ByteReader& in, Kind kind, bool last) {
  KeyPart part;
  part.null = in.u8() == 0;
  if (part.null) return part;
  if (is_text(kind)) {
    const std::size_t size = last ? in.left() : in.varint();
    part.text = in.text(size);
  } else if (kind == Kind::boolean) {
    part.integer = in.u8();
  } else if (kind == Kind::floating) {
    part.floating = in.number();
  } else {
    part.integer = static_cast<std::int64_t>(in.u64());
  }
  return part;
}

int sign_of(bool less, bool greater) {
  return static_cast<int>(greater) - static_cast<int>(less);
}

int compare_parts(const KeyPart& a, const KeyPart& b, Kind kind) {
  if (a.null || b.null) return static_cast<int>(b.null) - static_cast<int>(a.null);
  if (is_text(kind)) return a.text.compare(b.text);
  if (kind == Kind::floating) {
    return sign_of(a.floating<b.floating, a.floating> b.floating);
  }
  return sign_of(a.integer<b.integer, a.integer> b.integer);
}

}  // namespace

std::vector<Value> decode_key(const GroupKey& key, const std::vector<DataType>& types) {
  std::vector<Value> values;
  values.reserve(types.size());
  ByteReader in(key.bytes());
  for (std::size_t i = 0; i < types.size(); ++i) {
    Value value = Value::of_null(types[i]);
    if (key.is_overflow()) {
      if (types[i].kind == Kind::string) {
        value.null = false;
        value.text = "__overflow__";
      }
    } else {
      const KeyPart part = read_part(in, types[i].kind, i + 1 == types.size());
      value.null = part.null;
      value.integer = part.integer;
      value.floating = part.floating;
      value.text = std::string(part.text);
    }
    values.push_back(std::move(value));
  }
  return values;
}

int compare_keys(const GroupKey& a, const GroupKey& b, const std::vector<DataType>& types) {
  if (a.is_overflow() || b.is_overflow()) {
    return static_cast<int>(a.is_overflow()) - static_cast<int>(b.is_overflow());
  }
  // Of a single text column the bytes are in order as they stand.
  if (types.size() == 1 && is_text(types[0].kind)) return a.bytes().compare(b.bytes());
  ByteReader left(a.bytes());
  ByteReader right(b.bytes());
  for (std::size_t i = 0; i < types.size(); ++i) {
    const bool last = i + 1 == types.size();
    const KeyPart x = read_part(left, types[i].kind, last);
    const KeyPart y = read_part(right, types[i].kind, last);
    if (const int order = compare_parts(x, y, types[i].kind); order != 0) return order;
  }
  return 0;
}

}  // namespace streamobs::window
