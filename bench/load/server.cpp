// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "server.hpp"

#include "../echo_server.hpp"
#include "../free_port.hpp"
#include "exchange.hpp"
#include "support/certificates.hpp"
#include "support/fault_relay.hpp"
#include "support/temporary_directory.hpp"

#include <cocp/pool.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/system/system_error.hpp>
#ifdef COCP_BENCH_TLS
#include <boost/asio/ssl/context.hpp>
#endif

#include <algorithm>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

#include <unistd.h>

namespace bench {
namespace {

using boost::asio::ip::tcp;

/// Host and port: what is behind the last colon. Brackets of an IPv6 address go.
std::pair<std::string, std::string> split_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    throw usage_error("--connect is " + address + "; it must be host:port");
  }
  std::string host = address.substr(0, colon);
  if (host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return {host, address.substr(colon + 1)};
}

}  // namespace

/// What the server reads, and what is known of TLS.
struct server::files {
  cocp::test::temporary_directory directory;
  std::optional<cocp::test::certificate_authority> authority;
  cocp::test::key_pair pair;
#ifdef COCP_BENCH_TLS
  boost::asio::ssl::context tls{boost::asio::ssl::context::tls_client};
#endif

  server_command nginx(unsigned short port, bool with_tls) const {
    std::ofstream(directory.path() / "payload") << http_payload();
    // One process, so that a SIGKILL ends all of it; and no end of a connection by its count of requests.
    std::ofstream conf(directory.path() / "conf");
    conf << "master_process off;\ndaemon off;\npid pid;\nerror_log stderr;\nevents { worker_connections 16384; }\n"
            "worker_rlimit_nofile 20000;\n"
            "http {\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 1h;\n"
            "  open_file_cache max=10;\n"
            "  client_body_temp_path t1;\n  proxy_temp_path t2;\n  fastcgi_temp_path t3;\n  uwsgi_temp_path t4;\n"
            "  scgi_temp_path t5;\n  server {\n    listen 127.0.0.1:"
         << port << (with_tls ? " ssl" : "") << " backlog=4096;\n    root .;\n";
    if (with_tls)
      conf << "    ssl_certificate " << pair.certificate << ";\n    ssl_certificate_key " << pair.key << ";\n";
    conf << "  }\n}\n";
    // Debian installs it where only root's PATH leads.
    const char* const debians = "/usr/sbin/nginx";
    return {{::access(debians, X_OK) == 0 ? debians : "nginx", "-p", directory.path(), "-c", "conf", "-e", "stderr"},
            {},
            port};
  }
};

namespace {

server_command memcached_command(unsigned short port) {
  // Started as root it wants to be told who to become. Becoming another would rid it of the signal that is to end it
  // with its parent (prctl(2), PR_SET_PDEATHSIG).
  return {
      {"memcached", "-l", "127.0.0.1", "-p", std::to_string(port), "-U", "0", "-u", "root", "-t", "1", "-c", "16384"},
      {},
      port};
}

}  // namespace

server::server(const load_options& options) : files_(std::make_unique<files>()) {
  std::string port;
  if (options.connect.empty()) {
    const unsigned short free = free_port();
    target_.host = "127.0.0.1";
    target_.address = target_.host + ":" + (port = std::to_string(free));
    if (options.tls) files_->pair = files_->authority.emplace().issue({"127.0.0.1", "localhost"});
    switch (options.speak) {
      case protocol::echo:
        process_.emplace(options.tls ? tls_echo_server(free, files_->pair.certificate, files_->pair.key)
                                     : echo_server(free));
        break;
      case protocol::redis:
        process_.emplace(redis_server(free));
        break;
      case protocol::memcached:
        process_.emplace(memcached_command(free));
        break;
      case protocol::http:
        process_.emplace(files_->nginx(free, options.tls));
    }
    process_->start_now();
    running_ = true;
  } else {
    target_.address = options.connect;
    std::tie(target_.host, port) = split_address(options.connect);
  }
  try {
    for (const auto& found : tcp::resolver(io_).resolve(target_.host, port)) {
      target_.endpoints.push_back(found.endpoint());
    }
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error("--connect is " + options.connect + ": " + e.code().message());
  }
  if (std::ranges::any_of(options.faults, &fault::on_the_way)) {
    relay_ = std::make_unique<cocp::test::fault_relay>(io_.get_executor(), target_.endpoints.front());
    target_.endpoints = {relay_->endpoint()};
    target_.address = relay_->address();
  }
  if (!options.tls) return;
#ifdef COCP_BENCH_TLS
  if (process_) {
    files_->tls.load_verify_file(files_->authority->certificate());
  } else {
    files_->tls.set_default_verify_paths();
  }
  target_.tls = &files_->tls;
  target_.verify = !options.insecure;
#else
  throw std::runtime_error("--tls: this was built without OpenSSL");
#endif
}

server::~server() = default;

boost::asio::awaitable<server_process::clock::time_point> server::start() {
  const auto listening = co_await process_->start();
  running_ = true;
  co_return listening;
}

void server::kill() noexcept {
  process_->kill();
  running_ = false;
}

void server::disturb(const fault& f) {
  cocp::test::relay_faults now = relay_->faults();
  switch (f.what) {
    case fault::kind::stall:
      relay_->stall_for(f.time);
      return;
    case fault::kind::latency:
      now.to_server.latency = now.to_client.latency = f.time;
      break;
    default:
      now.to_server.resets = f.share;
  }
  relay_->set(now);
}

boost::asio::awaitable<void> server::mend() {
  if (relay_) relay_->set({});
  if (process_ && !running_) co_await start();
}

}  // namespace bench
