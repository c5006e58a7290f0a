#include "serve/assets.h"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/hash.h"

namespace streamobs::serve {

namespace {

/// True where an If-None-Match names `etag` (weak ones and lists included) or anything at all.
bool names(std::string_view if_none_match, std::string_view etag) {
  return if_none_match == "*" || if_none_match.find(etag) != std::string_view::npos;
}

asio::awaitable<void> send(Asset asset, std::string etag, http::Exchange& exchange) {
  http::Response response;
  response.content_type = asset.content_type;
  response.cache_control = asset.immutable ? "public, max-age=31536000, immutable" : "no-cache";
  if (names(exchange.request().header("if-none-match").value_or(""), etag)) {
    response.status = 304;
  } else {
    response.fixed_body = asset.bytes;
  }
  response.headers.emplace_back("ETag", std::move(etag));
  exchange.respond(std::move(response));
  co_return;
}

void add_route(http::Router& router, std::string_view path, const Asset& asset) {
  http::RouteFlags flags;
  flags.open = true;
  const std::string etag = fmt::format("\"{:016x}\"", hash_bytes(asset.bytes));
  router.add("GET", path, flags,
             [asset, etag](http::Exchange& exchange) { return send(asset, etag, exchange); });
}

}  // namespace

void add_asset_routes(http::Router& router, std::span<const Asset> assets) {
  for (const Asset& asset : assets) {
    add_route(router, asset.path, asset);
    if (asset.path == "/index.html") add_route(router, "/", asset);
  }
}

}  // namespace streamobs::serve
