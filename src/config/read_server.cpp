// The top level and the sections that are there once: [log], [http], [incidents]. What is kept on
// disk is read in read_storage.cpp.
#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "config/listen.h"
#include "config/sections.h"
#include "config/table_reader.h"

namespace streamobs::config {

namespace {

constexpr Choice<log::Level> kLevels[] = {{"debug", log::Level::debug},
                                          {"info", log::Level::info},
                                          {"warn", log::Level::warn},
                                          {"error", log::Level::error}};
constexpr Choice<log::Format> kFormats[] = {
    {"auto", log::Format::automatic}, {"text", log::Format::text}, {"json", log::Format::json}};

constexpr std::int64_t kThreadsMax = 256;
constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kGiB = 1 << 30;

void read_log(const Entry& entry, Config& config, Report& report) {
  if (!is_table(entry, "[log]", report)) return;
  const TableReader table(entry.value, entry.key_span, "[log]", kLog, report);
  table.choice("level", kLevels, config.log_level);
  table.choice("format", kFormats, config.log_format);
}

void read_incidents(const Entry& entry, Config& config, Report& report) {
  if (!is_table(entry, "[incidents]", report)) return;
  const TableReader table(entry.value, entry.key_span, "[incidents]", kIncidents, report);
  table.duration("gap", kSecond, 7 * kDay, config.incidents.gap);
  table.duration("resolve_after", 0, 7 * kDay, config.incidents.resolve_after);
  table.texts("evidence", config.incidents.evidence);
}

/// A host as it stands in a request's Host header, without the port.
void read_allowed_hosts(const TableReader& table, http::HttpOptions& http) {
  std::vector<SourceText> hosts;
  table.texts("allowed_hosts", hosts);
  for (const SourceText& host : hosts) {
    if (host.text.find_first_of("*?") != std::string::npos) {
      table.report().error(span_of(host), "allowed_hosts: there are no wildcards",
                           "name each host: a page on another name must not reach this server");
    } else if (host.text.find_first_of("/ \t@") != std::string::npos) {
      table.report().error(span_of(host),
                           fmt::format("allowed_hosts: \"{}\" is not a host name", host.text),
                           "only the name, without http:// and path: \"obs.example.com\"");
    } else {
      http.allowed_hosts.push_back(host.text);
    }
  }
}

void read_limits(const TableReader& table, http::HttpOptions& http) {
  table.bytes("header_bytes_max", 512, kMiB, http.header_bytes_max);
  table.duration("header_timeout", 100 * kMillisecond, 5 * kMinute, http.header_timeout);
  table.bytes("body_bytes_max", 1, kGiB, http.body_bytes_max);
  table.bytes("inflated_bytes_max", 1, kGiB, http.inflated_bytes_max);
  table.bytes("all_bodies_bytes_max", kMiB, 64 * kGiB, http.all_bodies_bytes_max);
  table.bytes("body_rate_min", 1, kGiB, http.body_rate_min);
  table.duration("keep_alive_timeout", kSecond, kHour, http.keep_alive_timeout);
  table.integer("connections_max", 1, 100'000, http.connections_max);
  table.integer("live_connections_max", 1, 100'000, http.live_connections_max);
  const std::size_t largest = std::max(http.body_bytes_max, http.inflated_bytes_max);
  if (http.all_bodies_bytes_max < largest) {
    if (table.has("all_bodies_bytes_max")) {
      table.error("all_bodies_bytes_max", "the largest body would never have room",
                  fmt::format("at least body_bytes_max and inflated_bytes_max: {} bytes", largest));
    } else {
      http.all_bodies_bytes_max = largest;
    }
  }
  if (http.live_connections_max > http.connections_max) {
    if (table.has("live_connections_max")) {
      table.error("live_connections_max",
                  fmt::format("{} is more than connections_max, {}", http.live_connections_max,
                              http.connections_max),
                  "live readers are part of all connections: leave some for ingest");
    } else {
      http.live_connections_max = http.connections_max;
    }
  }
}

/// A section whose tables the user names: [source.NAME] and so on.
struct Named {
  std::string_view key;
  std::string_view example;
  void (*read)(const Entry&, Config&, Report&);
};

/// Puts what stands in one table to what stands in another.
void unite(Value& into, const Value& from) {
  for (const Entry& entry : from.entries) {
    const auto same = std::find_if(into.entries.begin(), into.entries.end(),
                                   [&](const Entry& e) { return e.key == entry.key; });
    if (same == into.entries.end()) {
      into.entries.push_back(entry);
    } else if (same->value.kind == Value::Kind::table && entry.value.kind == Value::Kind::table) {
      unite(same->value, entry.value);
    }
  }
}

/// The sections under the keys they are read as. A header that is misspelt in one place and right
/// in another, [windw.m] and [window.m.select], is about one section.
std::vector<Entry> by_key(const Value& root, const TableReader& table) {
  Value sections;
  for (const Entry& entry : root.entries) {
    const std::string_view key = table.key_of(entry);
    if (key.empty()) continue;
    Value one;
    one.entries.push_back(entry);
    one.entries.back().key = key;
    unite(sections, one);
  }
  return std::move(sections.entries);
}

void read_named_section(const Entry& entry, const Named& named, Config& config, Report& report) {
  if (!is_table(entry, named.example, report)) return;
  bool complained = false;
  for (const Entry& child : entry.value.entries) {
    if (child.value.kind == Value::Kind::table) {
      const Report::Within item(report, named.key, child.key);
      named.read(child, config, report);
    } else if (!complained) {
      complained = true;
      const Report::Within item(report, named.key, "");
      report.error(entry.key_span, fmt::format("this {} has no name", named.key),
                   fmt::format("give it one: {}, with a NAME of your choice", named.example));
    }
  }
}

}  // namespace

bool is_table(const Entry& entry, std::string_view example, Report& report) {
  if (entry.value.kind == Value::Kind::table) return true;
  const bool list_of_tables = entry.value.kind == Value::Kind::array &&
                              !entry.value.items.empty() &&
                              entry.value.items.front().kind == Value::Kind::table;
  report.error(entry.key_span,
               fmt::format("{}: expected a table, found {}", entry.key, describe(entry.value)),
               list_of_tables ? fmt::format("single brackets and a name: {}, not [[…]]", example)
                              : fmt::format("begin it with the header {}", example));
  return false;
}

void read_http(const Entry& entry, Config& config, Report& report) {
  if (!is_table(entry, "[http]", report)) return;
  const TableReader table(entry.value, entry.key_span, "[http]", kHttp, report);
  http::HttpOptions& http = config.http;
  table.text("listen", http.listen);
  table.flag("insecure", http.insecure);
  read_allowed_hosts(table, http);
  read_limits(table, http);
  const Value* token = table.find("token");
  http::HttpOptions checked = http;
  if (token != nullptr) {
    resolve_secret(*token, "token", http.token, report);
    checked.token = "given";  // If it is not usable, that has been said.
  }
  if (const auto problem = check_listen(checked)) {
    const Value* listen = table.find("listen");
    report.error(listen != nullptr ? listen->span : table.at(), problem->message, problem->hint);
  }
}

/// It stands in every row, so it has to be fit to be read.
void read_instance(const TableReader& table, Config& config) {
  constexpr std::size_t kLengthMax = 64;
  table.text("instance", config.instance);
  if (!table.has("instance")) return;
  const bool plain = std::all_of(config.instance.begin(), config.instance.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  });
  if (plain && !config.instance.empty() && config.instance.size() <= kLengthMax) return;
  table.error("instance", "this cannot name an instance",
              "up to 64 letters, digits, \".\", \"-\" and \"_\": instance = \"a\"");
  config.instance = "mistaken";
}

void read_top_level(const Value& root, Config& config, Report& report) {
  const TableReader table(root, {1, 1, 0}, "the top level", kTopLevel, report);
  table.text("data_dir", config.data_dir);
  read_instance(table, config);
  table.integer("threads", 0, kThreadsMax, config.threads);
  table.integer("lanes", 0, kThreadsMax, config.lanes);

  static constexpr Named kNamed[] = {{"source", "[source.NAME]", read_source},
                                     {"stream", "[stream.NAME]", read_stream},
                                     {"lookup", "[lookup.NAME]", read_lookup},
                                     {"join", "[join.NAME]", read_join},
                                     {"window", "[window.NAME]", read_window},
                                     {"rule", "[rule.NAME]", read_rule},
                                     {"sink", "[sink.NAME]", read_sink},
                                     {"topic", "[topic.NAME]", read_topic},
                                     {"view", "[view.NAME]", read_view},
                                     {"endpoint", "[endpoint.\"GET /PATH\"]", read_endpoint}};
  struct Single {
    std::string_view key;
    void (*read)(const Entry&, Config&, Report&);
  };
  static constexpr Single kSingle[] = {
      {"log", read_log}, {"http", read_http},           {"store", read_store},
      {"wal", read_wal}, {"incidents", read_incidents}, {"health", read_health}};

  for (const Entry& entry : by_key(root, table)) {
    for (const Single& single : kSingle) {
      if (entry.key == single.key) single.read(entry, config, report);
    }
    for (const Named& named : kNamed) {
      if (entry.key == named.key) read_named_section(entry, named, config, report);
    }
  }
}

}  // namespace streamobs::config
