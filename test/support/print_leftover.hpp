// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <ostream>

#include "connection/leftover.hpp"

namespace cocp::detail {

inline std::ostream& boost_test_print_type(std::ostream& out, leftover l) { return out << static_cast<int>(l); }

}  // namespace cocp::detail
