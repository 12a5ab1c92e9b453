// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "exchange.hpp"

#include "payload.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <utility>
#include <vector>

namespace bench {
namespace {

/// Whose answers are known to the byte before they come.
class foreseen_exchange : public exchange {
 public:
  std::string_view begin() final {
    steps_.clear();
    prepare();
    at_ = 0;
    return ask();
  }

  std::span<char> room() final { return std::span(answer_).subspan(taken_); }

  bool take(std::size_t n) final {
    const std::string& right = steps_[at_].answer;
    const std::string_view got(answer_.data() + taken_, n);
    if (got != std::string_view(right).substr(taken_, n)) {
      throw wrong_answer("asked " + excerpt(steps_[at_].ask) + " and expected " + excerpt(right) + ", got " +
                         excerpt(std::string_view(answer_.data(), taken_ + n)));
    }
    taken_ += n;
    return taken_ == right.size();
  }

  std::string_view next() final { return ++at_ == steps_.size() ? std::string_view() : ask(); }

 protected:
  /// What is sent at once, and what comes for it.
  struct step {
    std::string ask;
    std::string answer;
  };

  /// Fills `steps_`.
  virtual void prepare() = 0;

  std::vector<step> steps_;

 private:
  std::string_view ask() {
    answer_.resize(steps_[at_].answer.size());
    taken_ = 0;
    return steps_[at_].ask;
  }

  std::size_t at_ = 0;
  std::vector<char> answer_;
  std::size_t taken_ = 0;  ///< Bytes of it that have come.
};

class echo_exchange final : public foreseen_exchange {
 public:
  explicit echo_exchange(byte_range sizes) : payload_(sizes) {}

 private:
  void prepare() override {
    std::string bytes;
    payload_.append(bytes, payload_.size());
    steps_.push_back({bytes, bytes});
  }

  payload payload_;
};

/// What is stored expires, for the case that the answer to its deletion is lost with the connection.
class redis_exchange final : public foreseen_exchange {
 public:
  redis_exchange(byte_range sizes, std::string key) : payload_(sizes), prefix_(std::move(key)) {}

 private:
  static std::string command(std::initializer_list<std::string_view> words) {
    std::string out = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string_view word : words) out += bulk(word);
    return out;
  }

  static std::string bulk(std::string_view bytes) {
    std::string out("$");
    return out.append(std::to_string(bytes.size())).append("\r\n").append(bytes).append("\r\n");
  }

  void prepare() override {
    const std::string key = prefix_ + std::to_string(count_++);
    std::string value;
    payload_.append(value, payload_.size());
    steps_.push_back({command({"SET", key, value, "EX", "60"}), "+OK\r\n"});
    steps_.push_back({command({"GET", key}) + command({"DEL", key}), bulk(value) + ":1\r\n"});
  }

  payload payload_;
  const std::string prefix_;
  std::uint64_t count_ = 0;
};

class memcached_exchange final : public foreseen_exchange {
 public:
  memcached_exchange(byte_range sizes, std::string key) : payload_(sizes), prefix_(std::move(key)) {}

 private:
  void prepare() override {
    const std::string key = prefix_ + std::to_string(count_++);
    std::string value;
    payload_.append(value, payload_.size());
    const std::string size = std::to_string(value.size());
    steps_.push_back({"set " + key + " 0 60 " + size + "\r\n" + value + "\r\n", "STORED\r\n"});
    steps_.push_back({"get " + key + "\r\ndelete " + key + "\r\n",
                      "VALUE " + key + " 0 " + size + "\r\n" + value + "\r\nEND\r\nDELETED\r\n"});
  }

  payload payload_;
  const std::string prefix_;
  std::uint64_t count_ = 0;
};

}  // namespace

std::string excerpt(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes.substr(0, 24)) {
    std::array<char, 5> text{c};
    if (c < ' ' || c > '~') std::snprintf(text.data(), text.size(), "\\x%02x", static_cast<unsigned char>(c));
    out += text.data();
  }
  return out + (bytes.size() > 24 ? "\"..." : "\"");
}

std::unique_ptr<exchange> make_exchange(const load_options& options, std::string key) {
  switch (options.speak) {
    case protocol::redis:
      return std::make_unique<redis_exchange>(options.bytes, std::move(key));
    case protocol::memcached:
      return std::make_unique<memcached_exchange>(options.bytes, std::move(key));
    case protocol::http:
      return make_http_exchange(options);
    case protocol::echo:
      break;
  }
  return std::make_unique<echo_exchange>(options.bytes);
}

}  // namespace bench
