// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "exchange.hpp"

#include "resp.hpp"

#include <cocp/connection.hpp>

#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string_view>
#include <utility>

namespace bench {
namespace {

namespace asio = boost::asio;
using kind = resp_reply::kind;

class random_bytes {
 public:
  void fill(std::string& out) {
    for (std::size_t i = 0; i < out.size(); i += sizeof(std::uint64_t)) {
      const std::uint64_t word = generator_();
      std::memcpy(out.data() + i, &word, std::min(sizeof word, out.size() - i));
    }
  }

 private:
  std::mt19937_64 generator_{std::random_device{}()};
};

/// The beginning of it, fit for a terminal.
std::string quoted(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes.substr(0, 24)) {
    std::array<char, 5> text{c};
    if (c < ' ' || c > '~') std::snprintf(text.data(), text.size(), "\\x%02x", static_cast<unsigned char>(c));
    out += text.data();
  }
  return out + (bytes.size() > 24 ? "\"..." : "\"");
}

class echo_exchange final : public exchange {
 public:
  explicit echo_exchange(std::size_t bytes) : asked_(bytes, '\0'), answer_(bytes, '\0') {}

  asio::awaitable<void> run(cocp::connection& conn) override {
    random_.fill(asked_);
    co_await conn.write(asio::buffer(asked_));
    co_await conn.read(asio::buffer(answer_));
    if (answer_ != asked_) throw wrong_answer("asked " + quoted(asked_) + ", got " + quoted(answer_));
  }

 private:
  random_bytes random_;
  std::string asked_;
  std::string answer_;
};

class redis_exchange final : public exchange {
 public:
  redis_exchange(std::size_t bytes, std::string key) : prefix_(std::move(key)), value_(bytes, '\0') {}

  asio::awaitable<void> run(cocp::connection& conn) override {
    const std::string key = prefix_ + std::to_string(count_++);
    random_.fill(value_);
    received_.clear();
    taken_ = 0;

    // Expires, for the case that the answer to DEL is lost with the connection.
    const std::string set = command({"SET", key, value_, "EX", "60"});
    co_await conn.write(asio::buffer(set));
    co_await expect(conn, "SET", {kind::simple, "OK"});

    const std::string get = command({"GET", key}) + command({"DEL", key});
    co_await conn.write(asio::buffer(get));
    co_await expect(conn, "GET", {kind::bulk, value_});
    co_await expect(conn, "DEL", {kind::integer, "1"});
    if (taken_ != received_.size()) throw wrong_answer("more replies than commands");
  }

 private:
  static std::string command(std::initializer_list<std::string_view> words) {
    std::string out("*");
    out.append(std::to_string(words.size())).append("\r\n");
    for (const std::string_view word : words) {
      out.append("$").append(std::to_string(word.size())).append("\r\n").append(word).append("\r\n");
    }
    return out;
  }

  asio::awaitable<void> expect(cocp::connection& conn, std::string_view asked, resp_reply right) {
    for (;;) {
      std::string_view rest = std::string_view(received_).substr(taken_);
      if (const auto reply = take(rest)) {
        taken_ = received_.size() - rest.size();
        if (*reply == right) co_return;
        throw wrong_answer("asked " + std::string(asked) + " and expected " + quoted(right.text) + ", got " +
                           (reply->type == kind::null ? "nothing" : quoted(reply->text)));
      }
      const std::size_t n = co_await conn.read_some(asio::buffer(chunk_));
      received_.append(chunk_.data(), n);
    }
  }

  static std::optional<resp_reply> take(std::string_view& bytes) {
    try {
      return take_reply(bytes);
    } catch (const std::runtime_error& e) {
      throw wrong_answer(e.what());
    }
  }

  random_bytes random_;
  const std::string prefix_;
  std::uint64_t count_ = 0;
  std::string value_;
  std::array<char, 4096> chunk_;
  std::string received_;   ///< All replies of this run so far.
  std::size_t taken_ = 0;  ///< The bytes of it that were looked at.
};

}  // namespace

std::unique_ptr<exchange> make_exchange(protocol p, std::size_t bytes, std::string key) {
  if (p == protocol::redis) return std::make_unique<redis_exchange>(bytes, std::move(key));
  return std::make_unique<echo_exchange>(bytes);
}

}  // namespace bench
