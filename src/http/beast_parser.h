// Beast's incremental parser, as the two classes need it that stand on it: head and chunked body.
//
// Private to src/http. Only basic_parser is used, without Beast's streams and message containers:
// it allocates nothing and its header is cheap to compile.
#pragma once

#include <cstdint>
#include <string_view>

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace streamobs::http {

using BeastError = boost::beast::error_code;

inline std::string_view to_std(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

/// A request parser that ignores everything; the derived classes listen to what they need.
class BeastRequestParser : public boost::beast::http::basic_parser<true> {
 protected:
  using Text = boost::beast::string_view;
  using Length = boost::optional<std::uint64_t>;

  void on_request_impl(boost::beast::http::verb, Text, Text, int, BeastError&) override {}
  void on_response_impl(int, Text, int, BeastError&) override {}
  void on_field_impl(boost::beast::http::field, Text, Text, BeastError&) override {}
  void on_header_impl(BeastError&) override {}
  void on_body_init_impl(const Length&, BeastError&) override {}
  std::size_t on_body_impl(Text body, BeastError&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t, Text, BeastError&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, BeastError&) override {
    return body.size();
  }
  void on_finish_impl(BeastError&) override {}
};

}  // namespace streamobs::http
