// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include <cocp/impl/session.hpp>

namespace cocp::detail {

session_node::~session_node() = default;

void* session_list::find(const void* key) const noexcept {
  const session_node* n = first_.get();
  while (n && n->key_ != key) n = n->next_.get();
  return n ? n->value_ : nullptr;
}

void session_list::add(std::unique_ptr<session_node> s) noexcept {
  s->next_ = std::move(first_);
  first_ = std::move(s);
}

void session_list::append(session_list& other) noexcept {
  std::unique_ptr<session_node>* end = &first_;
  while (*end) end = &(*end)->next_;
  *end = std::move(other.first_);
}

}  // namespace cocp::detail
