// The sections of the config, each read into its options. What concerns more than one section is
// checked afterwards by check_references().
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/document.h"

namespace streamobs::config {

void read_top_level(const Value& root, Config& config, Report& report);
void read_http(const Entry& entry, Config& config, Report& report);
void read_store(const Entry& entry, Config& config, Report& report);
void read_health(const Entry& entry, Config& config, Report& report);
void read_wal(const Entry& entry, Config& config, Report& report);
void read_source(const Entry& entry, Config& config, Report& report);
void read_stream(const Entry& entry, Config& config, Report& report);
void read_lookup(const Entry& entry, Config& config, Report& report);
void read_join(const Entry& entry, Config& config, Report& report);
void read_window(const Entry& entry, Config& config, Report& report);
void read_rule(const Entry& entry, Config& config, Report& report);
void read_sink(const Entry& entry, Config& config, Report& report);
void read_topic(const Entry& entry, Config& config, Report& report);
void read_view(const Entry& entry, Config& config, Report& report);
void read_endpoint(const Entry& entry, Config& config, Report& report);

/// Names that refer to other sections: found, defaulted where there is only one, unambiguous.
void check_references(Config& config, Report& report);
/// The part of it that is about sinks and topics; when the others are resolved.
void check_sinks(const Config& config, Report& report);

/// The part of it that is about sources in consumer groups, and the rows of what they feed; when
/// windows are resolved.
void check_groups(Config& config, Report& report);
/// The part of it that is about joins.
void check_joins(Config& config, Report& report);
/// The part of it that is about views; when windows are resolved.
void check_views(Config& config, Report& report);
/// The part of it that is about endpoints.
void check_endpoints(const Config& config, Report& report);

/// True where the entry is a table; else an error that shows how the section is written.
bool is_table(const Entry& entry, std::string_view example, Report& report);

class TableReader;

/// Reads `timezone`, a name such as "Europe/Berlin"; one that this machine does not know is an
/// error.
void read_time_zone(const TableReader& table, std::string& out);

/// Whether one of librdkafka's properties holds a secret, by its name.
bool sounds_secret(std::string_view name);
/// Reads `brokers` and `options`.
void read_client(const TableReader& table, kafka::ClientOptions& out);
/// False after an error: Kafka takes no such name (or pattern, where one may stand).
bool check_topic(const SourceText& topic, std::string_view key, bool pattern, Report& report);

/// False after an error: this is no path, or one that the engine needs for itself.
bool check_http_path(const SourceText& path, std::string_view what, Report& report);
/// False after an error: the database has no view of this name to give away. `what`: "window".
bool check_view_name(const Entry& entry, std::string_view what, Report& report);
/// Reads `freshness` and `nulls_max` of a stream, which are for the checks of [health].
void read_stream_health(const TableReader& table, const decode::StreamOptions& stream,
                        Config& config);
/// Names and columns in small letters, as SQL compares them.
std::string lower(std::string_view text);

/// Reports that `reference` names nothing there is, and is false then.
bool check_name(const SourceText& reference, std::string_view key, std::string_view what,
                const std::vector<std::string_view>& known, Report& report);
/// True where `name` can stand for a field: anything a JSON key can be that people can read.
bool is_field_name(std::string_view name);
/// The fields of a stream, the columns of a table: name = "type", or tables of such. `what`:
/// "field". Names that are declared twice, or that nobody can write, are errors.
void read_fields(const Value& value, std::string_view what, std::vector<decode::FieldOptions>& out,
                 Report& report);
/// derive = { name = "expression" } or check = { … }. One that is no text stays there by name, with
/// an empty expression. False where there is no telling the names.
bool read_named(const TableReader& table, std::string_view key,
                std::vector<decode::NamedExpression>& out);
/// Reads `format`; true where there was one.
bool read_format(const TableReader& table, Format& out);

/// Whether a value is "env:NAME" or "file:PATH".
bool is_reference(const Value& value);
/// What stands behind a reference; on failure an error that never shows a secret.
bool resolve_reference(const Value& value, std::string_view key, std::string& out, Report& report);
/// The same for what is a reference or else wrong, and goes into an HTTP header.
bool resolve_secret(const Value& value, std::string_view key, std::string& out, Report& report);

}  // namespace streamobs::config
