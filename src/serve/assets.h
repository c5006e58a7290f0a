// The dashboard's files, in the binary.
//
// The table is generated at build time from the page's own build; its bytes live as long as the
// process.
#pragma once

#include <span>
#include <string_view>

#include "http/router.h"

namespace streamobs::serve {

struct Asset {
  std::string_view path;  ///< "/index.html", "/assets/app-3f2a.js": as in the address.
  std::string_view content_type;
  std::string_view bytes;
  bool immutable = false;  ///< Its name changes with its content: may be kept for ever.
};

/// Defined in the generated table.
std::span<const Asset> dashboard_assets();

/// GET / (the asset /index.html) and one route for each asset. They need no token: the page holds
/// no data, and it is what asks for the token. What `assets` points to must outlive the server.
void add_asset_routes(http::Router& router, std::span<const Asset> assets);

}  // namespace streamobs::serve
