// Any text as an expression: parsed, put into normal form, compiled against a scope and run over
// small columns in two shapes, which must agree.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "event/value.h"
#include "expr/program.h"

namespace {

using namespace streamobs;

constexpr std::size_t kRows = 5;

struct Columns {
  Columns() {
    scope.add_column("i", {Kind::integer, 0});
    scope.add_column("f", {Kind::floating, 0});
    scope.add_column("d", {Kind::decimal, 2});
    scope.add_column("s", {Kind::string, 0});
    scope.add_column("t", {Kind::timestamp, 0});
    scope.add_column("b", {Kind::boolean, 0});
    scope.add_column("m", {Kind::map, 0});
    scope.add_column("a.b", {Kind::string, 0});
    Diagnostics diagnostics;
    const SourceText derived("upper(s) || i");
    scope.add_definition("derived", expr::parse(derived, diagnostics), derived);
    for (std::size_t i = 0; i < kRows; ++i) {
      ids.push_back(strings_dictionary.intern(strings[i]));
      map_ids.push_back(maps_dictionary.intern(maps[i]));
    }
  }

  std::vector<ColumnView> views(bool dictionary) const {
    std::vector<ColumnView> out;
    for (const expr::Scope::Column& column : scope.columns()) {
      ColumnView view;
      view.type = column.type;
      view.nulls = nulls;
      view.ints = ints;
      view.floats = floats;
      view.bools = bools;
      if (is_text(column.type.kind)) {
        const bool map = column.type.kind == Kind::map;
        view.strings = map ? maps : strings;
        if (dictionary) {
          view.strings = nullptr;
          view.dictionary = map ? &maps_dictionary : &strings_dictionary;
          view.ids = map ? map_ids.data() : ids.data();
        }
      }
      out.push_back(view);
    }
    return out;
  }

  const std::uint8_t nulls[kRows] = {0, 0, 1, 0, 0};
  const std::int64_t ints[kRows] = {0, -7, 0, INT64_MAX, INT64_MIN};
  const double floats[kRows] = {0, -2.5, 0, 1.7976931348623157e308, 5e-324};
  const std::uint8_t bools[kRows] = {0, 1, 0, 1, 0};
  const std::string_view strings[kRows] = {"", "Hello, W\xc3\xb6rld", "", "42", "%a_b\\"};
  const std::string_view maps[kRows] = {"{}", "{\"k\":\"v\\n\",\"n\":1}", "", "{\"k\":[1,{}]}",
                                        "{\"k\":null}"};
  Dictionary strings_dictionary;
  Dictionary maps_dictionary;
  std::vector<Dictionary::Id> ids;
  std::vector<Dictionary::Id> map_ids;
  expr::Scope scope;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Columns columns;
  const SourceText source(std::string(reinterpret_cast<const char*>(data), size),
                          {"fuzz.toml", 3, 7});
  Diagnostics diagnostics;
  const expr::NodePtr node = expr::parse(source, diagnostics);
  if (node == nullptr) {
    if (diagnostics.size() != 1 || diagnostics[0].excerpt.empty()) std::abort();
    return 0;
  }
  expr::walk(node, [&](const expr::Node& part) {
    if (part.span.begin > part.span.end || part.span.end > size) std::abort();
  });
  expr::to_sql(*node);

  expr::ProgramBuilder builder(columns.scope);
  if (!builder.add(node, source, diagnostics)) {
    if (diagnostics.empty()) std::abort();
    return 0;
  }
  expr::Evaluator plain(builder.build());
  plain.run(columns.views(false), kRows, 1'704'803'696'500'000);
  expr::Evaluator by_entry(builder.build());
  by_entry.run(columns.views(true), kRows, 1'704'803'696'500'000);
  for (std::size_t row = 0; row < kRows; ++row) {
    const Value a = Value::from(plain.output(0), row);
    const Value b = Value::from(by_entry.output(0), row);
    if (!(a == b)) std::abort();
    const bool real = !a.null && a.type.kind == Kind::floating;
    if (real && !(a.floating - a.floating == 0)) std::abort();  // NaN or infinite.
  }
  return 0;
}
