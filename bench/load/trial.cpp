// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "trial.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace bench {
namespace {

using namespace std::chrono_literals;

constexpr auto trials_limit = 3s;

std::string said_of(const boost::system::error_code& error) {
  if (error == boost::asio::error::eof) return "it closed the connection instead of answering";
  return error.message();
}

}  // namespace

void try_once(const load_options& options, server& at) {
  boost::asio::io_context& io = at.context();
  const target& to = at.at();
  const std::unique_ptr<client> by_hand = make_client_by_hand(io, to, mode::dial_each);
  const std::unique_ptr<asker> way = by_hand->make_asker();
  const std::unique_ptr<exchange> what = make_exchange(options, "cocp-load:" + std::to_string(::getpid()) + ":trial:");
  outage_book book(server_state::foreign);
  attempt now(book);
  std::optional<std::exception_ptr> end;
  boost::asio::co_spawn(io, way->ask(*what, now), [&end, &io](std::exception_ptr e) {
    end = std::move(e);
    // There may be a relay on it, which goes on.
    io.stop();
  });
  io.run_for(trials_limit);

  const std::string who =
      to.address + " was asked in " + (options.tls ? "TLS and " : "") + std::string(to_string(options.speak)) + ": ";
  if (!end) {
    throw std::runtime_error(who + (now.has_connection() ? "no answer within " : "no connection within ") +
                             to_string(trials_limit) + (now.has_connection() ? "; does it speak that?" : ""));
  }
  try {
    if (*end) std::rethrow_exception(*end);
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error(who + said_of(e.code()) + (now.has_connection() ? "; does it speak that?" : ""));
  } catch (const wrong_answer& e) {
    throw std::runtime_error(who + e.what());
  }
}

}  // namespace bench
