// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace bench {

/// Turns this process into an echo server if `argv` is `--serve PORT [DELAY]`; otherwise returns. The server listens on
/// 127.0.0.1, prints `listening since NANOSECONDS` (of the monotonic clock) as soon as it does, sends back what it gets
/// DELAY microseconds after it came, and runs until it is killed.
///
/// Every program that starts a `server_process` of itself calls this first thing in `main`.
void serve_if_asked(int argc, char** argv);

}  // namespace bench
