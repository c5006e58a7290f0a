// Tables that events are looked up in: what a file becomes, and what expressions find in it.
#include "decode/lookup_plan.h"

#include <map>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/time_format.h"
#include "decode_support.h"
#include "expr/program.h"
#include "support/catch.h"

namespace {

using namespace streamobs;                // NOLINT
using namespace streamobs::decode;        // NOLINT
using namespace streamobs::decode::test;  // NOLINT

LookupOptions prices() {
  LookupOptions o;
  o.name = "prices";
  o.path = "prices.csv";
  o.columns = {field("provider", "string"), field("model", "string"), field("since", "timestamp"),
               field("usd", "decimal(4)"), field("tier", "string")};
  o.key = {SourceText("provider"), SourceText("model")};
  o.valid_from = "since";
  return o;
}

std::shared_ptr<const LookupPlan> check(const LookupOptions& options) {
  Diagnostics diagnostics;
  auto plan = check_lookup(options, diagnostics);
  for (const Diagnostic& d : diagnostics) UNSCOPED_INFO(d.message);
  REQUIRE(plan->rows != nullptr);
  return plan;
}

std::string mistake(const LookupOptions& options) {
  Diagnostics diagnostics;
  const auto plan = check_lookup(options, diagnostics);
  CHECK(plan->rows == nullptr);
  return diagnostics.empty() ? "none" : diagnostics[0].message + " | " + diagnostics[0].hint;
}

std::string refusal(const LookupOptions& options, std::string_view text) {
  const auto table = check(options)->read(text);
  return table.has_error() ? table.error().message : "taken";
}

constexpr const char* kPrices =
    "provider,model,since,usd,tier\n"
    "openai,small,2025-01-01,0.5000,a\n"
    "openai,small,2025-06-01,0.2500,b\n"
    "openai,large,,10,\n"
    "other,small,2025-01-01T00:00:00Z,3,c\n";

/// A stream whose derived fields look into tables, run over events.
class Run {
 public:
  Run(const StreamOptions& options, std::vector<std::shared_ptr<const LookupPlan>> lookups)
      : lookups_(std::move(lookups)) {
    std::vector<const LookupSchema*> schemas;
    for (const auto& lookup : lookups_) schemas.push_back(&lookup->schema);
    Diagnostics diagnostics;
    checked_ = check_stream(options, 0, diagnostics, schemas);
    for (const Diagnostic& d : diagnostics) messages_ += d.message + " | " + d.hint + "\n";
    if (!checked_.complete) return;
    expr::ProgramBuilder builder(checked_.plan->scope);
    for (const NamedExpression& derived : options.derive) {
      builder.add(expr::parse(derived.name, diagnostics), derived.name, diagnostics);
    }
    program_ = builder.build();
    evaluator_.emplace(program_);
    decoder_.emplace(checked_.plan, no_names_);
  }

  const std::string& messages() const { return messages_; }
  void set(std::vector<std::shared_ptr<const LookupTable>> tables) {
    tables_ = std::make_shared<const LookupTables>(LookupTables{std::move(tables)});
  }
  /// Each row's derived fields, joined by spaces; null is -.
  std::vector<std::string> over(const std::string& events) {
    EventBatch batch;
    decoder_->decode(block(events), batch);
    REQUIRE(batch.dead_letters.empty());
    std::vector<std::string> out;
    evaluator_->set_lookups(tables_);
    for (std::size_t begin = 0; begin < batch.rows; begin += expr::Evaluator::kMaxRows) {
      const std::size_t rows = std::min(expr::Evaluator::kMaxRows, batch.rows - begin);
      std::vector<ColumnView> inputs;
      batch.append_views(begin, inputs);
      evaluator_->run(inputs, rows, kNow);
      for (std::size_t row = 0; row < rows; ++row) {
        std::string line;
        for (std::size_t i = 0; i < program_->outputs(); ++i) {
          const Value value = Value::from(evaluator_->output(i), row);
          line += (i == 0 ? "" : " ") + (value.null ? std::string("-") : value.to_string());
        }
        out.push_back(line);
      }
    }
    return out;
  }

