// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "postgres_messages.hpp"
#include "scram.hpp"

#include <cocp/connection.hpp>
#include <cocp/options.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pg {

/// Who may use which database.
struct login {
  std::string user;
  std::string database;
  std::string password{};
};

/// What is known of one stream (`connection::session`). It goes with it.
class session {
 public:
  std::map<std::string, std::string, std::less<>> settings;  // of the server: server_version, TimeZone, ...
  std::string address, key;                                  // where to cancel what this session does, and with what
  std::map<std::string, std::string, std::less<>> prepared;  // the names of statements, by their text
  unsigned names = 0;
  bool is_busy = false;         // an answer is not yet read to its end
  bool in_transaction = false;  // as the end of the last answer says

  // The server may also speak when it was asked nothing. That is read with the next answer, whatever that is. On a
  // connection that is in no lease it is rare: settings after a reload of the configuration, or why the server closes
  // the connection (57P01). So the pool does not `allow_unread`: those connections are replaced, and what somebody else
  // has left unread reaches nobody. Notifications are another matter: who LISTENs does that in a lease of his own,
  // behind `detach()`.

  /// The next message that is an answer, if all of it has come.
  std::optional<answer_message> take() {
    for (;;) {
      const std::string_view rest(bytes_.data() + begin_, end_ - begin_);
      wanted_ = 5;
      if (rest.size() < wanted_) return std::nullopt;
      wanted_ = 1 + std::size_t{answer_message('\0', rest.substr(1)).number(4)};
      if (wanted_ < 5 || wanted_ > (1U << 30)) throw std::runtime_error("PostgreSQL: a message that makes no sense");
      if (rest.size() < wanted_) return std::nullopt;
      begin_ += wanted_;
      answer_message m(rest[0], rest.substr(5, wanted_ - 5));
      if (m.kind() == 'S') {
        const std::string_view name = m.text();
        settings[std::string(name)] = m.text();
      } else if (m.kind() == 'N') {
        // Warnings are for people; but one that the server goes down is all that a statement gets.
        answer_message copy = m;
        if (error_of(copy).code().starts_with("57P")) return answer_message('E', m.rest());
      } else if (m.kind() != 'A') {
        return m;
      }
    }
  }

  boost::asio::awaitable<void> receive(cocp::connection& conn) {
    std::copy(bytes_.begin() + static_cast<std::ptrdiff_t>(begin_), bytes_.begin() + static_cast<std::ptrdiff_t>(end_),
              bytes_.begin());
    end_ -= std::exchange(begin_, 0);
    if (bytes_.size() < wanted_) bytes_.resize(wanted_);
    const auto space = boost::asio::buffer(bytes_) + end_;
    const std::size_t received = co_await conn.read_some(space);
    end_ += received;
  }

 private:
  std::vector<char> bytes_ = std::vector<char>(8192);
  std::size_t begin_ = 0, end_ = 0, wanted_ = 5;  // what was read and is not taken; the size of the next message
};

inline std::string start_up(const login& who) {
  std::string body;
  put(body, 3 << 16, 4);  // the version of the protocol
  for (const std::string& text :
       {std::string("user"), who.user, std::string("database"), who.database, std::string("client_encoding"),
        std::string("UTF8"), std::string("application_name"), std::string("postgres_client"), std::string()})
    put_text(body, text);
  return message('\0', body);
}

// `connection_options::on_connect`
inline cocp::handshake log_in(std::string address, login who) {
  return [=](cocp::connection& conn) -> boost::asio::awaitable<void> {
    session& known = conn.session<session>();
    known.address = address;
    std::string request = start_up(who);
    co_await conn.write(boost::asio::buffer(request));

    std::array<unsigned char, 18> random{};
    if (::RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) throw std::runtime_error("no random bytes");
    scram proof(who.user, who.password, scram::encoded(random));
    bool has_begun = false;
    for (;;) {
      std::optional<answer_message> m = known.take();
      if (!m) {
        co_await known.receive(conn);
        continue;
      }
      if (m->kind() == 'E') throw error_of(*m);
      if (m->kind() == 'K') known.key = m->rest();
      if (m->kind() == 'Z') co_return;
      if (m->kind() != 'R') continue;
      std::string body;
      switch (m->number(4)) {
        case 0:
          // A server that asks for a proof and then wants none is not the one that knows the password.
          if (has_begun && !proof.server_is_known()) throw std::runtime_error("SCRAM: cut short");
          continue;
        case 10:
          if (m->rest().find(std::string_view("SCRAM-SHA-256\0", 14)) == std::string_view::npos)
            throw std::runtime_error("PostgreSQL wants a mechanism that is not known here");
          has_begun = true;
          put_text(body, "SCRAM-SHA-256");
          put(body, proof.first().size(), 4);
          body += proof.first();
          break;
        case 11:
          body = proof.answer(m->rest());
          break;
        case 12:
          proof.check(m->rest());
          continue;
        default:
          throw std::runtime_error("PostgreSQL wants an authentication that is not known here");
      }
      request = message('p', body);
      co_await conn.write(boost::asio::buffer(request));
    }
  };
}

}  // namespace pg
