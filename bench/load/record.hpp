// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "measured.hpp"
#include "options.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace bench {

/// All that was measured, and on what, as `--json` writes it: times in microseconds.
boost::json::object record_of(const std::string& command, const load_options& options,
                              const std::vector<measured>& modes);

/// \throws std::runtime_error that names the file
boost::json::object read_record(const std::string& file);
void write_file(const std::string& file, const std::string& text);

}  // namespace bench
