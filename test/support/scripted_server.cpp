// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Where what the tests' sources declare is compiled, once.
#include <cocp/impl/scripted_server.hpp>
