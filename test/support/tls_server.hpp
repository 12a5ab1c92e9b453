// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/certificates.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace cocp::test {

enum class tls_version { any, tls_1_2, tls_1_3 };

inline std::ostream& operator<<(std::ostream& out, tls_version v) {
  return out << (v == tls_version::any ? "any TLS" : v == tls_version::tls_1_2 ? "TLS 1.2" : "TLS 1.3");
}

/// What is said on the plain stream before TLS: what the client has to say, and the answer to it.
struct plain_words {
  std::string ask;
  std::string answer;
};

/// An echo server that talks TLS, on a free port of 127.0.0.1 and the test's own executor.
/// \par Lifetime
/// Destroyed before the execution context; leaves no work behind but completions that are due.
/// \par Thread safety
/// All of it is used on one thread.
class tls_server {
 public:
  explicit tls_server(boost::asio::any_io_executor ex, const key_pair& files, tls_version version = tls_version::any,
                      plain_words before = {});
  ~tls_server();
  tls_server(const tls_server&) = delete;
  tls_server& operator=(const tls_server&) = delete;

  /// As in "12345".
  std::string port() const;
  /// As in "127.0.0.1:12345".
  std::string address() const { return "127.0.0.1:" + port(); }

  /// Ends every session with a FIN, and says nothing before.
  void close_all();
  /// Ends every session as TLS does it: close_notify, which the client is to answer.
  void say_goodbye_to_all();
  /// Sends data that nobody asked for.
  void push_all(std::string_view bytes);

  struct counts {
    unsigned sessions = 0;      ///< Handshakes that succeeded.
    unsigned resumed = 0;       ///< Of those, the ones that took up an earlier session.
    unsigned failed = 0;        ///< Handshakes that failed.
    unsigned open = 0;          ///< Sessions that go on.
    unsigned said_goodbye = 0;  ///< Sessions that the client ended with close_notify.
    unsigned cut_off = 0;       ///< Sessions that the client ended without.
    std::size_t echoed = 0;     ///< Bytes.
    /// What the first thousand clients asked for (server name indication); empty if for nothing.
    std::vector<std::string> names;
  };
  const counts& seen() const;

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace cocp::test
