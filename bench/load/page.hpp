// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/json/object.hpp>

#include <string>

namespace bench {

/// A page that shows a record, with all that it needs in it. \throws std::runtime_error if Chart.js is not installed
std::string page_of(const boost::json::object& record);

/// As `page_of` would, before anything was measured.
void check_page();

}  // namespace bench
