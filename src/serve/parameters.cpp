#include "serve/parameters.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "base/wording.h"
#include "serve/text.h"

namespace streamobs::serve {

namespace {

/// Before a key that is called like a parameter.
constexpr std::string_view kKey = "key.";

Result<Timestamp> read_time(std::string_view name, std::string_view text) {
  const auto time = parse_time(text);
  if (time) return *time;
  return fail(
      ErrorCode::invalid,
      fmt::format("{} = \"{}\" is not a time; write it as 2024-01-09T12:34:00Z (without seconds or "
                  "zone, UTC, as well) or in epoch milliseconds",
                  name, text));
}

Result<std::size_t> read_count(std::string_view name, std::string_view text) {
  std::size_t count = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (problem == std::errc() && end == text.data() + text.size() && count >= 1 &&
      count <= kRowsMax) {
    return count;
  }
  return fail(ErrorCode::invalid,
              fmt::format("{} = \"{}\" is not a whole number from 1 to {}", name, text, kRowsMax));
}

Result<bool> read_flag(std::string_view name, std::string_view text) {
  if (text == "true" || text == "false") return text == "true";
  return fail(ErrorCode::invalid, fmt::format("{} = \"{}\" is neither true nor false", name, text));
}

/// The parameters that WindowQuery and ListQuery have in common. False: it is none of them.
template <class Query>
Result<bool> read_common(std::string_view name, std::string_view value, Query& query) {
  if (name == "from" || name == "to") {
    const auto time = read_time(name, value);
    if (!time) return time.error();
    (name == "from" ? query.from : query.to) = *time;
    return true;
  }
  if (name == "limit") {
    const auto limit = read_count(name, value);
    if (!limit) return limit.error();
    query.limit = *limit;
    return true;
  }
  return false;
}

}  // namespace

std::string enumerate(const std::vector<std::string>& names) {
  return names.empty() ? "none" : listed(names);
}

Result<> check_parameters(const QueryParameters& parameters,
                          const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string_view name = parameters[i].first;
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return fail(ErrorCode::invalid,
                  fmt::format("unknown parameter \"{}\"; there is {}", name, enumerate(names)));
    }
    for (std::size_t k = 0; k < i; ++k) {
      if (parameters[k].first == name) {
        return fail(ErrorCode::invalid, fmt::format("parameter \"{}\" is given twice", name));
      }
    }
  }
  return {};
}

std::vector<std::string> window_parameters(const WindowSchema& schema) {
  std::vector<std::string> names(std::begin(kWindowParameters), std::end(kWindowParameters));
  for (const ResultColumn& key : schema.keys) {
    const bool taken = std::find(names.begin(), names.end(), key.name) != names.end();
    names.push_back(taken ? std::string(kKey) + key.name : key.name);
  }
  return names;
}

Result<store::WindowQuery> read_window_query(const QueryParameters& parameters,
                                             const WindowSchema& schema) {
  const auto checked = check_parameters(parameters, window_parameters(schema));
  if (!checked) return checked.error();
  store::WindowQuery query;
  query.window = schema.window;
  for (const auto& [name, value] : parameters) {
    const auto common = read_common(name, value, query);
    if (!common) return common.error();
    if (*common) continue;
    if (name == "windows") {
      const auto windows = read_count(name, value);
      if (!windows) return windows.error();
      query.windows = *windows;
    } else if (name == "latest") {
      const auto latest = read_flag(name, value);
      if (!latest) return latest.error();
      query.latest = *latest;
    } else if (std::find(std::begin(kWindowParameters), std::end(kWindowParameters), name) ==
               std::end(kWindowParameters)) {
      query.keys.emplace_back(name.starts_with(kKey) ? name.substr(kKey.size()) : name, value);
    }
  }
  return query;
}

Result<store::ListQuery> read_list_query(const QueryParameters& parameters,
                                         const std::vector<std::string>& names) {
  std::vector<std::string> all = {"from", "to", "limit"};
  all.insert(all.end(), names.begin(), names.end());
  if (const auto checked = check_parameters(parameters, all); !checked) return checked.error();
  store::ListQuery query;
  for (const auto& [name, value] : parameters) {
    const auto common = read_common(name, value, query);
    if (!common) return common.error();
    if (!*common) query.equal.emplace_back(name, value);
  }
  return query;
}

namespace {

Result<std::int64_t> read_id(std::string_view name, std::string_view text) {
  std::int64_t id = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (problem == std::errc() && end == text.data() + text.size()) return id;
  return fail(
      ErrorCode::invalid,
      fmt::format("{} = \"{}\" is not the id of a dead letter, a whole number", name, text));
}

}  // namespace

Result<store::DeadLetterQuery> read_dead_letter_query(const QueryParameters& parameters,
                                                      const std::vector<std::string>& further) {
  std::vector<std::string> all = {"from",   "to",     "limit",  "id",
                                  "reason", "stream", "source", "window"};
  all.insert(all.end(), further.begin(), further.end());
  if (const auto checked = check_parameters(parameters, all); !checked) return checked.error();
  store::DeadLetterQuery query;
  for (const auto& [name, value] : parameters) {
    const auto common = read_common(name, value, query.list);
    if (!common) return common.error();
    if (*common) continue;
    if (name == "id" || name == "below_id") {
      const auto id = read_id(name, value);
      if (!id) return id.error();
      (name == "id" ? query.id : query.below) = *id;
    } else if (name == "replayed") {
      const auto replayed = read_flag(name, value);
      if (!replayed) return replayed.error();
      query.replayed = *replayed;
    } else {
      query.list.equal.emplace_back(name, value);
    }
  }
  return query;
}

Result<AnswerFormat> take_format(QueryParameters& parameters, AnswerFormat other) {
  const auto found = std::find_if(parameters.begin(), parameters.end(),
                                  [](const auto& p) { return p.first == "format"; });
  if (found == parameters.end()) return AnswerFormat::json;
  const std::string_view wanted = found->second;
  const std::string_view name = other == AnswerFormat::csv ? "csv" : "ndjson";
  if (wanted != "json" && wanted != name) {
    return fail(ErrorCode::invalid,
                fmt::format("format = \"{}\" is neither json nor {}", wanted, name));
  }
  parameters.erase(found);
  return wanted == "json" ? AnswerFormat::json : other;
}

}  // namespace streamobs::serve
