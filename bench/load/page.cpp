// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "page.hpp"

#include <boost/json/serialize.hpp>

#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>

namespace bench {
namespace {

/// Where Debian's package puts it.
constexpr const char* chart_file = "/usr/share/javascript/chart.js/chart.min.js";

std::string contents(const char* file, const char* otherwise) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw std::runtime_error(std::string(file) + " cannot be read" + otherwise);
  return {std::istreambuf_iterator<char>(in), {}};
}

void put_in(std::string& page, std::string_view mark, const std::string& text) {
  page.replace(page.find(mark), mark.size(), text);
}

}  // namespace

std::string page_of(const boost::json::object& record) {
  std::string data = boost::json::serialize(record);
  // Nothing in it ends the element that it is in (HTML, "Restrictions for contents of script elements").
  for (std::size_t at = 0; (at = data.find('<', at)) != std::string::npos;) data.replace(at, 1, "\\u003c");
  std::string page = contents(COCP_BENCH_PAGE, "");
  put_in(page, "@CHART@", contents(chart_file, ": --report needs Chart.js (Debian: libjs-chart.js)"));
  put_in(page, "@DATA@", data);
  return page;
}

void check_page() { page_of({}); }

}  // namespace bench
