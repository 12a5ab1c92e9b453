// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// Each system call of a dial, an exchange and a look at an idle connection fails, with each error that it may give.

#include "support/certificates.hpp"
#include "support/eventually.hpp"
#include "support/failing_calls.hpp"
#include "support/fd_check.hpp"
#include "support/hurried_environment.hpp"
#include "support/run.hpp"
#include "support/sanitized.hpp"
#include "support/scripted_server.hpp"
#include "support/steps.hpp"
#include "support/temporary_directory.hpp"
#include "support/tls_server.hpp"

#include <cocp.hpp>
#include <cocp/tls.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstddef>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace asio = boost::asio;
namespace data = boost::unit_test::data;
using namespace cocp::test;
using namespace std::chrono_literals;
using cocp::error_code;

// The functions by which Asio and cocp call the kernel. This program's own come before the C library's, and before a
// sanitizer's.
namespace {

template <class Function>
Function* next_of(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

/// True if the call is to fail; then `errno` says why.
bool fails(call which, int descriptor) {
  const int error = failing_calls::strikes(which, descriptor);
  if (error == 0) return false;
  errno = error;
  return true;
}

int next_epoll_ctl(int epoll, int operation, int descriptor, epoll_event* event) {
  static const auto next = next_of<int(int, int, int, epoll_event*)>("epoll_ctl");
  return next(epoll, operation, descriptor, event);
}

/// The same for what may have to wait. A kernel that says so tells later that the wait is over; and if it is over by
/// now, it has to be told again.
bool fails_or_would_block(call which, int descriptor) {
  if (!fails(which, descriptor)) return false;
  if (errno != EAGAIN) return true;
  auto& r = failing_calls::registered(descriptor);
  if (r.epoll != -1) next_epoll_ctl(r.epoll, EPOLL_CTL_MOD, descriptor, &r.event);
  errno = EAGAIN;
  return true;
}

}  // namespace

extern "C" {

int socket(int domain, int type, int protocol) noexcept {
  static const auto next = next_of<int(int, int, int)>("socket");
  if (const int error = failing_calls::strikes_socket()) {
    errno = error;
    return -1;
  }
  const int made = next(domain, type, protocol);
  failing_calls::note_open(made);
  return made;
}

int connect(int descriptor, const sockaddr* to, socklen_t size) {
  static const auto next = next_of<int(int, const sockaddr*, socklen_t)>("connect");
  return fails(call::connect, descriptor) ? -1 : next(descriptor, to, size);
}

int getsockopt(int descriptor, int level, int name, void* value, socklen_t* size) noexcept {
  static const auto next = next_of<int(int, int, int, void*, socklen_t*)>("getsockopt");
  if (fails(call::getsockopt, descriptor)) return -1;
  const int result = next(descriptor, level, name, value, size);
  if (result == 0 && level == SOL_SOCKET && name == SO_ERROR) {
    if (const int error = failing_calls::strikes(call::so_error, descriptor)) ::memcpy(value, &error, sizeof error);
  }
  return result;
}

int setsockopt(int descriptor, int level, int name, const void* value, socklen_t size) noexcept {
  static const auto next = next_of<int(int, int, int, const void*, socklen_t)>("setsockopt");
  return fails(call::setsockopt, descriptor) ? -1 : next(descriptor, level, name, value, size);
}

int getsockname(int descriptor, sockaddr* name, socklen_t* size) noexcept {
  static const auto next = next_of<int(int, sockaddr*, socklen_t*)>("getsockname");
  return fails(call::getsockname, descriptor) ? -1 : next(descriptor, name, size);
}

int getpeername(int descriptor, sockaddr* name, socklen_t* size) noexcept {
  static const auto next = next_of<int(int, sockaddr*, socklen_t*)>("getpeername");
  return fails(call::getpeername, descriptor) ? -1 : next(descriptor, name, size);
}

int ioctl(int descriptor, unsigned long request, ...) noexcept {
  static const auto next = next_of<int(int, unsigned long, ...)>("ioctl");
  std::va_list rest;
  va_start(rest, request);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  return fails(call::ioctl, descriptor) ? -1 : next(descriptor, request, argument);
}

// Its name is fcntl64 where files may be large.
int fcntl(int descriptor, int operation, ...) {
  static const auto next = next_of<int(int, int, ...)>("fcntl64");
  std::va_list rest;
  va_start(rest, operation);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  return fails(call::fcntl, descriptor) ? -1 : next(descriptor, operation, argument);
}

int epoll_ctl(int epoll, int operation, int descriptor, epoll_event* event) noexcept {
  if (operation == EPOLL_CTL_ADD && fails(call::epoll_add, descriptor)) return -1;
  if (operation == EPOLL_CTL_MOD && fails(call::epoll_mod, descriptor)) return -1;
  const int result = next_epoll_ctl(epoll, operation, descriptor, event);
  if (result == 0 && failing_calls::is_ours(descriptor)) {
    auto& r = failing_calls::registered(descriptor);
    r.epoll = operation == EPOLL_CTL_DEL ? -1 : epoll;
    if (event != nullptr) r.event = *event;
  }
  return result;
}

ssize_t recv(int descriptor, void* buffer, size_t size, int flags) {
  static const auto next = next_of<ssize_t(int, void*, size_t, int)>("recv");
  return fails_or_would_block(call::recv, descriptor) ? -1 : next(descriptor, buffer, size, flags);
}

ssize_t recvmsg(int descriptor, msghdr* message, int flags) {
  static const auto next = next_of<ssize_t(int, msghdr*, int)>("recvmsg");
  return fails_or_would_block(call::recv, descriptor) ? -1 : next(descriptor, message, flags);
}

ssize_t send(int descriptor, const void* buffer, size_t size, int flags) {
  static const auto next = next_of<ssize_t(int, const void*, size_t, int)>("send");
  return fails_or_would_block(call::send, descriptor) ? -1 : next(descriptor, buffer, size, flags);
}

ssize_t sendmsg(int descriptor, const msghdr* message, int flags) {
  static const auto next = next_of<ssize_t(int, const msghdr*, int)>("sendmsg");
  return fails_or_would_block(call::send, descriptor) ? -1 : next(descriptor, message, flags);
}

int poll(pollfd* descriptors, nfds_t n, int timeout) {
  static const auto next = next_of<int(pollfd*, nfds_t, int)>("poll");
  return n == 1 && fails(call::poll, descriptors->fd) ? -1 : next(descriptors, n, timeout);
}

int shutdown(int descriptor, int how) noexcept {
  static const auto next = next_of<int(int, int)>("shutdown");
  return fails(call::shutdown, descriptor) ? -1 : next(descriptor, how);
}

// Whatever it says, it has done so (close(2)).
int close(int descriptor) {
  static const auto next = next_of<int(int)>("close");
  const bool failed = fails(call::close, descriptor);
  const int error = errno;
  failing_calls::note_close(descriptor);
  const int result = next(descriptor);
  if (!failed) return result;
  errno = error;
  return -1;
}

}  // extern "C"

namespace {

#if defined(COCP_TEST_SANITIZED)
constexpr int speed = 10;
#else
constexpr int speed = 40;
#endif

enum class transport { tcp, local, tls };

std::ostream& operator<<(std::ostream& out, transport t) {
  return out << (t == transport::tcp ? "TCP" : t == transport::local ? "a Unix socket" : "TLS");
}

/// What a pool's log and its users are told of an error, if anything.
enum class told {
  itself,
  nothing,  ///< It says nothing of the connection, or there is no connection any more.
  late,     ///< Asio drops it, and the attempt's time passes.
};

struct fault {
  call which;
  std::vector<int> errors;
  told what;
};

/// Those of the man pages of section 2, and of socket(7), tcp(7), ip(7) and unix(7), that do not say that the caller is
/// wrong. EPERM is a filter's (seccomp(2)) where a call has no other.
const fault faults[] = {
    {call::socket, {EACCES, EAFNOSUPPORT, EMFILE, ENFILE, ENOBUFS, ENOMEM}, told::itself},
    {call::epoll_add, {ENOMEM, ENOSPC}, told::itself},
    {call::fcntl, {EPERM}, told::itself},
    {call::setsockopt, {ENOPROTOOPT, ENOBUFS, ENOMEM, EPERM}, told::itself},
    {call::ioctl, {EPERM}, told::itself},
    {call::connect,
     {EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED, EINTR, ENETUNREACH, EHOSTUNREACH, ETIMEDOUT, ENOBUFS},
     told::itself},
    {call::epoll_mod, {ENOMEM}, told::late},
    {call::poll, {EINTR, ENOMEM}, told::nothing},
    {call::getsockopt, {ENOBUFS, EPERM}, told::itself},
    {call::so_error, {ECONNREFUSED, ECONNRESET, ECONNABORTED, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT}, told::itself},
    {call::getsockname, {ENOBUFS}, told::itself},
    {call::getpeername, {ENOBUFS}, told::itself},
    {call::recv, {EINTR, EAGAIN}, told::nothing},
    {call::recv, {ECONNRESET, ECONNABORTED, ETIMEDOUT, EHOSTUNREACH, ENOBUFS, ENOMEM}, told::itself},
    {call::send, {EINTR, EAGAIN}, told::nothing},
    {call::send, {ECONNRESET, ECONNABORTED, EPIPE, ETIMEDOUT, EHOSTUNREACH, ENETDOWN, ENOBUFS, ENOMEM}, told::itself},
    {call::close, {EINTR, EIO}, told::nothing},
};

struct row {
  transport on;
  call which;
  int error;
  told what;

