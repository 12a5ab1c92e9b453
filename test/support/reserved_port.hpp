// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/impl/reserved_port.hpp>

namespace cocp::test {

using detail::reserved_port;

}  // namespace cocp::test
