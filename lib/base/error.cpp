// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/error.hpp>

#include <boost/system/error_condition.hpp>

namespace cocp {
namespace {

class category final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "cocp"; }

  std::string message(int value) const override {
    switch (static_cast<errc>(value)) {
      case errc::timed_out:
        return "timed out";
      case errc::closed:
        return "closed";
      case errc::overloaded:
        return "too many are waiting";
      case errc::unsolicited_data:
        return "the peer sent bytes that nobody had asked for";
      case errc::handshake_failed:
        return "handshake failed";
    }
    return "unknown error " + std::to_string(value);
  }

  boost::system::error_condition default_error_condition(int value) const noexcept override {
    if (static_cast<errc>(value) == errc::timed_out) {
      return make_error_condition(boost::system::errc::timed_out);
    }
    return {value, *this};
  }
};

}  // namespace

const boost::system::error_category& error_category() noexcept {
  static const category instance;
  return instance;
}

}  // namespace cocp
