// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/certificates.hpp"

#include "support/process.hpp"

#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <fstream>
#include <iomanip>
#include <sstream>
#include <stdexcept>

namespace cocp::test {
namespace {

// As an extension of a certificate tells it (x509v3_config(5)).
std::string alternative_names(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    boost::system::error_code not_numeric;
    boost::asio::ip::make_address(name, not_numeric);
    list.append(list.empty() ? "" : ",").append(not_numeric ? "DNS:" : "IP:").append(name);
  }
  return "subjectAltName=" + list;
}

}  // namespace

certificate_authority::certificate_authority() {
  // Not the machine's own configuration, which says what extensions a certificate gets if nobody asks.
  std::ofstream(directory_.path() / "configuration") << "[req]\ndistinguished_name = none\n[none]\n";
  own_ = next_files();
  openssl({"req",
           "-x509",
           "-days",
           "10",
           "-subj",
           "/CN=an authority of cocp's tests",
           "-addext",
           "basicConstraints=critical,CA:TRUE",
           "-addext",
           "keyUsage=critical,keyCertSign",
           "-newkey",
           "ec",
           "-pkeyopt",
           "ec_paramgen_curve:P-256",
           "-nodes",
           "-config",
           directory_.path() / "configuration",
           "-keyout",
           own_.key,
           "-out",
           own_.certificate});
}

certificate_authority::certificate_authority(std::time_t end) : certificate_authority() {
  openssl({"x509", "-x509toreq", "-copy_extensions", "copyall", "-in", own_.certificate, "-signkey", own_.key, "-out",
           own_.certificate + ".request"});
  sign_until(own_, end, "-selfsign");
}

key_pair certificate_authority::issue(const std::vector<std::string>& names) { return sign(names, 10); }

key_pair certificate_authority::issue_expired(const std::vector<std::string>& names) { return sign(names, -1); }

key_pair certificate_authority::issue_until(const std::vector<std::string>& names, std::time_t end) {
  key_pair files = ask(names);
  sign_until(files, end, "-batch");
  return files;
}

void certificate_authority::sign_until(const key_pair& files, std::time_t end, const std::string& how) {
  // `openssl x509` counts in days; `openssl ca` knows times, and keeps books.
  const std::string books = directory_.path() / "books";
  std::ofstream(books, std::ios::app).flush();
  const std::string configuration = directory_.path() / "ca-configuration";
  std::ofstream(configuration) << "[ca]\ndefault_ca=own\n[own]\ndatabase=" << books
                               << "\nrand_serial=yes\nnew_certs_dir=" << directory_.path().string()
                               << "\nunique_subject=no\npolicy=any\ncopy_extensions=copyall\n"
                                  "[any]\ncommonName=supplied\n";
  std::tm parts{};
  ::gmtime_r(&end, &parts);
  std::ostringstream when;
  when << std::put_time(&parts, "%Y%m%d%H%M%SZ");
  openssl({"ca", how, "-batch", "-notext", "-config", configuration, "-md", "sha256", "-enddate", when.str(), "-cert",
           own_.certificate, "-keyfile", own_.key, "-in", files.certificate + ".request", "-out", files.certificate});
}

key_pair certificate_authority::ask(const std::vector<std::string>& names) {
  key_pair files = next_files();
  openssl({"req", "-new", "-subj", "/CN=a server of cocp's tests", "-addext", alternative_names(names), "-addext",
           "extendedKeyUsage=serverAuth", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config",
           directory_.path() / "configuration", "-keyout", files.key, "-out", files.certificate + ".request"});
  return files;
}

key_pair certificate_authority::sign(const std::vector<std::string>& names, int days) {
  key_pair files = ask(names);
  openssl({"x509", "-req", "-days", std::to_string(days), "-copy_extensions", "copyall", "-in",
           files.certificate + ".request", "-CA", own_.certificate, "-CAkey", own_.key, "-CAcreateserial", "-out",
           files.certificate});
  return files;
}

key_pair certificate_authority::next_files() {
  const std::string stem = directory_.path() / std::to_string(made_++);
  return {stem + ".crt", stem + ".key"};
}

void certificate_authority::openssl(std::vector<std::string> arguments) {
  const std::string log = directory_.path() / "log";
  arguments.insert(arguments.begin(), "openssl");
  process program(arguments, log);
  if (program.wait(std::chrono::seconds(20)) == 0) return;
  std::ostringstream said;
  said << "openssl " << arguments[1] << " failed: " << std::ifstream(log).rdbuf();
  throw std::runtime_error(said.str());
}

}  // namespace cocp::test
