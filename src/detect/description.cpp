#include "detect/description.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

#include "base/quantity.h"
#include "base/time_format.h"
#include "base/wording.h"
#include "event/label.h"
#include "expr/ast.h"
#include "expr/program.h"

namespace streamobs::detect {

namespace {

using What = DescriptionTemplate::What;
using Piece = DescriptionTemplate::Piece;

struct Placeholder {
  std::string_view name;
  What what;
};
constexpr Placeholder kPlaceholders[] = {
    {"rule", What::rule},
    {"window", What::window},
    {"severity", What::severity},
    {"window_start", What::window_start},
    {"window_end", What::window_end},
    {"metric_name", What::metric_name},
    {"metric_value", What::metric_value},
    {"baseline_value", What::baseline_value},
    {"threshold_value", What::threshold_value},
};

// The window's own columns come first: a key named "window" means the key.
std::optional<Piece> placeholder(std::string_view name, const WindowSchema& schema) {
  for (std::size_t i = 0; i < schema.keys.size(); ++i) {
    if (schema.keys[i].name == name) return Piece{What::key, i, {}};
  }
  for (std::size_t i = 0; i < schema.metrics.size(); ++i) {
    if (schema.metrics[i].name == name) return Piece{What::metric, i, {}};
  }
  for (const Placeholder& p : kPlaceholders) {
    if (p.name == name) return Piece{p.what, 0, {}};
  }
  return std::nullopt;
}

std::string known_placeholders(std::string_view wrong, const WindowSchema& schema) {
  expr::Scope names;
  const auto add = [&](std::string_view name) {
    names.add_column(std::string(name), {Kind::string, 0});
  };
  for (const ResultColumn& column : schema.keys) add(column.name);
  for (const ResultColumn& column : schema.metrics) add(column.name);
  for (const Placeholder& p : kPlaceholders) add(p.name);
  return names.suggestion(wrong);
}

std::string value_text(const Value& value) {
  if (value.null) return "unknown";
  switch (value.type.kind) {
    case Kind::floating:
    case Kind::decimal:
      return number_in_words(value.as_double());
    default:
      return value.to_string();
  }
}

std::string number_text(const std::optional<double>& v) {
  return v ? number_in_words(*v) : std::string("unknown");
}

std::string piece_text(const Piece& piece, const Anomaly& anomaly, const WindowRow& row) {
  switch (piece.what) {
    case What::text:
      return piece.text;
    case What::rule:
      return anomaly.rule;
    case What::window:
      return anomaly.window;
    case What::severity:
      return std::string(to_text(anomaly.severity));
    case What::window_start:
      return to_rfc3339(anomaly.window_start);
    case What::window_end:
      return to_rfc3339(anomaly.window_end);
    case What::metric_name:
      return anomaly.metric_name;
    case What::metric_value:
      return number_text(anomaly.metric_value);
    case What::baseline_value:
      return number_text(anomaly.baseline_value);
    case What::threshold_value:
      return number_text(anomaly.threshold_value);
    case What::key:
      return value_text(row.keys[piece.index]);
    case What::metric:
      return value_text(row.metrics[piece.index]);
  }
  return {};
}

MetricWords words_of(const Anomaly& anomaly) {
  return metric_words(anomaly.metric_name, std::max(std::abs(anomaly.metric_value.value_or(0)),
                                                    std::abs(anomaly.baseline_value.value_or(0))));
}

}  // namespace

std::optional<DescriptionTemplate> parse_description(const SourceText& source,
                                                     const WindowSchema& schema,
                                                     Diagnostics& diagnostics) {
  const std::string_view text = source.text;
  DescriptionTemplate out;
  std::string literal;
  bool good = true;
  const auto complain = [&](std::size_t begin, std::size_t end, std::string message,
                            std::string hint) {
    const expr::Span span{static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
    diagnostics.push_back(expr::diagnose(source, span, std::move(message), std::move(hint)));
    good = false;
  };
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      literal += c;
    } else if (at + 1 < text.size() && text[at + 1] == c) {
      literal += c;
      ++at;
    } else if (c == '}') {
      complain(at, at + 1, "there is no { before this }", "write }} for a brace in the text");
    } else {
      const std::size_t close = text.find('}', at);
      if (close == std::string_view::npos) {
        complain(at, text.size(), "this { is not closed", "write {{ for a brace in the text");
        break;
      }
      const std::string_view name = text.substr(at + 1, close - at - 1);
      if (auto piece = placeholder(name, schema)) {
        if (!literal.empty()) out.pieces.push_back({What::text, 0, std::move(literal)});
        literal.clear();
        out.pieces.push_back(std::move(*piece));
      } else {
        complain(at, close + 1, fmt::format("nothing is called {{{}}} here", name),
                 known_placeholders(name, schema));
      }
      at = close;
    }
  }
  if (!literal.empty()) out.pieces.push_back({What::text, 0, std::move(literal)});
  if (!good) return std::nullopt;
  return out;
}

std::string describe(const DescriptionTemplate& description, const Anomaly& anomaly,
                     const WindowRow& row) {
  std::string out;
  for (const Piece& piece : description.pieces) out += piece_text(piece, anomaly, row);
  return out;
}

namespace {

std::string_view in_words(Bound bound) {
  switch (bound) {
    case Bound::upper:
      return "allows";
    case Bound::lower:
      return "wants at least";
    case Bound::below:
      return "allows less than";
    case Bound::above:
      return "wants more than";
    case Bound::none:
      break;
  }
  return {};
}

}  // namespace

std::string describe(const Anomaly& anomaly, Bound bound) {
  const std::string who = label(anomaly.keys);
  const std::string when = window_in_words(anomaly.window_start, anomaly.window_end);
  // A whole day is a date, not a time of day.
  const bool named_by_date = anomaly.window_end - anomaly.window_start >= kDay;
  const std::string place =
      fmt::format("{} {}{}", named_by_date && !when.starts_with("the") ? "on" : "in", when,
                  named_by_date ? "" : " UTC");
  if (anomaly.metric_name.empty()) {
    return fmt::format("rule {} held{}{} {}", anomaly.rule, who.empty() ? "" : " for ", who, place);
  }
  const MetricWords words = words_of(anomaly);
  const std::string subject = fmt::format("{}{}{}", words.name, who.empty() ? "" : " of ", who);
  if (!anomaly.metric_value) return fmt::format("{} was anomalous {}", subject, place);
  std::string out =
      fmt::format("{} was {} {}", subject, quantity(*anomaly.metric_value, words), place);
  if (anomaly.baseline_value) {
    out += ", " + against_normal(*anomaly.metric_value, *anomaly.baseline_value, words);
  }
  if (anomaly.threshold_value && bound != Bound::none) {
    out +=
        fmt::format("; the rule {} {}", in_words(bound), quantity(*anomaly.threshold_value, words));
  }
  return out;
}

}  // namespace streamobs::detect
