// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/process.hpp"

#include "support/system_call.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>

namespace cocp::test {
namespace {

// The child's side of the fork. Only async-signal-safe calls, since the parent may have threads (fork(2)); `failure` is
// the end of a pipe that exec closes.
[[noreturn]] void become(char* const* argv, const char* output, pid_t parent, int last_signal, int failure) {
  const bool alone = ::prctl(PR_SET_PDEATHSIG, last_signal) == 0 && ::getppid() == parent;
  bool ready = alone && ::dup2(failure, 3) == 3 && ::fcntl(3, F_SETFD, FD_CLOEXEC) == 0 &&
               ::syscall(SYS_close_range, 4U, UINT_MAX, 0U) == 0;
  if (ready && *output != '\0') {
    const int file = ::open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ready = file != -1 && ::dup2(file, STDOUT_FILENO) != -1 && ::dup2(file, STDERR_FILENO) != -1;
  }
  if (ready) ::execvp(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const auto told = ::write(3, &error, sizeof error);
  ::_exit(127);
}

}  // namespace

process::process(std::vector<std::string> argv, const std::string& output, int last_signal) {
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  int failure[2];
  system_call("pipe2", ::pipe2(failure, O_CLOEXEC));
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ == 0) become(pointers.data(), output.c_str(), parent, last_signal, failure[1]);
  ::close(failure[1]);
  int error = 0;
  const bool failed = id_ == -1 || ::read(failure[0], &error, sizeof error) != 0;
  if (id_ == -1) error = errno;
  ::close(failure[0]);
  if (!failed) return;
  if (id_ != -1) kill();
  throw boost::system::system_error(error, boost::system::system_category(), "cannot run " + argv[0]);
}

process::~process() { kill(); }

void process::signal(int number) {
  if (!status_) ::kill(id_, number);
}

void process::kill() {
  signal(SIGKILL);
  wait(std::chrono::milliseconds(-1));
}

std::optional<int> process::wait(std::chrono::milliseconds limit) {
  if (status_) return status_;
  // A descriptor that is readable when the child has ended (pidfd_open(2)).
  const int descriptor = system_call("pidfd_open", static_cast<int>(::syscall(SYS_pidfd_open, id_, 0U)));
  pollfd end{.fd = descriptor, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&end, 1, static_cast<int>(limit.count()));
  ::close(descriptor);
  int status = 0;
  if (system_call("poll", ready) == 0) return std::nullopt;
  system_call("waitpid", ::waitpid(id_, &status, 0));
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  return status_;
}

}  // namespace cocp::test
