// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "net/address.hpp"
#include "net/address_memory.hpp"

#include <cocp/options.hpp>

#include <memory>
#include <string>

namespace cocp::detail {

class tls_sessions;

/// What attempts to connect have in common.
struct destination : address {
  /// What it is called: the user's name for it, or else its text.
  std::string name;
  /// What was agreed on with the peer before; null without TLS.
  std::shared_ptr<tls_sessions> sessions;
  /// Which of its addresses have failed.
  std::shared_ptr<address_memory> memory = std::make_shared<address_memory>();
};

/// What error texts call it.
inline std::shared_ptr<const std::string> label_of(const std::shared_ptr<const destination>& to) noexcept {
  return {to, &to->name};
}

/// Parses `text`, and checks that it and `options` go together. Throws `std::invalid_argument`.
std::shared_ptr<const destination> make_destination(const std::string& text, const connection_options& options);

}  // namespace cocp::detail