 private:
  std::vector<std::shared_ptr<const LookupPlan>> lookups_;
  CheckedStream checked_;
  std::string messages_;
  std::shared_ptr<const expr::Program> program_;
  std::optional<expr::Evaluator> evaluator_;
  std::vector<std::string> no_names_;
  std::optional<Decoder> decoder_;
  std::shared_ptr<const LookupTables> tables_;
};

StreamOptions calls(const std::vector<std::string>& derived) {
  StreamOptions o;
  o.name = "calls";
  o.time = "at";
  o.fields = {field("provider", "string"), field("model", "string"), field("n", "int")};
  int n = 0;
  for (const std::string& expression : derived) {
    o.derive.push_back({SourceText(fmt::format("d{}", n++)), SourceText(expression)});
  }
  return o;
}

std::string call(const std::string& at, const std::string& provider, const std::string& model) {
  return fmt::format(R"({{"at":"{}","provider":"{}","model":"{}","n":1}})"
                     "\n",
                     at, provider, model);
}

}  // namespace

TEST_CASE("a row is found by its key and the event's time", "[lookup]") {
  const auto plan = check(prices());
  Run run(calls({"lookup('prices', 'usd', provider, model)",
                 "lookup('prices', 'tier', lower(provider), 'small')"}),
          {plan});
  REQUIRE(run.messages().empty());
  CHECK(run.over(call("2025-07-01T00:00:00Z", "openai", "small")) ==
        std::vector<std::string>{"- -"});
  const auto table = plan->read(kPrices);
  REQUIRE(table.has_value());
  CHECK((*table)->rows() == 4);
  run.set({*table});
  CHECK(run.over(call("2024-12-31T23:59:59.999999Z", "openai", "small") +
                 call("2025-01-01T00:00:00Z", "openai", "small") +
                 call("2025-05-31T23:59:59.999999Z", "OPENAI", "small") +
                 call("2025-06-01T00:00:00Z", "OPENAI", "small") +
                 call("1971-01-01T00:00:00Z", "openai", "large") +
                 call("2026-06-01T00:00:00Z", "other", "small") +
                 call("2026-06-01T00:00:00Z", "other", "large") +
                 R"({"at":"2026-06-01T00:00:00Z","provider":null,"model":"small"})") ==
        std::vector<std::string>{"- -", "0.5000 a", "- a", "- b", "10.0000 -", "3.0000 c", "- c",
                                 "- -"});
}

TEST_CASE("what was found before is looked up anew in another version", "[lookup]") {
  LookupOptions options;
  options.name = "sla";
  options.path = "sla.csv";
  options.columns = {field("model", "string"), field("ms", "float"), field("owner", "string")};
  options.key = {SourceText("model")};
  const auto plan = check(options);
  Run run(calls({"lookup('sla', 'ms', model)", "upper(lookup('sla', 'owner', model))",
                 "lookup('sla', 'ms', 'large')"}),
          {plan});
  REQUIRE(run.messages().empty());
  const auto first = plan->read("model,ms,owner\nsmall,100,anna\nlarge,900,ben\n");
  const auto second = plan->read("model,ms,owner\nsmall,120,carl\n");
  REQUIRE((first.has_value() && second.has_value()));
  const std::string events = call("2025-01-01T00:00:00Z", "x", "small") +
                             call("2025-01-01T00:00:00Z", "x", "large") +
                             call("2025-01-01T00:00:00Z", "x", "");
  for (int i = 0; i < 3; ++i) {
    run.set({*first});
    CHECK(run.over(events) == std::vector<std::string>{"100 ANNA 900", "900 BEN 900", "- - 900"});
    run.set({*second});
    CHECK(run.over(events) == std::vector<std::string>{"120 CARL -", "- - -", "- - -"});
  }
}

