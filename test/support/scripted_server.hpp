// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/testing.hpp>

namespace cocp::test {

using testing::script_error;
using testing::scripted_server;
using testing::session_script;
using testing::transport;
namespace step = testing::step;

}  // namespace cocp::test
