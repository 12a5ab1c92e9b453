// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace bench {

/// A TCP port of 127.0.0.1 that nobody uses. It is outside the range from which the kernel takes the ports of outgoing
/// connections (ip(7), ip_local_port_range), as far as that leaves room: while a server is down no other connection
/// can take its port, nor can a dial to it connect to itself.
unsigned short free_port();

}  // namespace bench
