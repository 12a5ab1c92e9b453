// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "base/environment.hpp"
#include "net/name_lookup.hpp"

#include <memory>

namespace cocp::detail {

/// The machine's own: the steady clock, the system's resolver, TCP.
std::shared_ptr<environment> system_environment();
/// The same with another way to look up names.
std::shared_ptr<environment> system_environment(blocking_lookup look_up);

}  // namespace cocp::detail
