// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>

#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/error_condition.hpp>

#include <type_traits>

namespace cocp {

using boost::system::error_code;

/// Errors that cocp itself reports. What the operating system, the resolver or a handshake reports is passed on
/// unchanged, in its own category.
enum class errc {
  /// The time given by `get_timeout`, `get(timeout)`, `connect_timeout` or `expires_after` has passed.
  /// Equivalent to `std::errc::timed_out`.
  timed_out = 1,
  /// The pool or the connection was closed.
  closed,
  /// `get` would have had to wait behind `max_waiting` others.
  overloaded,
  /// The peer sent bytes that nobody had asked for (see `pool_options::allow_unread`).
  unsolicited_data = 5,
  /// `on_connect` ended with an exception that is not a `boost::system::system_error`.
  handshake_failed,
};

/// The category of `errc`; its name is "cocp".
COCP_API const boost::system::error_category& error_category() noexcept;

/// For argument-dependent look-up by `boost::system::error_code`.
inline error_code make_error_code(errc e) noexcept { return {static_cast<int>(e), error_category()}; }

}  // namespace cocp

/// \cond
template <>
struct boost::system::is_error_code_enum<cocp::errc> : std::true_type {};
/// \endcond
