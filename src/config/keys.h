// Every key a config may have, section by section: the one list that the parser, its "did you
// mean" and the test of docs/config.md go by.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace streamobs::config {

struct Section {
  std::string_view name;  ///< As the documentation has it: "[window.NAME]".
  std::span<const std::string_view> keys;
};

extern const Section kTopLevel;
extern const Section kLog;
extern const Section kHttp;
extern const Section kStore;
extern const Section kWal;
extern const Section kWalKeep;
extern const Section kIncidents;
extern const Section kHealth;
extern const Section kSource;
extern const Section kStream;
extern const Section kTemplate;  ///< Of a stream: template = { from = "message" }.
extern const Section kField;     ///< A field given as a table: { type = "…", path = "…" }.
extern const Section kLookup;
extern const Section kJoin;
extern const Section kWindow;
extern const Section kWindowKeep;
extern const Section kView;
extern const Section kRule;
extern const Section kSink;
extern const Section kTopic;
extern const Section kEndpoint;

/// All of them, in the order of the documentation.
std::span<const Section* const> sections();

/// Which of `known` the writer of `unknown` had in mind; empty if none comes near.
std::string_view nearest(std::string_view unknown, std::span<const std::string_view> known);

/// "did you mean "…"?", or `otherwise` where no known name comes near.
std::string did_you_mean(std::string_view unknown, std::span<const std::string_view> known,
                         std::string otherwise);

/// The key of the section that the writer of an unknown one most likely meant, so that its value
/// can be looked at as well; empty where that would be guessing.
std::string_view key_meant(const Section& section, std::string_view key);

/// The hint for an unknown key of a section: what it is called here, when it comes, or what there
/// is instead.
std::string unknown_key_hint(const Section& section, std::string_view key);

}  // namespace streamobs::config
