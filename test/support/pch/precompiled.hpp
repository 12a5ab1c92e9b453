// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// What most tests include and is slow to compile. It is compiled by itself, where g++ warns of `#pragma once`.
#ifndef COCP_TEST_PRECOMPILED_HPP
#define COCP_TEST_PRECOMPILED_HPP

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#endif
