// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// The `main` of every test program. BOOST_TEST_MODULE would make one, were its header not in the precompiled ones.
//
// Which of Boost.Test's libraries is found is not ours to say: where files of another Boost are left, all that meson
// takes of this one is the static ones. Each of the two wants something else; its headers alone are as the static one.

#if defined(COCP_BOOST_TEST_HEADERS)
#include <boost/test/included/unit_test.hpp>
#else
#include <boost/test/unit_test.hpp>
#endif

#if defined(BOOST_TEST_DYN_LINK)

int main(int argc, char** argv) {
  return boost::unit_test::unit_test_main([] { return true; }, argc, argv);
}

#else

/// The static one has a `main` of its own, which calls this. The tests register themselves.
boost::unit_test::test_suite* init_unit_test_suite(int, char**) { return nullptr; }

#endif
