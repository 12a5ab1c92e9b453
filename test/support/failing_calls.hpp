// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <ostream>

#include <sys/epoll.h>

namespace cocp::test {

/// What a client asks of the kernel for its sockets. What one function does in several ways has several names.
enum class call {
  socket,
  connect,
  so_error,  ///< getsockopt(SO_ERROR) succeeds, and that is the error which it finds.
  getsockopt,
  setsockopt,
  getsockname,
  getpeername,
  ioctl,
  fcntl,
  epoll_add,
  epoll_mod,
  recv,
  send,
  poll,
  shutdown,
  close,
};

inline std::ostream& operator<<(std::ostream& out, call c) {
  static constexpr const char* names[] = {"socket",
                                          "connect",
                                          "getsockopt's SO_ERROR",
                                          "getsockopt",
                                          "setsockopt",
                                          "getsockname",
                                          "getpeername",
                                          "ioctl",
                                          "fcntl",
                                          "epoll_ctl(EPOLL_CTL_ADD)",
                                          "epoll_ctl(EPOLL_CTL_MOD)",
                                          "recv",
                                          "send",
                                          "poll",
                                          "shutdown",
                                          "close"};
  return out << names[static_cast<std::size_t>(c)];
}

/// Of a socket: where it is registered, and how.
struct registration {
  bool ours = false;
  int epoll = -1;
  epoll_event event{};
};

/// Has one system call fail, if it is one on a socket of the client's: one that was made by socket(2) since
/// `begin()`. A server's are older, or come from accept(2). Whoever replaces the functions asks (see
/// system_calls_test). One thread at a time.
class failing_calls {
 public:
  /// The n-th call of this kind from now on fails; 0: none does. Sockets that are made from now on are the client's.
  static void begin(call which, int error, std::size_t n) noexcept {
    on_ = true;
    which_ = which;
    error_ = error;
    left_ = n;
  }
  static void end() noexcept {
    on_ = false;
    left_ = 0;
  }
  /// None fails, and none is counted, as long as this lives.
  class spare {
   public:
    spare() noexcept { spared_ = true; }
    ~spare() { spared_ = false; }
    spare(const spare&) = delete;
    spare& operator=(const spare&) = delete;
  };

  /// True if it has not failed yet.
  static bool armed() noexcept { return left_ != 0; }
  /// The client's sockets that are open.
  static std::size_t open() noexcept { return open_; }

  /// \name For the functions
  /// @{
  /// 0, or the error with which this call fails.
  static int strikes(call which, int descriptor) noexcept { return is_ours(descriptor) && strikes(which) ? error_ : 0; }
  static int strikes_socket() noexcept { return on_ && strikes(call::socket) ? error_ : 0; }
  static bool is_ours(int descriptor) noexcept {
    return descriptor >= 0 && static_cast<std::size_t>(descriptor) < most && sockets_[index(descriptor)].ours;
  }
  static void note_open(int descriptor) noexcept {
    if (!on_ || descriptor < 0 || static_cast<std::size_t>(descriptor) >= most) return;
    sockets_[index(descriptor)] = {true, -1, {}};
    ++open_;
  }
  static void note_close(int descriptor) noexcept {
    if (!is_ours(descriptor)) return;
    sockets_[index(descriptor)].ours = false;
    --open_;
  }

  /// Of a socket of the client's.
  static registration& registered(int descriptor) noexcept { return sockets_[index(descriptor)]; }
  /// @}

 private:
  static constexpr std::size_t most = 1024;
  static constexpr std::size_t index(int descriptor) noexcept { return static_cast<std::size_t>(descriptor); }

  static bool strikes(call which) noexcept { return which == which_ && !spared_ && left_ != 0 && --left_ == 0; }

  inline static bool on_ = false;
  inline static bool spared_ = false;
  inline static call which_ = call::socket;
  inline static int error_ = 0;
  inline static std::size_t left_ = 0;
  inline static std::size_t open_ = 0;
  inline static std::array<registration, most> sockets_{};
};

}  // namespace cocp::test
