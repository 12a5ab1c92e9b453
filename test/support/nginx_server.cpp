// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/nginx_server.hpp"

#include "support/eventually.hpp"
#include "support/start_server.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <unistd.h>

#include <fstream>
#include <utility>
#include <vector>

namespace cocp::test {
namespace {

// Debian installs it where only root's PATH leads.
std::string program() {
  const char* const debians = "/usr/sbin/nginx";
  return ::access(debians, X_OK) == 0 ? debians : "nginx";
}

}  // namespace

nginx_server::nginx_server(options o) : options_(std::move(o)) {
  // One process, if there need not be two, so that a SIGKILL ends all of it. The names of files are relative to the
  // directory, which nobody else may write to.
  std::ofstream conf(directory_.path() / "conf");
  conf << (options_.worker ? "user root;\nmaster_process on;\n" : "master_process off;\n")
       << "daemon off;\npid pid;\nerror_log log;\n"
       << "events {}\n"
       << "http {\n"
       << "  access_log off;\n"
       << "  client_body_temp_path t1;\n  proxy_temp_path t2;\n  fastcgi_temp_path t3;\n  uwsgi_temp_path t4;\n"
       << "  scgi_temp_path t5;\n"
       << "  server {\n"
       << "    listen " << plain_.address() << ";\n"
       << "    listen " << unix_address() << ";\n";
  if (options_.tls) {
    conf << "    listen " << tls_.address() << " ssl;\n"
         << "    ssl_certificate " << options_.tls->certificate << ";\n"
         << "    ssl_certificate_key " << options_.tls->key << ";\n";
  }
  conf << "    location / { return 200 \"$request_method $request_uri\"; }\n"
       << "    " << options_.directives << "\n"
       << "  }\n"
       << "}\n";
  conf.close();
  start();
}

void nginx_server::kill() {
  if (process_ && options_.worker) {
    process_->signal(SIGTERM);
    process_->wait(patience);
  }
  process_.reset();
}

void nginx_server::start() {
  // A Unix socket stays when its listener is killed, and then cannot be bound.
  ::unlink(socket().c_str());
  const std::string log = directory_.path() / "log";
  std::vector<boost::asio::generic::stream_protocol::endpoint> at{
      plain_.endpoint(), boost::asio::local::stream_protocol::endpoint(socket())};
  if (options_.tls) at.emplace_back(tls_.endpoint());
  process_ = start_server({program(), "-p", directory_.path(), "-c", "conf", "-e", "log"}, at, log,
                          options_.worker ? SIGTERM : SIGKILL);
}

}  // namespace cocp::test
