#include "http/chunked.h"

#include <boost/asio/buffer.hpp>

#include "http/beast_parser.h"

namespace streamobs::http {

namespace {
constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
/// Chunk extensions mean nothing to us; more of them than this is an attack.
constexpr std::size_t kExtensionBytesMax = 256;
constexpr std::size_t kTrailersMax = 32;
/// "0\r\n\r\n": no chunked body ends with less. Beast 1.81 asserts that it is given as much when it
/// comes back to a last chunk; so what is less is kept until there is more.
constexpr std::size_t kLeastBytes = 5;
}  // namespace

class ChunkedDecoder::Parser final : public BeastRequestParser {
 public:
  Parser(BlockBuffer& out, std::size_t bytes_max) : out_(out) {
    body_limit(bytes_max);
    BeastError error;
    put(boost::asio::const_buffer(kHead.data(), kHead.size()), error);
    in_body_ = true;
  }

 private:
  void on_chunk_header_impl(std::uint64_t, Text extensions, BeastError& error) override {
    extension_bytes_ += extensions.size();
    if (extension_bytes_ > kExtensionBytesMax) {
      error = boost::beast::http::error::bad_chunk_extension;
    }
  }
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, BeastError&) override {
    out_.append(to_std(body));
    return body.size();
  }
  void on_field_impl(boost::beast::http::field, Text, Text, BeastError& error) override {
    if (in_body_ && ++trailers_ > kTrailersMax) error = boost::beast::http::error::bad_field;
  }

  BlockBuffer& out_;
  bool in_body_ = false;
  std::size_t extension_bytes_ = 0;
  std::size_t trailers_ = 0;
};

ChunkedDecoder::ChunkedDecoder(BlockBuffer& out, std::size_t bytes_max)
    : bytes_max_(bytes_max), parser_(std::make_unique<Parser>(out, bytes_max)) {}
ChunkedDecoder::~ChunkedDecoder() = default;

bool ChunkedDecoder::done() const {
  return parser_->is_done();
}

std::optional<Refusal> ChunkedDecoder::feed(std::string_view bytes, std::size_t& eaten) {
  eaten = 0;
  while (!parser_->is_done() && bytes.size() - eaten >= kLeastBytes) {
    const std::string_view rest = bytes.substr(eaten);
    BeastError error;
    const std::size_t used =
        parser_->put(boost::asio::const_buffer(rest.data(), rest.size()), error);
    eaten += used;
    if (error == boost::beast::http::error::need_more) return std::nullopt;
    if (error == boost::beast::http::error::body_limit) {
      return too_large("is longer", bytes_max_, "body_bytes_max");
    }
    if (error) return Refusal{400, "broken chunked body: " + error.message()};
  }
  return std::nullopt;
}

}  // namespace streamobs::http
