// How lookup() is typed: its table and column are known when the config is read.
#include <fmt/format.h>

#include "base/wording.h"
#include "event/lookup_table.h"
#include "expr/functions.h"

namespace streamobs::expr {

namespace {

/// A name in quotes; null after a mistake.
const std::string* name_at(Compiler& c, const Node& call, Args args, std::size_t i,
                           std::string_view what) {
  if (c.is_constant(args[i]) && c.type(args[i]).kind == Kind::string && !c.literal(args[i]).null) {
    return &c.literal(args[i]).text;
  }
  c.fail(call.args[i]->span, fmt::format("lookup() needs the name of a {} here", what),
         "in single quotes: lookup('table', 'column', key)");
  return nullptr;
}

std::string known(const std::string& name, const std::vector<std::string_view>& names,
                  std::string_view what) {
  const std::string_view best = nearest(name, names);
  if (!best.empty()) return fmt::format("did you mean '{}'?", best);
  if (names.empty()) {
    return fmt::format(
        "there are no {}s here: declare one as [lookup.NAME]; over rows of a window "
        "(rules, its metrics) none can be looked into: have the window carry the "
        "value, max(lookup(…))",
        what);
  }
  return fmt::format("there {} {}", names.size() == 1 ? "is" : "are", listed(names));
}

std::optional<std::size_t> find_table(Compiler& c, const Node& call, const std::string& name) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < c.lookups().size(); ++i) {
    if (c.lookups()[i]->name == name) return i;
    names.emplace_back(c.lookups()[i]->name);
  }
  c.fail(call.args[0]->span, fmt::format("there is no table {} to look into", name),
         known(name, names, "table"));
  return std::nullopt;
}

std::optional<std::size_t> find_column(Compiler& c, const Node& call, const LookupSchema& table,
                                       const std::string& name) {
  std::vector<std::string_view> names;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (table.columns[i].name == name) return i;
    names.emplace_back(table.columns[i].name);
  }
  if (table.incomplete) return std::nullopt;
  c.fail(call.args[1]->span, fmt::format("the table {} has no column {}", table.name, name),
         known(name, names, "column"));
  return std::nullopt;
}

std::string wanted_keys(const LookupSchema& table) {
  std::vector<std::string> names;
  for (const std::size_t key : table.keys) names.push_back(table.columns[key].name);
  return listed(names);
}

}  // namespace

Ref lookup(Compiler& c, const Node& call, Args args) {
  const std::string* const table_name = name_at(c, call, args, 0, "table");
  const std::string* const column_name = name_at(c, call, args, 1, "column");
  if (table_name == nullptr || column_name == nullptr) return std::nullopt;
  const std::optional<std::size_t> index = find_table(c, call, *table_name);
  if (!index) return std::nullopt;
  const LookupSchema& table = *c.lookups()[*index];
  const std::optional<std::size_t> column = find_column(c, call, table, *column_name);
  if (!column) return std::nullopt;
  const Args keys = args.subspan(2);
  if (table.incomplete || table.columns[*column].type.kind == Kind::null) return std::nullopt;
  if (keys.size() != table.keys.size()) {
    return c.fail(call.span,
                  fmt::format("the key of the table {} is {}, and {} {} given", table.name,
                              wanted_keys(table), keys.size(), keys.size() == 1 ? "is" : "are"),
                  "give a value for each, in that order");
  }
  std::vector<StepId> inputs;
  bool ok = true;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const Ref key = c.as_type(*call.args[2 + i], keys[i], table.columns[table.keys[i]].type);
    ok = ok && key.has_value();
    inputs.push_back(key.value_or(0));
  }
  if (!ok) return std::nullopt;
  if (table.valid_from) {
    const Ref time = c.event_time();
    if (!time || c.type(*time).kind != Kind::timestamp) {
      return c.fail(call.args[0]->span,
                    fmt::format("the table {} goes by the event's time, which is no timestamp here",
                                table.name),
                    "declare the stream's time field as timestamp, or leave it out of `fields`");
    }
    inputs.push_back(*time);
  }
  Compiler::Options options;
  options.a = static_cast<std::int64_t>(*index);
  options.b = static_cast<std::int64_t>(*column);
  options.foldable = false;
  return c.emit(kernels::lookup, table.columns[*column].type, std::move(inputs), options);
}

}  // namespace streamobs::expr
