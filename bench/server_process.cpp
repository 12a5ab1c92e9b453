// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "server_process.hpp"

#include "established.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <exception>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bench {
namespace {

namespace asio = boost::asio;
using clock = server_process::clock;

constexpr auto longest_farewell = std::chrono::seconds(1);

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

void say(std::string_view text) noexcept {
  // Nothing can be done if nobody listens.
  [[maybe_unused]] const auto n = ::write(STDOUT_FILENO, text.data(), text.size());
}

/// The child's side of the fork. Other threads may have held any lock, so only async-signal-safe calls are made.
[[noreturn]] void become(char* const* argv, int output, pid_t parent) noexcept {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before the line above.
  if (::getppid() != parent) ::_exit(1);
  ::dup2(::open("/dev/null", O_RDWR), STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  // Asio's sockets are not close-on-exec: those of a pool would live on in the server.
  if (::close_range(STDERR_FILENO + 1, ~0U, 0) != 0) {
    for (int fd = STDERR_FILENO + 1; fd < 65536; ++fd) ::close(fd);
  }
  ::execvp(argv[0], argv);
  say("cannot run ");
  say(argv[0]);
  say(errno == ENOENT ? ": it is not installed\n" : ": execve failed\n");
  ::_exit(127);
}

/// When the server was ready, if the line says that it is.
std::optional<clock::time_point> ready_time(std::string_view line, std::string_view ready_text) {
  const auto at = line.find(ready_text);
  if (at == std::string_view::npos) return std::nullopt;
  line.remove_prefix(at + ready_text.size());
  std::chrono::nanoseconds::rep ns = 0;
  if (std::from_chars(line.data(), line.data() + line.size(), ns).ec != std::errc{}) return clock::now();
  return clock::time_point(std::chrono::nanoseconds(ns));
}

}  // namespace

server_command echo_server(unsigned short port, std::chrono::microseconds delay) {
  // Not /proc/self/exe itself, which under valgrind is valgrind.
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  return {{self.string(), "--serve", std::to_string(port), std::to_string(delay.count())}, "listening since ", port};
}

server_command tls_echo_server(unsigned short port, const std::string& certificate, const std::string& key) {
  server_command command = echo_server(port);
  command.words.insert(command.words.end(), {certificate, key});
  return command;
}

server_command tls_echo_server(unsigned short port, std::chrono::microseconds delay) {
  server_command command = echo_server(port, delay);
  command.words.emplace_back("tls");
  return command;
}

server_command redis_server(unsigned short port) {
  return {{"redis-server", "--port", std::to_string(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"},
          "Ready to accept connections",
          port};
}

server_process::server_process(server_command command) : command_(std::move(command)) {}

server_process::~server_process() { kill(); }

asio::awaitable<clock::time_point> server_process::start() {
  kill();
  std::array<int, 2> ends;
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe2");
  asio::readable_pipe output(co_await asio::this_coro::executor, ends[0]);

  std::vector<char*> argv;
  for (std::string& word : command_.words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const pid_t self = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) become(argv.data(), ends[1], self);
  const int error = errno;
  ::close(ends[1]);
  if (pid < 0) throw std::system_error(error, std::generic_category(), "fork");
  pid_ = pid;

  if (command_.ready_text.empty()) co_return co_await reached();

  std::string text;
  std::string last_line = "it printed nothing";
  boost::system::error_code ec;
  for (;;) {
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    const std::size_t n = co_await asio::async_read_until(output, asio::dynamic_buffer(text), '\n', token);
    if (ec) break;
    const std::string line = text.substr(0, n - 1);
    text.erase(0, n);
    if (const auto since = ready_time(line, command_.ready_text)) co_return *since;
    if (!line.empty()) last_line = line;
  }
  kill();
  if (ec != asio::error::eof) throw boost::system::system_error(ec, name());
  throw std::runtime_error(name() + " did not start: " + last_line);
}

/// Tried until it accepts, since it does not say when it does.
asio::awaitable<clock::time_point> server_process::reached() {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  const asio::ip::tcp::endpoint at(asio::ip::address_v4::loopback(), command_.port);
  for (;;) {
    asio::ip::tcp::socket socket(pause.get_executor());
    boost::system::error_code ec;
    auto token = asio::redirect_error(asio::use_awaitable, ec);
    co_await socket.async_connect(at, token);
    if (!ec) co_return clock::now();
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = 0;
      throw std::runtime_error(name() + " did not start: it ended");
    }
    pause.expires_after(std::chrono::milliseconds(1));
    co_await pause.async_wait(asio::use_awaitable);
  }
}

void server_process::start_now() {
  asio::io_context io;
  asio::co_spawn(io, start(), [](std::exception_ptr e, clock::time_point) {
    if (e) std::rethrow_exception(e);
  });
  io.run();
}

void server_process::kill() noexcept {
  const pid_t pid = std::exchange(pid_, 0);
  if (pid == 0) return;
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  // What the kernel says to the other sides waits for its turn where the processors have much to do (ksoftirqd), and
  // who had no place in the backlog is never told.
  const auto deadline = clock::now() + longest_farewell;
  while (established_to(command_.port) && clock::now() < deadline) std::this_thread::yield();
}

}  // namespace bench
