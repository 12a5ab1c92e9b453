// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "base/environment.hpp"

#include "base/patient_executor.hpp"

#include <boost/asio/strand.hpp>

namespace cocp::detail {

asio::any_io_executor environment::make_serial(const asio::any_io_executor& ex) {
  return asio::make_strand(patient_executor<asio::any_io_executor>(ex));
}

}  // namespace cocp::detail
