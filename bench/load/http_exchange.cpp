// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "exchange.hpp"
#include "payload.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <array>
#include <optional>

namespace bench {
namespace {

namespace http = boost::beast::http;

class http_exchange final : public exchange {
 public:
  explicit http_exchange(const load_options& options)
      : ours_(options.connect.empty()),
        head_("GET " + options.path + " HTTP/1.1\r\nHost: " + (ours_ ? "localhost" : options.connect) + "\r\n"),
        payload_(options.bytes) {}

  std::string_view begin() override {
    parser_.emplace();
    parser_->eager(true);
    parser_->body_limit(std::uint64_t{1} << 30);
    kept_ = 0;
    request_ = head_;
    if (ours_) {
      right_ = std::string_view(http_payload()).substr(offset_, payload_.size());
      request_ +=
          "Range: bytes=" + std::to_string(offset_) + "-" + std::to_string(offset_ + right_.size() - 1) + "\r\n";
      offset_ = (offset_ + 1) % longest_payload;
    }
    return request_ += "\r\n";
  }

  std::span<char> room() override { return std::span(bytes_).subspan(kept_); }

  bool take(std::size_t n) override {
    kept_ += n;
    std::size_t used = 0;
    while (used < kept_ && !parser_->is_done()) {
      boost::system::error_code ec;
      const std::size_t parsed = parser_->put(boost::asio::buffer(bytes_.data() + used, kept_ - used), ec);
      used += parsed;
      if (ec == http::error::need_more) {
        if (parsed == 0 && used == 0 && kept_ == bytes_.size()) throw wrong_answer("a header of more than 64 KiB");
        if (parsed == 0) break;
        continue;
      }
      if (ec) {
        throw wrong_answer("not an answer of a web server (" + ec.message() +
                           "): " + excerpt(std::string_view(bytes_.data(), kept_)));
      }
    }
    kept_ -= used;
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(used), kept_, bytes_.begin());
    if (!parser_->is_done()) return false;
    check();
    return true;
  }

  std::string_view next() override { return {}; }

  bool keeps_open() const override { return parser_->get().keep_alive(); }

 private:
  void check() const {
    const auto& answer = parser_->get();
    if (kept_ != 0) throw wrong_answer("more than one answer to one request");
    if (answer.result_int() >= 400) {
      throw wrong_answer("asked " + excerpt(request_) + ", got status " + std::to_string(answer.result_int()));
    }
    if (ours_ && answer.body() != right_) throw wrong_answer("another part of /payload than was asked for");
  }

  const bool ours_;
  const std::string head_;
  payload payload_;
  std::size_t offset_ = 0;
  std::string request_;
  std::string_view right_;
  std::optional<http::response_parser<http::string_body>> parser_;
  std::array<char, 65536> bytes_;
  std::size_t kept_ = 0;  ///< Bytes in there that the parser was not ready for.
};

}  // namespace

const std::string& http_payload() {
  static const std::string bytes = [] {
    std::string out;
    payload({1, 1}).append(out, 2 * longest_payload);
    return out;
  }();
  return bytes;
}

std::unique_ptr<exchange> make_http_exchange(const load_options& options) {
  return std::make_unique<http_exchange>(options);
}

}  // namespace bench
