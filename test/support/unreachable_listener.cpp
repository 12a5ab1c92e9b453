// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/unreachable_listener.hpp"

#include "support/system_call.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cocp::test {

unreachable_listener::unreachable_listener() {
  const int listener = system_call("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP));
  descriptors_.push_back(listener);
  const int on = 1;
  const auto at = endpoint();
  system_call("setsockopt", ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  system_call("bind", ::bind(listener, at.data(), static_cast<socklen_t>(at.size())));
  system_call("listen", ::listen(listener, 0));
  for (int filled = 0; !connect_hangs(); ++filled) {
    if (filled == 16) {
      errno = ENOBUFS;
      system_call("filling the backlog", -1);
    }
  }
}

unreachable_listener::~unreachable_listener() {
  for (int descriptor : descriptors_) ::close(descriptor);
}

bool unreachable_listener::connect_hangs() {
  const int client = system_call("socket", ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
  descriptors_.push_back(client);
  const auto at = endpoint();
  if (::connect(client, at.data(), static_cast<socklen_t>(at.size())) == 0) return false;
  if (errno != EINPROGRESS) system_call("connect", -1);
  pollfd wait{.fd = client, .events = POLLOUT, .revents = 0};
  return system_call("poll", ::poll(&wait, 1, 50)) == 0;
}

}  // namespace cocp::test
