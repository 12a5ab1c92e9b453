// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cocp/export.hpp>

#include <memory>
#include <utility>

namespace cocp::detail {

/// Its address says which type is meant, without run-time type information. Not a constant: linkers may fold those that
/// are equal.
///
/// Shared libraries of one program mean the same by a type that they show each other. One that is hidden in each is
/// another type in each, whatever its name.
template <class T>
[[gnu::visibility("default")]] inline char session_key = 0;

/// What a user keeps with a stream, in a list of its own kind, the youngest first: that order is also the one in which
/// they are destroyed.
class COCP_API session_node {
 public:
  session_node(const void* key, void* value) noexcept : key_(key), value_(value) {}
  session_node(const session_node&) = delete;
  session_node& operator=(const session_node&) = delete;
  virtual ~session_node();

 private:
  friend class session_list;

  const void* const key_;
  void* const value_;
  std::unique_ptr<session_node> next_;
};

template <class T>
class session_of final : public session_node {
 public:
  session_of() : session_node(&session_key<T>, &value) {}

  T value{};
};

/// All that users keep with one stream. One pointer, null if it is nothing.
class COCP_API session_list {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  /// Null if there is none.
  void* find(const void* key) const noexcept;
  void add(std::unique_ptr<session_node> s) noexcept;
  /// Behind those that are here; `other` is empty then.
  void append(session_list& other) noexcept;

 private:
  std::unique_ptr<session_node> first_;
};

}  // namespace cocp::detail
