#include "app/plan_join.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/wording.h"
#include "config/keys.h"
#include "expr/ast.h"

namespace streamobs::app {

namespace {

using window::JoinOptions;
using window::JoinPlan;
using window::JoinSidePlan;

/// A column of one side: what expressions over its stream may name.
struct JoinColumn {
  std::string name;
  DataType type;
};

class JoinPlanner {
 public:
  JoinPlanner(const JoinOptions& options, const decode::StreamPlan& left,
              const decode::StreamPlan& right, decode::StreamOptions& stream,
              Diagnostics& diagnostics)
      : sides_{&left, &right},
        stream_(stream),
        diagnostics_(diagnostics),
        plan_(std::make_shared<JoinPlan>()) {
    plan_->options = options;
  }

  std::shared_ptr<JoinPlan> plan() {
    for (std::size_t side = 0; side < 2; ++side) plan_side(side);
    find_keys();
    name_fields();
    define();
    return good_ ? std::move(plan_) : nullptr;
  }

 private:
  void complain(const SourceText& at, std::string message, std::string hint) {
    good_ = false;
    diagnostics_.push_back(
        {Diagnostic::Severity::error, at.place, std::move(message), std::move(hint), ""});
  }

  /// All that the side's stream knows of an event, as outputs of one program.
  void plan_side(std::size_t side) {
    const decode::StreamPlan& stream = *sides_[side];
    JoinSidePlan& out = plan_->sides[side];
    out.stream_id = stream.schema.stream_id;
    out.schema = &stream.schema;
    expr::ProgramBuilder builder(stream.scope);
    Diagnostics none;  // They are names of the scope.
    const auto add = [&](const std::string& name) {
      auto node = std::make_shared<expr::Node>();
      node->op = expr::Op::column;
      node->name = name;
      const auto output = builder.add(std::move(node), SourceText(name), none);
      if (!output) return;  // Its type could not be made out, which has been told.
      columns_[side].push_back({name, builder.type(*output)});
    };
    for (const expr::Scope::Column& column : stream.scope.columns()) add(column.name);
    for (const expr::Scope::Definition& definition : stream.scope.definitions()) {
      add(definition.name);
    }
    out.columns = columns_[side].size();
    if (stream.filter != nullptr) {
      out.filter = builder.add(stream.filter, stream.options.filter, none, Kind::boolean);
    }
    out.program = builder.build();
    plan_->fields[side].resize(out.columns);
  }

  std::optional<std::size_t> find(std::size_t side, const std::string& name) const {
    const std::vector<JoinColumn>& columns = columns_[side];
    const auto found = std::find_if(columns.begin(), columns.end(),
                                    [&](const JoinColumn& column) { return column.name == name; });
    if (found == columns.end()) return std::nullopt;
    return static_cast<std::size_t>(found - columns.begin());
  }

  void find_keys() {
    for (const JoinOptions::Key& key : plan_->options.on) {
      std::optional<std::size_t> found[2];
      for (std::size_t side = 0; side < 2; ++side) found[side] = find(side, key.fields[side].text);
      if (!found[0]) complain_of_key(0, key.fields[0]);
      // The same name twice is one mistake.
      if (!found[1] && (found[0] || key.fields[0].text != key.fields[1].text)) {
        complain_of_key(1, key.fields[1]);
      }
      if (!found[0] || !found[1]) continue;
      const DataType left = columns_[0][*found[0]].type;
      const DataType right = columns_[1][*found[1]].type;
      const bool comparable = left.kind != Kind::floating && left.kind != Kind::map;
      if (left != right || !comparable) {
        complain(key.fields[0],
                 fmt::format("on: {} is {} in {} and {} in {}", key.fields[0].text, to_text(left),
                             plan_->options.streams[0].text, to_text(right),
                             plan_->options.streams[1].text),
                 comparable ? "both sides need the same type: declare it so, or derive a field"
                            : "a key is a string, an int, a bool, a decimal or a timestamp");
        continue;
      }
      for (std::size_t side = 0; side < 2; ++side) plan_->sides[side].keys.push_back(*found[side]);
    }
    good_ = good_ && !plan_->options.on.empty();
  }

