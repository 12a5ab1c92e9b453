// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace bench {

/// As `serve_if_asked`, with TLS, if `argv` is `--serve PORT DELAY CERTIFICATE KEY`, or `--serve PORT DELAY tls` for a
/// certificate that nobody can verify.
void serve_tls_if_asked(int argc, char** argv);

}  // namespace bench