TEST_CASE("random tables give what a map of maps gives", "[lookup]") {
  std::mt19937_64 random(20251121);
  for (int round = 0; round < 60; ++round) {
    LookupOptions options;
    options.name = "t";
    options.path = "t.csv";
    const bool dated = random() % 2 == 0;
    const bool two = random() % 2 == 0;
    options.columns = {field("model", "string"), field("n", "int"), field("since", "timestamp"),
                       field("v", "int")};
    options.key = {SourceText("model")};
    if (two) options.key.emplace_back("n");
    if (dated) options.valid_from = "since";
    std::map<std::pair<std::string, int>, std::map<Timestamp, int>> oracle;
    std::string text = "v,since,model,n\n0,2000-01-01,filler,0\n";
    oracle[{"filler", 0}][946'684'800 * kSecond] = 0;
    for (int i = 0; i < 40; ++i) {
      const std::string model = fmt::format("m{}", random() % 6);
      const int n = two ? static_cast<int>(random() % 4) : 0;
      const Timestamp since = static_cast<Timestamp>(random() % 50) * kDay;
      auto& rows = oracle[{model, n}];
      if (dated ? rows.count(since) != 0 : !rows.empty()) continue;
      rows[since] = i;
      text += fmt::format("{},{},{},{}\n", i, to_rfc3339(since), model, n);
    }
    const auto plan = check(options);
    const auto table = plan->read(text);
    REQUIRE(table.has_value());
    Run run(calls({two ? "lookup('t', 'v', model, n)" : "lookup('t', 'v', model)"}), {plan});
    REQUIRE(run.messages().empty());
    run.set({*table});
    std::string events;
    std::vector<std::string> wanted;
    for (int i = 0; i < 1500; ++i) {
      const std::string model = fmt::format("m{}", random() % 8);
      const int n = two ? static_cast<int>(random() % 5) : 0;
      const Timestamp at = static_cast<Timestamp>(random() % (60 * kDay));
      events += fmt::format(R"({{"at":"{}","provider":"p","model":"{}","n":{}}})"
                            "\n",
                            to_rfc3339(at), model, n);
      const auto rows = oracle.find({model, n});
      std::string value = "-";
      if (rows != oracle.end()) {
        const auto behind = dated ? rows->second.upper_bound(at) : rows->second.end();
        if (behind != rows->second.begin()) value = fmt::format("{}", std::prev(behind)->second);
      }
      wanted.push_back(value);
    }
    INFO("round " << round);
    CHECK(run.over(events) == wanted);
  }
}

TEST_CASE("a file that is no such table is refused with its place", "[lookup]") {
  const std::string header = "provider,model,since,usd,tier\n";
  CHECK(refusal(prices(), kPrices) == "taken");
  CHECK(refusal(prices(), "") == "prices.csv: there is no row in it");
  CHECK(refusal(prices(), header) == "prices.csv: there is no row in it");
  CHECK(refusal(prices(), header + "a,b,,1,x\na,b,,1,x\n") ==
        "prices.csv: line 2 and line 3 are both for a, b");
  CHECK(
      refusal(prices(), header + "a,b,2025-01-01,1,x\na,c,2025-01-01,1,x\na,b,2025-01-01,2,x\n") ==
      "prices.csv: line 2 and line 4 are both for a, b from 2025-01-01T00:00:00Z");
  CHECK(refusal(prices(), header + "a,b,,cheap,x\na,c,,1,x\n").starts_with("prices.csv: line 2: "));
  CHECK(refusal(prices(), header + "a,b,,1,x\na,c,then,1,x\n,,,,\n")
            .starts_with("prices.csv: line 3: "));
  CHECK(refusal(prices(), header + "a,b,then,1,x\na,c,then,1,x\n").find("(2 rows") !=
        std::string::npos);
  CHECK(refusal(prices(), "provider,model,since,price,tier\na,b,,1,x\n")
            .starts_with("prices.csv: line 1: there is no column usd in it"));
  CHECK(refusal(prices(), "provider,modell,since,usd,tier\na,b,,1,x\n")
            .starts_with("prices.csv: line 1: there is no column model in it"));
  CHECK(refusal(prices(), "provider;model;since;usd;tier\na;b;;1;x\n")
            .starts_with("prices.csv: line 1: the header is one cell with ';' in it"));
  CHECK(refusal(prices(), "provider,model,since,usd,tier,usd\na,b,,1,x,1\n") ==
        "prices.csv: line 1: the header names usd twice");
  CHECK(refusal(prices(), "provider,\"model,since,usd,tier\na,b,,1,x\n") ==
        "prices.csv: line 1: the header has a quote that is not closed");
  LookupOptions timeless = prices();
  timeless.valid_from = {};
  CHECK(refusal(timeless, kPrices) ==
        "prices.csv: line 2 and line 3 are both for openai, small; if rows hold from their since "
        "on, say valid_from = \"since\"");
  CHECK(refusal(prices(), "provider,model,since,usd_paid,tier\na,b,,1,usd\n")
            .find("there is no column usd in it") != std::string::npos);
  CHECK(refusal(prices(), "\xef\xbb\xbf\"provider\",model,since,\"usd\",\"tier\"\r\na,b,,1,\r\n") ==
        "taken");
  CHECK(refusal(prices(), std::string(LookupPlan::kMaxBytes + 1, ' ')).find("more than a table") !=
        std::string::npos);
  LookupOptions json = prices();
  json.path = "prices.json";
  json.format = Format::json;
  CHECK(
      refusal(json, R"([{"provider":"a","model":"b","since":"2025-01-01","usd":1,"tier":"x"}])") ==
      "taken");
  CHECK(refusal(json, R"([{"provider":"a","model":"b","since":"2025-01-01","usd":1,"tier":"x"},
                          {"model":"b"}])")
            .starts_with("prices.json: row 2: "));
}

