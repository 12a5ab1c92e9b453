// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/export.hpp>

namespace cocp::detail {

const char COCP_TYPEID = 0;
const char COCP_BACKEND = 0;
const char COCP_THREADS = 0;
const char COCP_TRACKING = 0;
const char COCP_EXECUTOR = 0;
const char COCP_BOOST = 0;
const char COCP_ASIO = 0;

}  // namespace cocp::detail