  friend std::ostream& operator<<(std::ostream& out, const row& r) {
    return out << r.on << ": " << r.which << " fails with " << ::strerrorname_np(r.error);
  }
};

/// A Unix socket is connected at once, and has no options that cocp sets.
bool is_called(transport on, call which) {
  if (on != transport::local) return true;
  return which != call::setsockopt && which != call::getsockopt && which != call::so_error && which != call::poll;
}

std::vector<row> all_rows() {
  std::vector<row> all;
  for (const transport on : {transport::tcp, transport::local, transport::tls}) {
    for (const fault& f : faults) {
      if (!is_called(on, f.which)) continue;
      for (const int error : f.errors) all.push_back({on, f.which, error, f.what});
    }
  }
  return all;
}

/// Sends back what comes. It listens while it lives.
class unix_echo_server {
 public:
  unix_echo_server(asio::io_context& io, const std::string& path) : acceptor_(io, path) { accept(); }

 private:
  using protocol = asio::local::stream_protocol;

  void accept() {
    acceptor_.async_accept([this](error_code ec, protocol::socket s) {
      if (ec) return;
      asio::co_spawn(acceptor_.get_executor(), serve(std::move(s)), asio::detached);
      accept();
    });
  }
  static asio::awaitable<void> serve(protocol::socket s) {
    constexpr auto token = asio::as_tuple(asio::use_awaitable);
    std::array<char, 100> buffer;
    for (;;) {
      auto [ec, n] = co_await s.async_read_some(asio::buffer(buffer), token);
      if (ec) co_return;
      auto answer = asio::buffer(buffer, n);
      co_await asio::async_write(s, answer, token);
    }
  }

