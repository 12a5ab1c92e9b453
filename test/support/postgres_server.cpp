// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/postgres_server.hpp"

#include "support/eventually.hpp"
#include "support/start_server.hpp"
#include "support/system_call.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <pwd.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace cocp::test {
namespace {

std::string contents(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

// Debian installs them where no PATH leads, each version in a directory of its own.
std::string program_path(const std::string& name) {
  const std::filesystem::path versions = "/usr/lib/postgresql";
  if (std::filesystem::is_directory(versions)) {
    for (const auto& version : std::filesystem::directory_iterator(versions)) {
      const std::filesystem::path path = version.path() / "bin" / name;
      if (::access(path.c_str(), X_OK) == 0) return path;
    }
  }
  return name;
}

// It refuses to be root's.
const passwd* other_user() {
  if (::geteuid() != 0) return nullptr;
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* user = ::getpwnam(name)) return user;
  }
  throw std::runtime_error("PostgreSQL runs as another user than root, and there is none");
}

std::vector<std::string> as_other_user(std::vector<std::string> argv) {
  const passwd* user = other_user();
  if (!user) return argv;
  // The signal that its parent's end sends is lost with the change of users.
  std::vector<std::string> all{"setpriv",
                               "--reuid=" + std::to_string(user->pw_uid),
                               "--regid=" + std::to_string(user->pw_gid),
                               "--clear-groups",
                               "--pdeathsig=QUIT",
                               "--"};
  all.insert(all.end(), argv.begin(), argv.end());
  return all;
}

// What it prints.
std::string run_to_end(std::vector<std::string> argv, const std::string& output) {
  const std::string name = argv.front();
  ::unlink(output.c_str());
  process running(std::move(argv), output);
  const auto status = running.wait(patience);
  const std::string said = contents(output);
  if (status != 0) throw std::runtime_error(name + ": " + said);
  return said;
}

}  // namespace

postgres_server::postgres_server(std::string password, std::vector<std::string> settings)
    : settings_(std::move(settings)) {
  if (const passwd* user = other_user())
    system_call("chown", ::chown(directory_.path().c_str(), user->pw_uid, user->pw_gid));
  const std::string file = directory_.path() / "password";
  std::ofstream(file) << password << '\n';
  run_to_end(as_other_user({program_path("initdb"), "--pgdata=" + data(), "--username=postgres", "--pwfile=" + file,
                            "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync", "--no-locale",
                            "--encoding=UTF8", "--wal-segsize=1"}),
             directory_.path() / "initdb.log");
  start();
}

postgres_server::~postgres_server() { stop(SIGQUIT); }

std::string postgres_server::unix_address() const {
  return "unix:" + (directory_.path() / ".s.PGSQL.").string() + std::to_string(port_.number());
}

void postgres_server::stop(int signal) {
  if (!process_) return;
  process_->signal(signal);
  process_->wait(patience);
  process_.reset();
}

void postgres_server::start() {
  std::vector<std::string> argv{program_path("postgres"), "-D", data(), "-p", std::to_string(port_.number())};
  std::vector<std::string> all = settings_;
  all.insert(all.end(), {"listen_addresses=127.0.0.1", "unix_socket_directories=" + directory_.path().string(),
                         "fsync=off", "shared_buffers=16MB"});
  for (const std::string& setting : all) {
    argv.push_back("-c");
    argv.push_back(setting);
  }
  process_ = start_server(as_other_user(std::move(argv)), {port_.endpoint()}, directory_.path() / "log");
  if (!eventually_blocking([&] { return is_ready(); }))
    throw std::runtime_error("PostgreSQL does not come up: " + log());
}

bool postgres_server::is_ready() const {
  // While it recovers it accepts connections, and answers that it is starting up.
  const std::string told = contents(data() + "/postmaster.pid");
  return told.starts_with(std::to_string(process_->id()) + '\n') && told.find("\nready") != std::string::npos;
}

void postgres_server::reload(const std::string& setting) {
  std::ofstream(data() + "/postgresql.conf", std::ios::app) << setting << '\n';
  process_->signal(SIGHUP);
}

std::string postgres_server::ask(const std::string& query) const {
  return run_to_end({program_path("psql"), "-X", "-A", "-t", "-h", directory_.path(), "-p",
                     std::to_string(port_.number()), "-U", "postgres", "-c", query},
                    directory_.path() / "answer");
}

std::string postgres_server::log() const { return contents(directory_.path() / "log"); }

}  // namespace cocp::test