TEST_CASE("what a table is not likely to mean is told", "[lookup]") {
  const std::string header = "provider,model,since,usd,tier\n";
  const auto plan = check(prices());
  const auto keys = [&](const std::string& text) {
    const auto table = plan->read(header + text);
    REQUIRE(table.has_value());
    return plan->blank_keys(**table);
  };
  CHECK(keys("a,b c,,1, x\n").empty());
  CHECK(keys("a,b ,,1,x\na, c,,1,x\na,d,,1,x\n")
            .starts_with("model begins or ends with a blank in 2 of 3 rows (\"b \"): "));
  CHECK(keys("\ta,b,,1,x\n").starts_with("provider begins or ends with a blank in 1 of 1 rows"));
  CHECK(plan->idle_times().empty());
  LookupOptions timeless = prices();
  timeless.valid_from = {};
  CHECK(check(timeless)->idle_times() == "since");
  timeless.key.emplace_back("since");
  CHECK(check(timeless)->idle_times().empty());
}

TEST_CASE("mistakes in the declaration are told", "[lookup]") {
  LookupOptions o = prices();
  o.key.clear();
  CHECK(mistake(o).starts_with("lookup prices: it does not say which columns are the key"));
  o = prices();
  o.key = {SourceText("modle")};
  CHECK(mistake(o) ==
        "lookup prices: key: there is no column \"modle\" | its columns are provider, "
        "model, since, usd and tier");
  o = prices();
  o.valid_from = "tier";
  CHECK(mistake(o).starts_with("lookup prices: valid_from: tier is a string"));
  o = prices();
  o.columns.push_back(field("ms", "float"));
  o.key = {SourceText("ms")};
  CHECK(mistake(o).starts_with("lookup prices: key: ms is a float"));
  o = prices();
  o.key.emplace_back("model");
  CHECK(mistake(o).starts_with("lookup prices: key: model is there twice"));
  o = prices();
  o.key.emplace_back("since");
  CHECK(mistake(o).starts_with("lookup prices: valid_from: this column is part of the key"));
}

TEST_CASE("mistakes in an expression that looks up are told", "[lookup]") {
  const auto plan = check(prices());
  const auto said = [&](const std::string& expression) {
    return Run(calls({expression}), {plan}).messages();
  };
  CHECK(said("lookup('price', 'usd', provider, model)") ==
        "there is no table price to look into | did you mean 'prices'?\n");
  CHECK(said("lookup('prices', 'eur', provider, model)") ==
        "the table prices has no column eur | there are provider, model, since, usd and tier\n");
  CHECK(said("lookup(model, 'usd', provider, model)")
            .starts_with("lookup() needs the name of a table"));
  CHECK(
      said("lookup('prices', 'usd', model)") ==
      "the key of the table prices is provider and model, and 1 is given | give a value for each, "
      "in that order\n");
  CHECK(said("lookup('prices', 'usd', provider, n)")
            .starts_with("this is int, but string is needed"));
  StreamOptions checked = calls({});
  checked.checks.push_back(
      {SourceText("priced"), SourceText("lookup('prices', 'usd', provider, model) is not null")});
  CHECK(Run(checked, {plan}).messages().starts_with("a check knows no tables"));
  StreamOptions texts = calls({"lookup('prices', 'usd', provider, model)"});
  texts.fields.push_back(field("at", "string"));
  CHECK(Run(texts, {plan}).messages().find("goes by the event's time") != std::string::npos);
}
