#include "config/write_toml.h"

#include <algorithm>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "config/table_reader.h"

namespace streamobs::config {

namespace {

void put_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

void put_key(std::string& out, std::string_view key) {
  if (is_label(key)) {
    out += key;
  } else {
    put_text(out, key);
  }
}

/// A float stays one.
std::string float_text(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

void put_value(std::string& out, const Value& value) {
  switch (value.kind) {
    case Value::Kind::string:
      put_text(out, value.text);
      return;
    case Value::Kind::integer:
      out += std::to_string(value.integer);
      return;
    case Value::Kind::floating:
      out += float_text(value.floating);
      return;
    case Value::Kind::boolean:
      out += value.boolean ? "true" : "false";
      return;
    case Value::Kind::time:
      throw std::logic_error("a config has no times");
    case Value::Kind::array:
      out += '[';
      for (const Value& item : value.items) {
        if (&item != &value.items.front()) out += ", ";
        put_value(out, item);
      }
      out += ']';
      return;
    case Value::Kind::table:
      out += '{';
      for (const Entry& entry : value.entries) {
        out += &entry == &value.entries.front() ? " " : ", ";
        put_key(out, entry.key);
        out += " = ";
        put_value(out, entry.value);
      }
      out += value.entries.empty() ? "}" : " }";
      return;
  }
}

bool is_table(const Entry& entry) {
  return entry.value.kind == Value::Kind::table;
}

/// What is no table stands before the first header.
void put_entries(std::string& out, const Value& table, bool tables_too) {
  for (const Entry& entry : table.entries) {
    if (is_table(entry) && !tables_too) continue;
    put_key(out, entry.key);
    out += " = ";
    put_value(out, entry.value);
    out += '\n';
  }
}

}  // namespace

std::string write_toml_value(const Value& value) {
  std::string out;
  put_value(out, value);
  return out;
}

std::string write_toml(const Value& root) {
  std::string out;
  put_entries(out, root, false);
  for (const Entry& section : root.entries) {
    if (!is_table(section)) continue;
    const std::vector<Entry>& entries = section.value.entries;
    // [section], unless all of it is [section.NAME].
    if (entries.empty() || !std::all_of(entries.begin(), entries.end(), is_table)) {
      out += "\n[";
      put_key(out, section.key);
      out += "]\n";
      put_entries(out, section.value, false);
    }
    for (const Entry& item : entries) {
      if (!is_table(item)) continue;
      out += "\n[";
      put_key(out, section.key);
      out += '.';
      put_key(out, item.key);
      out += "]\n";
      put_entries(out, item.value, true);
    }
  }
  return out;
}

}  // namespace streamobs::config
