// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

/// The client's side of SCRAM-SHA-256 without channel binding (RFC 5802, RFC 7677): each side shows the other that it
/// knows the password, and says it to nobody. Passwords in ASCII; others would have to go through SASLprep (RFC 4013).
class scram {
 public:
  /// `nonce`: printable and without commas, another one each time. PostgreSQL looks at no `user` here: it has one.
  scram(std::string user, std::string password, std::string nonce)
      : password_(std::move(password)), nonce_(std::move(nonce)), first_("n=" + std::move(user) + ",r=" + nonce_) {}

  std::string first() const { return "n,," + first_; }

  /// What to send for the server's `challenge`. Takes some milliseconds, as it is meant to.
  std::string answer(std::string_view challenge) {
    const std::string_view nonce = field(challenge, "r=");
    const std::string salt = decoded(field(challenge, ",s="));
    const std::string_view count = field(challenge, ",i=");
    int iterations = 0;
    std::from_chars(count.data(), count.data() + count.size(), iterations);
    // Without a limit a server that is none could keep this thread busy for an hour.
    if (!nonce.starts_with(nonce_) || nonce == nonce_ || iterations < 1 || iterations > 1'000'000)
      throw std::runtime_error("SCRAM: a challenge that makes no sense");

    digest salted{};
    ::PKCS5_PBKDF2_HMAC(password_.data(), static_cast<int>(password_.size()), bytes(salt),
                        static_cast<int>(salt.size()), iterations, ::EVP_sha256(), static_cast<int>(salted.size()),
                        salted.data());
    const std::string last = "c=biws,r=" + std::string(nonce);
    const std::string all = first_ + ',' + std::string(challenge) + ',' + last;
    digest proof = keyed(salted, "Client Key");
    digest stored{};
    ::SHA256(proof.data(), proof.size(), stored.data());
    const digest signature = keyed(stored, all);
    for (std::size_t i = 0; i < proof.size(); ++i) proof[i] ^= signature[i];
    expected_ = encoded(keyed(keyed(salted, "Server Key"), all));
    return last + ",p=" + encoded(proof);
  }

  /// \throws std::runtime_error if the server does not know the password: then it is another one
  void check(std::string_view verdict) {
    const std::string_view shown = field(verdict, "v=");
    known_ = !expected_.empty() && shown.size() == expected_.size() &&
             ::CRYPTO_memcmp(shown.data(), expected_.data(), shown.size()) == 0;
    if (!known_) throw std::runtime_error("SCRAM: the server does not know the password");
  }
  bool server_is_known() const noexcept { return known_; }

  template <class Bytes>
  static std::string encoded(const Bytes& data) {
    std::string text((data.size() + 2) / 3 * 4 + 1, '\0');  // there comes a zero behind it
    text.resize(static_cast<std::size_t>(
        ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), data.data(), static_cast<int>(data.size()))));
    return text;
  }

 private:
  using digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

  static const unsigned char* bytes(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
  }

  static std::string_view field(std::string_view text, std::string_view name) {
    const std::size_t at = text.find(name);
    if (at == std::string_view::npos) throw std::runtime_error("SCRAM: " + std::string(text));
    text.remove_prefix(at + name.size());
    return text.substr(0, text.find(','));
  }

  static std::string decoded(std::string_view text) {
    std::string data(text.size() / 4 * 3, '\0');
    const int size =
        ::EVP_DecodeBlock(reinterpret_cast<unsigned char*>(data.data()), bytes(text), static_cast<int>(text.size()));
    if (size < 0) throw std::runtime_error("SCRAM: a salt that makes no sense");
    const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    data.resize(static_cast<std::size_t>(size) - padding);
    return data;
  }

  static digest keyed(const digest& key, std::string_view text) {
    digest made{};
    ::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes(text), text.size(), made.data(), nullptr);
    return made;
  }

  std::string password_;
  std::string nonce_;
  std::string first_;
  std::string expected_;
  bool known_ = false;
};