  protocol::acceptor acceptor_;
};

/// Made once: it costs a few starts of a program.
struct papers {
  certificate_authority authority;
  key_pair localhost = authority.issue({"localhost", "127.0.0.1"});

  static papers& get() {
    static papers all;
    return all;
  }
};

constexpr std::size_t size = 2;

/// As `until`, and looks again as soon as the others have had their turn.
template <class Condition>
asio::awaitable<void> soon(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    BOOST_REQUIRE((std::chrono::steady_clock::now() < deadline));
    co_await asio::post(asio::use_awaitable);
  }
}

struct fixture {
  fd_check descriptors;
  papers& made = papers::get();
  temporary_directory directory;
  asio::ssl::context context{asio::ssl::context::tls_client};

  fixture() { context.load_verify_file(made.authority.certificate()); }
  ~fixture() { failing_calls::end(); }
};

/// A pool, its server and its users, from a first dial to an end without work.
class life {
 public:
  life(transport on, asio::ssl::context& context, const std::string& path, const key_pair& files) {
    hurried_environment::install(io_, speed);
    options_.retry_min = 20ms;
    options_.retry_max = 100ms;
    options_.connect_timeout = 20s;
    options_.logger = [this](const cocp::event& e) {
      if (e.kind == cocp::event_kind::connected) ++connects_;
      if (e.kind == cocp::event_kind::connect_failed) ++failed_attempts_;
      if (e.error) told_.push_back(e.error);
    };
    switch (on) {
      case transport::tcp:
        options_.address = tcp_.emplace(io_.get_executor()).address();
        break;
      case transport::local:
        local_.emplace(io_, path);
        options_.address = "unix:" + path;
        break;
      case transport::tls:
        options_.address = tls_.emplace(io_.get_executor(), files).address();
        options_.tls = {.context = &context};
        break;
    }
  }

