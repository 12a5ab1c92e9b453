// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Fails, and says why, where the kernel gives this process no io_uring(7): one that is old, or whose administrator or
// container forbids it.

#include <liburing.h>

#include <cstring>
#include <iostream>

int main() {
  io_uring ring;
  const int result = io_uring_queue_init(8, &ring, 0);
  if (result != 0) {
    std::cout << "io_uring_setup: " << std::strerror(-result) << '\n';
    return 1;
  }
  io_uring_queue_exit(&ring);
}
