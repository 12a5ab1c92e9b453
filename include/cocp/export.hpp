// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

// Whatever else is included first includes this first: so these are the first that a compiler says.
#if __cplusplus < 202002L
#error "cocp needs C++20: compile with -std=c++20 or newer (the default of g++ 12 is C++17)"
#endif
#if !defined(__cpp_exceptions)
#error "cocp needs exceptions: compile without -fno-exceptions"
#endif
#if !__has_include(<boost/asio/any_completion_handler.hpp>)
#error "cocp needs Boost 1.81 or newer: this one has no <boost/asio/any_completion_handler.hpp>, or there is none"
#endif

#include <boost/asio/detail/config.hpp>
#include <boost/asio/version.hpp>
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
#elif defined(BOOST_ASIO_HAS_EPOLL)
#define COCP_BACKEND library_on_epoll
#else
#define COCP_BACKEND library_with_BOOST_ASIO_DISABLE_EPOLL
#endif
#if defined(BOOST_ASIO_HAS_THREADS)
#define COCP_THREADS library_with_threads
#else
#define COCP_THREADS library_with_BOOST_ASIO_DISABLE_THREADS
#endif
#if defined(BOOST_ASIO_CUSTOM_HANDLER_TRACKING)
#define COCP_TRACKING library_with_BOOST_ASIO_CUSTOM_HANDLER_TRACKING
#elif defined(BOOST_ASIO_ENABLE_HANDLER_TRACKING)
#define COCP_TRACKING library_with_BOOST_ASIO_ENABLE_HANDLER_TRACKING
#else
#define COCP_TRACKING library_without_handler_tracking
#endif
#if defined(BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT)
#define COCP_EXECUTOR library_with_BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT
#else
#define COCP_EXECUTOR library_with_any_io_executor
#endif
#define COCP_BOOST BOOST_PP_CAT(library_with_boost_, BOOST_VERSION)
#define COCP_ASIO BOOST_PP_CAT(library_with_asio_, BOOST_ASIO_VERSION)

namespace cocp::detail {

/// The headers of Asio are compiled into library and program alike. Where they differ in these, a call from one into
/// the other is undefined: without run-time type information (-fno-rtti) an `io_context` knows its services by other
/// keys, say, and with handler tracking each operation is larger. So a program that differs from its library does not
/// link, and the symbol that is missing says how the library would have to be compiled. Or else the program compiles
/// the library itself, with what it has: see `<cocp/src.hpp>`.
COCP_API extern const char COCP_TYPEID;
COCP_API extern const char COCP_BACKEND;
COCP_API extern const char COCP_THREADS;
COCP_API extern const char COCP_TRACKING;
COCP_API extern const char COCP_EXECUTOR;
COCP_API extern const char COCP_BOOST;
COCP_API extern const char COCP_ASIO;

// Each source has its own: of one for all the linker would keep that of the first, and ask for nothing for the others.
[[gnu::used]] const char* const same_asio[] = {&COCP_TYPEID,   &COCP_BACKEND, &COCP_THREADS, &COCP_TRACKING,
                                               &COCP_EXECUTOR, &COCP_BOOST,   &COCP_ASIO};

}  // namespace cocp::detail
