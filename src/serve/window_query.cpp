#include "serve/window_query.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/time_format.h"
#include "serve/answers.h"
#include "serve/csv.h"
#include "serve/json.h"
#include "store/options.h"

namespace streamobs::serve {

namespace {

constexpr std::string_view kSketch = "sketch(";
constexpr Duration kStepMax = 366 * kDay;
constexpr std::size_t kQuantilesMax = 20;

/// Of "sketch(latency_ms)" "latency_ms", of one with a filter that as well; empty: no sketch.
std::string sketch_name(std::string_view accumulator) {
  if (!accumulator.starts_with(kSketch)) return {};
  std::string name(accumulator.substr(kSketch.size()));
  // The parenthesis that closes the argument: the last one, or the one before the filter.
  const std::size_t filter = name.find(") filter (where ");
  const std::size_t end = filter == std::string::npos ? name.rfind(')') : filter;
  if (end != std::string::npos) name.erase(end, 1);
  return name;
}

std::vector<std::string_view> split(std::string_view list) {
  std::vector<std::string_view> parts;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    parts.push_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return parts;
}

std::vector<std::string> names_of(const std::vector<ResultColumn>& columns) {
  std::vector<std::string> names;
  for (const ResultColumn& column : columns) names.push_back(column.name);
  return names;
}

/// Indexes of the columns that `list` names, in its order.
Result<std::vector<std::size_t>> read_columns(std::string_view parameter, std::string_view list,
                                              const WindowSchema& schema,
                                              const std::vector<ResultColumn>& columns) {
  std::vector<std::size_t> indexes;
  for (const std::string_view name : split(list)) {
    const auto same = [name](const ResultColumn& column) { return column.name == name; };
    const auto found = std::find_if(columns.begin(), columns.end(), same);
    if (found == columns.end()) {
      return fail(ErrorCode::invalid,
                  fmt::format("{} = \"{}\": window {} has no {} \"{}\"; there is {}", parameter,
                              list, schema.window, &columns == &schema.keys ? "key" : "metric",
                              name, enumerate(names_of(columns))));
    }
    const auto index = static_cast<std::size_t>(found - columns.begin());
    if (std::find(indexes.begin(), indexes.end(), index) != indexes.end()) {
      return fail(ErrorCode::invalid,
                  fmt::format("{} = \"{}\" names {} twice", parameter, list, name));
    }
    indexes.push_back(index);
  }
  return indexes;
}

/// latency_ms:0.999
Result<MergeQuery::Quantile> read_quantile(std::string_view text, const WindowSchema& schema) {
  const std::size_t colon = text.rfind(':');
  const std::string_view of = text.substr(0, colon);
  const std::string_view number =
      colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  MergeQuery::Quantile quantile;
  quantile.name = text;
  const auto read =
      std::from_chars(number.data(), number.data() + number.size(), quantile.parameter);
  const bool is_share = read.ec == std::errc() && read.ptr == number.data() + number.size() &&
                        quantile.parameter >= 0 && quantile.parameter <= 1;
  if (!is_share) {
    return fail(ErrorCode::invalid,
                fmt::format("quantile = \"{}\": write FIELD:P with P from 0 to 1, such as "
                            "latency_ms:0.999",
                            text));
  }
  for (std::size_t i = 0; i < schema.accumulators.size(); ++i) {
    if (sketch_name(schema.accumulators[i]) != of) continue;
    quantile.accumulator = i;
    return quantile;
  }
  const std::vector<std::string> there = sketches_of(schema);
  return fail(
      ErrorCode::invalid,
      fmt::format("quantile = \"{}\": window {} keeps no sketch of {}; there is {}. A metric "
                  "quantile({}, 0.5) in its select makes it keep one from then on",
                  text, schema.window, of, enumerate(there), of));
}

Result<Duration> read_step(std::string_view text, const WindowSchema& schema) {
  const Result<Duration> step = parse_duration(text);
  if (step.has_error() || *step <= 0 || *step > kStepMax) {
    return fail(ErrorCode::invalid,
                fmt::format("step = \"{}\" is no duration such as 1h or 1d, at most 366d", text));
  }
  if (schema.size <= 0 || *step % schema.size != 0) {
    return fail(ErrorCode::invalid,
                fmt::format("step = \"{}\": windows of {} do not fill it; take a multiple of {}",
                            text, to_text(schema.size), to_text(schema.size)));
  }
  return *step;
}

/// One parameter that asks for merging. False: it is none.
Result<bool> read_merge(std::string_view name, std::string_view value, const WindowSchema& schema,
                        MergeQuery& merge) {
  if (name == "step") {
    const Result<Duration> step = read_step(value, schema);
    if (step.has_error()) return step.error();
    merge.step = *step;
    return true;
  }
  if (name == "by") {
    Result<std::vector<std::size_t>> by = read_columns("by", value, schema, schema.keys);
    if (by.has_error()) return by.error();
    merge.by = std::move(*by);
    return true;
  }
  if (name != "quantile") return false;
  for (const std::string_view part : split(value)) {
    Result<MergeQuery::Quantile> quantile = read_quantile(part, schema);
    if (quantile.has_error()) return quantile.error();
    merge.quantiles.push_back(std::move(*quantile));
  }
  if (merge.quantiles.size() <= kQuantilesMax) return true;
  return fail(ErrorCode::invalid,
              fmt::format("quantile: at most {} in one question", kQuantilesMax));
}

/// All keys kept, at that step.
MergeQuery all_merged(const WindowSchema& schema, const store::WindowQuery& rows, Duration step) {
  MergeQuery merge;
  for (std::size_t i = 0; i < schema.keys.size(); ++i) merge.by.push_back(i);
  merge.rows = rows;
  merge.step = step;
  return merge;
}

/// What is shown: the metrics asked for, and quantiles behind them.
WindowAnswer shown(const WindowSchema& schema, const WindowQuestion& question, MergedRows merged) {
  WindowAnswer out;
  out.schema.window = schema.window;
  std::vector<std::size_t> metrics = question.metrics;
  std::vector<ResultColumn> columns = schema.metrics;
  out.schema.keys = schema.keys;
  if (question.merge) {
    out.schema.keys.clear();
    for (const std::size_t key : question.merge->by) out.schema.keys.push_back(schema.keys[key]);
    for (const MergeQuery::Quantile& quantile : question.merge->quantiles) {
      metrics.push_back(columns.size());
      columns.push_back({quantile.name, {Kind::floating, 0}});
    }
  }
  for (const std::size_t metric : metrics) out.schema.metrics.push_back(columns[metric]);
  for (WindowRow& row : merged.rows) {
    std::vector<Value> values;
    for (const std::size_t metric : metrics) values.push_back(std::move(row.metrics[metric]));
    row.metrics = std::move(values);
  }
  out.rows = std::move(merged.rows);
  out.resolutions = std::move(merged.resolutions);
  return out;
}

void write_rows(JsonWriter& json, const WindowAnswer& answer) {
  json.begin_array();
  for (const WindowRow& row : answer.rows) write(json, answer.schema, row);
  json.end_array();
}

}  // namespace

std::vector<std::string> sketches_of(const WindowSchema& schema) {
  std::vector<std::string> names;
  for (const std::string& accumulator : schema.accumulators) {
    std::string name = sketch_name(accumulator);
    if (!name.empty()) names.push_back(std::move(name));
  }
  return names;
}

Result<WindowQuestion> read_window_question(const QueryParameters& parameters,
                                            const WindowSchema& schema) {
  WindowQuestion question;
  Result<store::WindowQuery> rows = read_window_query(parameters, schema);
  if (rows.has_error()) return rows.error();
  QueryParameters left = parameters;
  const Result<AnswerFormat> format = take_format(left, AnswerFormat::csv);
  if (format.has_error()) return format.error();
  question.format = *format;

  MergeQuery merge = all_merged(schema, question.rows, 0);
  bool asked = false;
  for (std::size_t i = 0; i < schema.metrics.size(); ++i) question.metrics.push_back(i);
  for (const auto& [name, value] : left) {
    const Result<bool> is_merge = read_merge(name, value, schema, merge);
    if (is_merge.has_error()) return is_merge.error();
    asked = asked || *is_merge;
    if (name != "metrics") continue;
    Result<std::vector<std::size_t>> metrics =
        read_columns("metrics", value, schema, schema.metrics);
    if (metrics.has_error()) return metrics.error();
    question.metrics = std::move(*metrics);
  }
  question.rows = std::move(*rows);
  if (asked && question.rows.latest) {
    return fail(ErrorCode::invalid,
                "latest is of rows as they closed: leave out step, by and quantile, or ask for "
                "windows=1 with a long step");
  }
  if (asked) {
    merge.rows = question.rows;
    question.merge = std::move(merge);
  }
  return question;
}

namespace {

/// Of the windows of a view those that are asked for; takes the parameter that says so.
Result<std::vector<std::size_t>> take_members(QueryParameters& parameters,
                                              const RowSource& source) {
  std::vector<std::size_t> members;
  const auto wanted = std::find_if(parameters.begin(), parameters.end(), [&](const auto& p) {
    return source.view && p.first == store::kViewColumn;
  });
  std::vector<std::string> sizes;
  for (std::size_t i = 0; i < source.members.size(); ++i) {
    sizes.push_back(source.members[i].size);
    if (wanted == parameters.end() || wanted->second == sizes.back()) members.push_back(i);
  }
  if (members.empty()) {
    return fail(ErrorCode::invalid, fmt::format("{} = \"{}\": view {} has {}", store::kViewColumn,
                                                wanted->second, source.name, enumerate(sizes)));
  }
  if (wanted != parameters.end()) parameters.erase(wanted);
  return members;
}

/// The metrics of a member as the first one has them: their order may be another.
std::vector<std::size_t> in_order_of(const WindowSchema& first, const WindowSchema& member) {
  std::vector<std::size_t> metrics;
  for (const ResultColumn& metric : first.metrics) {
    const auto same = [&](const ResultColumn& other) { return other.name == metric.name; };
    const auto found = std::find_if(member.metrics.begin(), member.metrics.end(), same);
    metrics.push_back(static_cast<std::size_t>(found - member.metrics.begin()));
  }
  return metrics;
}

asio::awaitable<Result<WindowAnswer>> ask_window(const ApiContext& context,
                                                 const WindowSchema& schema,
                                                 const WindowQuestion& question) {
  WindowQuestion asked = question;
  const bool as_closed = !asked.merge || asked.merge->step == 0;
  if (as_closed && !asked.rows.latest) {
    const Duration step = context.queries->step_for(asked.rows);
    if (step != 0 && !asked.merge) asked.merge = all_merged(schema, asked.rows, step);
    if (step != 0) asked.merge->step = step;
  }
  Result<MergedRows> rows = MergedRows();
  if (asked.rows.latest && asked.rows.windows) {
    store::WindowQuery query = asked.rows;
    const auto starts = co_await context.queries->window_starts(std::move(query));
    if (starts) {
      asked.rows = of_newest(asked.rows, *starts, context.open_windows->rows(asked.rows));
    } else {
      rows = starts.error();
    }
  }
  if (rows.has_error()) {
    // Said below.
  } else if (asked.merge) {
    MergeQuery merge = *asked.merge;
    rows = co_await context.queries->merged_rows(std::move(merge));
  } else {
    // What is open is taken first: a row that closes in between is then seen twice, never not at
    // all.
    std::vector<WindowRow> early = context.open_windows->rows(asked.rows);
    store::WindowQuery query = asked.rows;
    auto stored = co_await context.queries->window_rows(std::move(query));
    if (stored) {
      rows->rows = merge_rows(std::move(*stored), std::move(early), asked.rows);
      rows->resolutions = {store::Resolution::raw};
    } else {
      rows = stored.error();
    }
  }
  Result<WindowAnswer> answer = WindowAnswer();
  if (rows) {
    answer = shown(schema, asked, std::move(*rows));
  } else {
    answer = rows.error();
  }
  co_return answer;
}

/// Puts the rows of a view's window to those of the others.
void unite(WindowAnswer& into, WindowAnswer part, const std::string& size) {
  const ResultColumn column{std::string(store::kViewColumn), {Kind::string, 0}};
  part.schema.metrics.insert(part.schema.metrics.begin(), column);
  into.schema.keys = std::move(part.schema.keys);
  into.schema.metrics = std::move(part.schema.metrics);
  for (WindowRow& row : part.rows) {
    row.metrics.insert(row.metrics.begin(), Value::of_string(size));
    into.rows.push_back(std::move(row));
  }
  for (const store::Resolution resolution : part.resolutions) {
    const auto at = std::lower_bound(into.resolutions.begin(), into.resolutions.end(), resolution);
    if (at == into.resolutions.end() || *at != resolution) into.resolutions.insert(at, resolution);
  }
}

}  // namespace

Result<RowsQuestion> read_rows_question(const QueryParameters& parameters,
                                        const RowSource& source) {
  std::vector<std::string> names = window_parameters(source.columns());
  if (source.view) names.emplace_back(store::kViewColumn);
  if (const auto checked = check_parameters(parameters, names); !checked) return checked.error();
  QueryParameters left = parameters;
  const Result<std::vector<std::size_t>> members = take_members(left, source);
  if (members.has_error()) return members.error();
  const bool chosen =
      std::any_of(left.begin(), left.end(), [](const auto& p) { return p.first == "metrics"; });
  RowsQuestion question;
  for (const std::size_t member : *members) {
    const WindowSchema& schema = *source.members[member].schema;
    Result<WindowQuestion> part = read_window_question(left, schema);
    if (part.has_error()) return part.error();
    if (!chosen) part->metrics = in_order_of(source.columns(), schema);
    question.limit = part->rows.limit;
    question.format = part->format;
    question.parts.push_back({member, std::move(*part)});
  }
  return question;
}

asio::awaitable<Result<WindowAnswer>> answer_question(const ApiContext& context,
                                                      const RowSource& source,
                                                      const RowsQuestion& question) {
  Result<WindowAnswer> all = WindowAnswer();
  for (const RowsQuestion::Part& part : question.parts) {
    const RowSource::Member& member = source.members[part.member];
    auto answer = co_await ask_window(context, *member.schema, part.question);
    if (!answer) {
      all = answer.error();
      co_return all;
    }
    if (source.view) {
      unite(*all, std::move(*answer), member.size);
    } else {
      all = std::move(answer);
    }
  }
  all->schema.window = source.name;
  std::stable_sort(all->rows.begin(), all->rows.end(),
                   [](const WindowRow& a, const WindowRow& b) { return a.start > b.start; });
  if (all->rows.size() > question.limit) all->rows.resize(question.limit);
  co_return all;
}

http::Response to_response(const WindowAnswer& answer, AnswerFormat format,
                           EndpointOptions::Shape shape) {
  http::Response response;
  const bool csv = format == AnswerFormat::csv;
  if (csv || shape == EndpointOptions::Shape::list) {
    std::string names;
    for (const store::Resolution resolution : answer.resolutions) {
      names += names.empty() ? "" : ", ";
      names += store::to_text(resolution);
    }
    response.headers.emplace_back("Streamobs-Resolution", std::move(names));
  }
  if (csv) {
    response.content_type = "text/csv; charset=utf-8";
    response.body = to_csv(answer.schema, answer.rows);
    return response;
  }
  response.body.reserve(64 + answer.rows.size() * 256);
  JsonWriter json(response.body);
  if (shape == EndpointOptions::Shape::list) {
    write_rows(json, answer);
    return response;
  }
  json.begin_object().field("window", answer.schema.window).key("rows");
  write_rows(json, answer);
  json.key("resolution").begin_array();
  for (const store::Resolution resolution : answer.resolutions) {
    json.value(store::to_text(resolution));
  }
  json.end_array().end_object();
  return response;
}

asio::awaitable<void> show_rows(const ApiContext& context, const RowSource& source,
                                http::Exchange& exchange) {
  const auto question = read_rows_question(exchange.request().target.query, source);
  if (!question) {
    exchange.respond(failed(question.error()));
    co_return;
  }
  const auto answer = co_await answer_question(context, source, *question);
  if (!answer) {
    exchange.respond(failed(answer.error()));
    co_return;
  }
  exchange.respond(to_response(*answer, question->format, EndpointOptions::Shape::object));
}

}  // namespace streamobs::serve
