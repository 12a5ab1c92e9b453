// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "established.hpp"

#include <fstream>
#include <limits>
#include <string>

namespace bench {

bool established_to(unsigned short port) {
  std::ifstream table("/proc/net/tcp");
  const auto rest_of_line = std::numeric_limits<std::streamsize>::max();
  table.ignore(rest_of_line, '\n');
  // As in `0: 0100007F:C350 0100007F:1F90 01`, all but the first in hexadecimal; 01 is TCP_ESTABLISHED.
  std::string number;
  std::string local;
  std::string remote;
  std::string state;
  while (table >> number >> local >> remote >> state) {
    if (state == "01" && std::stoul(remote.substr(remote.find(':') + 1), nullptr, 16) == port) return true;
    table.ignore(rest_of_line, '\n');
  }
  return false;
}

}  // namespace bench
