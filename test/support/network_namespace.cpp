// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/network_namespace.hpp"

#include "support/system_call.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

namespace cocp::test {
namespace {

int open_current_network() { return system_call("open", ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)); }

void bring_up_loopback() {
  const int any = system_call("socket", ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  std::strcpy(loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP;
  const int result = ::ioctl(any, SIOCSIFFLAGS, &loopback);
  ::close(any);
  system_call("ioctl", result);
}

}  // namespace

network_namespace::network_namespace() : before_(open_current_network()) {
  try {
    system_call("unshare", ::unshare(CLONE_NEWNET));
    own_ = open_current_network();
    bring_up_loopback();
  } catch (...) {
    if (own_ != -1) ::close(own_);
    ::setns(before_, CLONE_NEWNET);
    ::close(before_);
    throw;
  }
}

network_namespace::~network_namespace() {
  ::setns(before_, CLONE_NEWNET);
  ::close(before_);
  ::close(own_);
}

void network_namespace::enter() const { system_call("setns", ::setns(own_, CLONE_NEWNET)); }

void network_namespace::set(const std::string& name, const std::string& value) {
  const std::string path = "/proc/sys/net/" + name;
  const int file = system_call("open", ::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  const auto written = static_cast<int>(::write(file, value.data(), value.size()));
  ::close(file);
  system_call("write", written);
}

boost::test_tools::assertion_result network_namespace::is_allowed(boost::unit_test::test_unit_id) {
  try {
    const network_namespace own;
    return true;
  } catch (const boost::system::system_error& e) {
    boost::test_tools::assertion_result no(false);
    no.message() << "no network of its own is allowed here: " << e.what();
    return no;
  }
}

}  // namespace cocp::test
