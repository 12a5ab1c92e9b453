// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "options.hpp"
#include "server.hpp"

namespace bench {

/// One exchange with the server, by hand, on its context. \throws std::runtime_error that says what came instead of an
/// answer, so that a server that speaks something else is no riddle
void try_once(const load_options& options, server& at);

}  // namespace bench
