// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace bench {

/// Whether there is a connection to this port, over IPv4, of whose end its client has not been told. To the kernel it
/// is established until it has taken what the other side sent (proc_net_tcp in the kernel's documentation).
bool established_to(unsigned short port);

}  // namespace bench