  void complain_of_key(std::size_t side, const SourceText& name) {
    good_ = false;
    // Fields may be missing because of a mistake that has been told.
    if (sides_[side]->scope.incomplete() || sides_[side]->options.mistaken) return;
    std::vector<std::string_view> known;
    for (const JoinColumn& column : columns_[side]) known.push_back(column.name);
    complain(name,
             fmt::format("on: stream {} has no field \"{}\"", plan_->options.streams[side].text,
                         name.text),
             config::did_you_mean(name.text, known, "it has " + listed(known)));
  }

  bool is_key_of(std::size_t side, std::size_t column) const {
    const std::vector<std::size_t>& keys = plan_->sides[side].keys;
    return std::find(keys.begin(), keys.end(), column) != keys.end();
  }

  void name_fields() {
    const auto time_side = static_cast<std::size_t>(plan_->options.time);
    std::string time = sides_[time_side]->schema.time_field;
    if (time.empty()) {  // Which has been told; what builds on the rows is looked at all the same.
      good_ = false;
      time = "time";
    }
    stream_.time = SourceText(time, plan_->options.name.place);
    add_field(time, {Kind::timestamp, 0});
    plan_->time_field = 0;
    for (std::size_t side = 0; side < 2; ++side) {
      for (std::size_t i = 0; i < columns_[side].size(); ++i) {
        const JoinColumn& column = columns_[side][i];
        // The row has it as its time; the other side has the same key.
        if (side == time_side && column.name == time) continue;
        if (side == 1 && is_key_of(side, i)) continue;
        if (column.type.kind == Kind::interval) continue;  // Only within expressions.
        const bool own_name = side == 0 && is_key_of(side, i);
        const bool shared = column.name == time || (!own_name && other_has(side, column.name));
        plan_->fields[side][i] = stream_.fields.size();
        add_field(shared ? plan_->options.streams[side].text + "." + column.name : column.name,
                  column.type);
      }
    }
  }

  /// Whether the other side's field of that name is one of the joined rows, too.
  bool other_has(std::size_t side, const std::string& name) const {
    const std::optional<std::size_t> there = find(1 - side, name);
    return there && !(side == 0 && is_key_of(1, *there));
  }

  void add_field(std::string name, DataType type) {
    decode::FieldOptions field;
    field.name = SourceText(std::move(name), plan_->options.name.place);
    field.type = type;
    stream_.fields.push_back(std::move(field));
  }

  void define() {
    std::string& text = plan_->definition;
    // Of those that have a partner already, some could find a second one.
    text += plan_->options.one_to_one ? "one to one\n" : "all\n";
    for (std::size_t side = 0; side < 2; ++side) {
      text += plan_->options.streams[side].text + '\n';
      for (const std::size_t key : plan_->sides[side].keys) {
        text += columns_[side][key].name + '\n';
      }
      for (const JoinColumn& column : columns_[side]) {
        text += fmt::format("{} {}\n", column.name, to_text(column.type));
      }
    }
  }

  const decode::StreamPlan* sides_[2];
  decode::StreamOptions& stream_;
  Diagnostics& diagnostics_;
  std::shared_ptr<JoinPlan> plan_;
  std::vector<JoinColumn> columns_[2];
  bool good_ = true;
};

}  // namespace

std::shared_ptr<window::JoinPlan> plan_join(const window::JoinOptions& options,
                                            const decode::StreamPlan& left,
                                            const decode::StreamPlan& right,
                                            decode::StreamOptions& stream,
                                            Diagnostics& diagnostics) {
  return JoinPlanner(options, left, right, stream, diagnostics).plan();
}

}  // namespace streamobs::app
