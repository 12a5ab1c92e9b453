// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "options.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace bench {

/// The server answered, but not what it was asked.
class wrong_answer : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What one coroutine asks again and again, as bytes: it knows nothing of how they get to the server and back.
class exchange {
 public:
  exchange() = default;
  exchange(const exchange&) = delete;
  exchange& operator=(const exchange&) = delete;
  virtual ~exchange() = default;

  /// Begins anew, however the last one ended, and asks something that was never asked before. What is to be sent is
  /// good until the next call.
  virtual std::string_view begin() = 0;
  /// Where the next bytes of the answer are to go; never empty.
  virtual std::span<char> room() = 0;
  /// `n` bytes came there: true if that is all. \throws wrong_answer
  virtual bool take(std::size_t n) = 0;
  /// What is to be sent next, now that the answer is complete; empty if that was the last.
  virtual std::string_view next() = 0;
  /// The server leaves the connection open behind the answer.
  virtual bool keeps_open() const { return true; }
};

/// `key` is how keys begin that this exchange stores something at, for a protocol that has them: nobody else may use
/// them.
std::unique_ptr<exchange> make_exchange(const load_options& options, std::string key);

/// The beginning of it, fit for a terminal.
std::string excerpt(std::string_view bytes);

/// The bytes that the harness's own web server has at /payload.
const std::string& http_payload();
/// A part of these, by a range request; of another's server the target of `--path`.
std::unique_ptr<exchange> make_http_exchange(const load_options& options);

}  // namespace bench
