// What is asked of a window's rows: GET /api/v1/windows/{name} and its parameters.
//
// Rows come as they are stored, open ones included; or merged from the accumulators stored with
// them: over time (`step`), over keys (`by`), or to read a quantile that nobody asked for when they
// were counted.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "serve/api.h"
#include "serve/options.h"
#include "serve/parameters.h"
#include "serve/queries.h"

namespace streamobs::serve {

struct WindowQuestion {
  store::WindowQuery rows;
  std::optional<MergeQuery> merge;   ///< None: rows as they are stored.
  std::vector<std::size_t> metrics;  ///< Which of the schema's are shown, in this order.
  AnswerFormat format = AnswerFormat::json;
};

/// `invalid` names what is wrong and what there is.
Result<WindowQuestion> read_window_question(const QueryParameters& parameters,
                                            const WindowSchema& schema);

/// What is asked of a window, or of the windows of a view: the same of each.
struct RowsQuestion {
  struct Part {
    std::size_t member = 0;  ///< Of the source.
    WindowQuestion question;
  };
  std::vector<Part> parts;
  std::size_t limit = 0;  ///< Rows of all parts together.
  AnswerFormat format = AnswerFormat::json;
};

/// Of a view also `window_size`, of which windows only.
Result<RowsQuestion> read_rows_question(const QueryParameters& parameters, const RowSource& source);

/// Rows of an answer, and the columns they have.
struct WindowAnswer {
  WindowSchema schema;
  std::vector<WindowRow> rows;
  std::vector<store::Resolution> resolutions;  ///< What the rows were made of, the finest first.
};

/// Asks the store and what is still open. Rows of a view have a column window_size before their
/// metrics; of two windows that start together those of the one that it names first come first.
asio::awaitable<Result<WindowAnswer>> answer_question(const ApiContext& context,
                                                      const RowSource& source,
                                                      const RowsQuestion& question);
http::Response to_response(const WindowAnswer& answer, AnswerFormat format,
                           EndpointOptions::Shape shape);

asio::awaitable<void> show_rows(const ApiContext& context, const RowSource& source,
                                http::Exchange& exchange);

/// What quantiles can be asked of: "latency_ms" of the accumulator sketch(latency_ms).
std::vector<std::string> sketches_of(const WindowSchema& schema);

}  // namespace streamobs::serve
