// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "tally.hpp"

#include <boost/asio/error.hpp>
#ifdef COCP_BENCH_TLS
#include <boost/asio/ssl/error.hpp>
#endif

namespace bench {
namespace {

bool is_loss(const boost::system::error_code& error) noexcept {
#ifdef COCP_BENCH_TLS
  if (error == boost::asio::ssl::error::stream_truncated) return true;
#endif
  return error == boost::asio::error::eof || error == boost::asio::error::connection_reset ||
         error == boost::asio::error::broken_pipe;
}

}  // namespace

std::string_view to_string(cause c) noexcept {
  switch (c) {
    case cause::in_flight:
      return "in flight when the server died";
    case cause::lost:
      return "in flight when the connection was lost";
    case cause::after_back:
      return "on a connection taken after the server was back";
    case cause::no_connection:
      return "no connection";
    case cause::other:
      break;
  }
  return "not explained";
}

cause cause_of_failure(server_state leased, server_state failed, const boost::system::error_code& error) noexcept {
  if (leased == server_state::back) return cause::after_back;
  if (!is_loss(error)) return cause::other;
  if (leased == server_state::foreign) return cause::lost;
  // A lease taken when the server was gone had a connection that was known to be dead.
  if (leased == server_state::down || failed == server_state::up) return cause::other;
  return cause::in_flight;
}

void tally::failed(cause why, const boost::system::error_code& error) {
  const std::lock_guard lock(mutex_);
  ++errors_[{why, error.message()}];
}

void tally::wrong(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (wrong_++ == 0) first_wrong_ = what;
}

std::uint64_t tally::errors() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [what, n] : errors_) sum += n;
  return sum;
}

std::map<std::pair<cause, std::string>, std::uint64_t> tally::error_texts() const {
  const std::lock_guard lock(mutex_);
  return errors_;
}

std::uint64_t tally::wrong_answers() const {
  const std::lock_guard lock(mutex_);
  return wrong_;
}

std::string tally::first_wrong_answer() const {
  const std::lock_guard lock(mutex_);
  return first_wrong_;
}

}  // namespace bench
