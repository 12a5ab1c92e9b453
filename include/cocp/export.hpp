// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/detail/config.hpp>
#include <boost/preprocessor/cat.hpp>
#include <boost/version.hpp>

/// Marks what a program finds in the shared library, which is compiled with hidden visibility: classes that have a part
/// there, and classes that both sides know by their type information.
#define COCP_API [[gnu::visibility("default")]]

#if defined(BOOST_ASIO_NO_TYPEID)
#define COCP_TYPEID library_without_rtti
#else
#define COCP_TYPEID library_with_rtti
#endif
#if defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
#define COCP_BACKEND library_on_io_uring
#else
#define COCP_BACKEND library_on_epoll
#endif
#define COCP_BOOST BOOST_PP_CAT(library_with_boost_, BOOST_VERSION)

namespace cocp::detail {

/// The headers of Asio are compiled into library and program alike. Where they differ in these, a call from one into
/// the other is undefined: without run-time type information (-fno-rtti) an `io_context` knows its services by other
/// keys, say. So a program that differs from its library does not link, and the symbol that is missing says why.
COCP_API extern const char COCP_TYPEID;
COCP_API extern const char COCP_BACKEND;
COCP_API extern const char COCP_BOOST;

[[gnu::used]] inline const char* const same_asio[] = {&COCP_TYPEID, &COCP_BACKEND, &COCP_BOOST};

}  // namespace cocp::detail