  cocp::connection_options& options() { return options_; }
  /// What the log and the users were told.
  const std::vector<error_code>& told_to_log() const { return told_; }
  const std::vector<error_code>& told_to_users() const { return met_; }
  /// The call failed before the pool had to show that it has recovered.
  bool struck() const { return struck_; }
  /// TLS sessions that ended without a word.
  unsigned cut_off() const { return cut_off_; }

  void run() { cocp::test::run(io_, body()); }

 private:
  asio::awaitable<void> body() {
    {
      cocp::pool pool(io_, options_, {.size = size, .get_timeout = 2min});
      co_await use(pool);
      // It is watched from then on.
      asio::steady_timer idling(io_, 60ms / speed);
      co_await idling.async_wait(asio::use_awaitable);
      co_await use(pool);
      // It has recovered by itself.
      struck_ = !failing_calls::armed();
      {
        const failing_calls::spare none_fails;
        co_await serve_all(pool);
      }
      check(pool.stats());
      BOOST_TEST(failing_calls::open() == size);
      co_await pool.drain();
      BOOST_TEST(failing_calls::open() == 0u);
      BOOST_TEST(pool.stats().wanted == 0u);
      BOOST_TEST(pool.stats().connected == 0u);
    }
    if (tls_) {
      co_await soon([&] { return tls_->seen().open == 0; });
      cut_off_ = tls_->seen().cut_off;
    }
    tcp_.reset();
    local_.reset();
    tls_.reset();
  }

  /// As many as it has places, twice, and each while the others have theirs.
  asio::awaitable<void> serve_all(cocp::pool& pool) {
    for (int round = 0; round < 2; ++round) {
      served_ = left_ = 0;
      for (std::size_t n = 0; n < size; ++n) {
        asio::co_spawn(io_, use(pool, size), [](std::exception_ptr e) {
          if (e) std::rethrow_exception(e);
        });
      }
      co_await soon([&] { return left_ == size; });
    }
    co_await soon([&] { return pool.stats().idle == size; });
  }

  void check(const cocp::stats& s) const {
    BOOST_TEST(s.wanted == size);
    BOOST_TEST(s.connected == size);
    BOOST_TEST(s.idle + s.leased + s.hooks + s.connecting + s.queued + s.resting == size);
    BOOST_TEST(s.waiting == 0u);
    BOOST_TEST(s.timeouts == 0u);
    BOOST_TEST(s.gets == leases_);
    BOOST_TEST(s.connects == connects_);
    BOOST_TEST(s.connect_failures == failed_attempts_);
    BOOST_TEST(s.connects == size + s.disconnects + s.replaced_dirty + s.replaced_expired);
  }

  /// A lease and what it is for, and another one if that fails; held until so many have theirs.
  asio::awaitable<void> use(cocp::pool& pool, std::size_t users = 0) {
    for (int tries = 0; tries < 3; ++tries) {
      const cocp::lease lease = co_await pool.get();
      ++leases_;
      if (!co_await exchange(*lease)) continue;
      ++served_;
      co_await soon([&] { return served_ >= users; });
      ++left_;
      co_return;
    }
    BOOST_ERROR("one call has failed, and three leases");
  }

