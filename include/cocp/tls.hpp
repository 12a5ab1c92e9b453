// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0
#pragma once

// All that a program with TLS needs. It is not part of <cocp.hpp>, because Asio's header makes the program depend on
// OpenSSL.

#include <cocp/error.hpp>
#include <cocp/export.hpp>
#include <cocp/options.hpp>

#include <boost/asio/ssl/context.hpp>
#include <boost/system/error_category.hpp>

namespace cocp {

/// The category of errors that say why a peer's certificate was refused; its name is "certificate", its values are
/// those of `SSL_get_verify_result(3)` (`X509_V_ERR_...`), as in "certificate has expired" and "hostname mismatch". An
/// attempt to connect that fails otherwise in TLS has Asio's and OpenSSL's own error.
COCP_API const boost::system::error_category& certificate_category() noexcept;

}  // namespace cocp
