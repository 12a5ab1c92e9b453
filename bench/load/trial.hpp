// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "client.hpp"
#include "options.hpp"

namespace bench {

/// One exchange with the server, by hand. \throws std::runtime_error that says what came instead of an answer, so that
/// a server that speaks something else is no riddle
void try_once(const load_options& options, const target& to);

}  // namespace bench