  asio::awaitable<bool> exchange(cocp::connection& c) {
    try {
      // What is written at once, and what goes through the scheduler.
      co_await echo(c, "at once");
      const std::string text = "by way of the reactor";
      const auto out = asio::buffer(text);
      co_await asio::async_write(c, out, asio::use_awaitable);
      std::string answer(text.size(), '\0');
      const auto in = asio::buffer(answer);
      co_await asio::async_read(c, in, asio::use_awaitable);
      BOOST_TEST(answer == text);
      co_return true;
    } catch (const boost::system::system_error& e) {
      met_.push_back(e.code());
    }
    co_return false;
  }

  asio::io_context io_{1};
  cocp::connection_options options_;
  std::optional<scripted_server> tcp_;
  std::optional<unix_echo_server> local_;
  std::optional<tls_server> tls_;
  std::size_t leases_ = 0;
  bool struck_ = false;
  unsigned cut_off_ = 0;
  std::size_t served_ = 0;
  std::size_t left_ = 0;
  std::size_t connects_ = 0;
  std::size_t failed_attempts_ = 0;
  std::vector<error_code> told_;
  std::vector<error_code> met_;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(system_calls, fixture)

BOOST_DATA_TEST_CASE(that_fail_once_cost_the_pool_one_connection_at_most, data::make(all_rows()), row) {
  // Each of a life's calls in turn, until there are no more.
  std::size_t n = 0;
  for (bool failed = true; failed && n < 500;) {
    ++n;
    BOOST_TEST_CONTEXT("call number " << n) {
      const std::string path = directory.path() / ("socket" + std::to_string(n));
      life l(row.on, context, path, made.localhost);
      if (row.what == told::late) l.options().connect_timeout = 4s;
      failing_calls::begin(row.which, row.error, n);
      l.run();
      failed = !failing_calls::armed();
      failing_calls::end();
      const error_code expected = row.what == told::late ? make_error_code(cocp::errc::timed_out)
                                                         : error_code(row.error, boost::system::system_category());
      for (const error_code& ec : l.told_to_log()) BOOST_TEST((ec == expected), "the log was told " << ec.message());
      for (const error_code& ec : l.told_to_users()) BOOST_TEST((ec == expected), "a user was told " << ec.message());
      // All of them fail something, but for those of which Asio or cocp knows better.
      const std::size_t log = l.told_to_log().size();
      BOOST_TEST(log <= (row.what != told::nothing && l.struck() ? 1u : 0u));
      if (row.what == told::itself) BOOST_TEST(log == (l.struck() ? 1u : 0u));
      BOOST_TEST(l.told_to_users().size() <= log);
      if (row.error == EINTR) BOOST_TEST(l.cut_off() == 0u);
    }
  }
  // Or else the row is about nothing.
  BOOST_TEST(n > 1u);
  BOOST_TEST_MESSAGE(row << ": " << n - 1 << " calls");
}

BOOST_DATA_TEST_CASE(that_fail_at_a_look_behind_unread_bytes_hide_no_end, data::make({EINTR, ENOMEM}), error) {
  asio::io_context io{1};
  const auto body = [&]() -> asio::awaitable<void> {
    scripted_server server(io.get_executor());
    failing_calls::begin(call::poll, 0, 0);
    cocp::pool pool(io, {.address = server.address(), .retry_min = 1ms}, {.size = 1, .allow_unread = true});
    co_await pool.ready();
    co_await soon([&] { return server.open() == 1; });
    server.push_all("bye");
    server.close_all();
    failing_calls::begin(call::poll, error, 1);
    BOOST_TEST(!pool.try_get());
    BOOST_TEST(!failing_calls::armed());
    BOOST_TEST(pool.stats().replaced_dead == 1u);
    co_await pool.ready();
    co_await pool.drain();
  };
  run(io, body());
}

BOOST_AUTO_TEST_SUITE_END()
