#include "http/router.h"

#include <algorithm>
#include <stdexcept>

namespace streamobs::http {

namespace {

bool is_parameter(std::string_view segment) {
  return !segment.empty() && segment.front() == '{';
}

std::vector<std::string> split(std::string_view pattern) {
  std::vector<std::string> segments;
  std::string_view rest = pattern.substr(1);
  while (!rest.empty()) {
    const std::size_t slash = rest.find('/');
    segments.emplace_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  return segments;
}

std::size_t parameters_of(const Route& route) {
  return static_cast<std::size_t>(
      std::count_if(route.segments.begin(), route.segments.end(), is_parameter));
}

bool matches(const Route& route, const std::vector<std::string_view>& segments) {
  if (route.segments.size() != segments.size()) return false;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (is_parameter(route.segments[i]) ? segments[i].empty() : route.segments[i] != segments[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, RouteFlags flags,
                 Handler handler) {
  if (pattern.empty() || pattern.front() != '/') {
    throw std::invalid_argument("route pattern must begin with /: " + std::string(pattern));
  }
  for (const Route& route : routes_) {
    if (route.method == method && route.pattern == pattern) {
      throw std::invalid_argument("two routes for " + std::string(method) + " " +
                                  std::string(pattern));
    }
  }
  Route route{std::string(method), std::string(pattern), split(pattern), flags,
              std::move(handler),  routes_.size()};
  const auto fewer = [](const Route& a, const Route& b) {
    return parameters_of(a) < parameters_of(b);
  };
  routes_.insert(std::upper_bound(routes_.begin(), routes_.end(), route, fewer), std::move(route));
}

Router::Match Router::match(
    std::string_view method, const std::vector<std::string_view>& segments,
    std::vector<std::pair<std::string_view, std::string_view>>& parameters) const {
  parameters.clear();
  const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
  Match match;
  for (const Route& route : routes_) {
    if (!matches(route, segments)) continue;
    if (route.method != wanted) {
      if (!match.allow.empty()) match.allow += ", ";
      match.allow += route.method;
      if (route.method == "GET") match.allow += ", HEAD";
      continue;
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
      const std::string_view name = route.segments[i];
      if (is_parameter(name)) parameters.emplace_back(name.substr(1, name.size() - 2), segments[i]);
    }
    match.route = &route;
    return match;
  }
  return match;
}

}  // namespace streamobs::http
