// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "example/scram.hpp"
#include "support/eventually.hpp"
#include "support/postgres_server.hpp"
#include "support/program.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace cocp::test;

namespace {

const std::string password = "open sesame";

// One for all cases: to make a cluster takes a second of processor. It logs each step of each statement, and who leaves
// without a word.
postgres_server& server() {
  static postgres_server only(password, {"log_min_duration_statement=0", "log_min_messages=debug1"});
  return only;
}

std::size_t count(std::string_view text, std::string_view what) {
  std::size_t n = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

struct example {
  std::string path;
  // What is in the server's log already.
  std::size_t logged = server().log().size();

  example() {
    const auto& arguments = boost::unit_test::framework::master_test_suite();
    BOOST_TEST_REQUIRE(arguments.argc == 2, "the path of the program is wanted after `--`");
    path = arguments.argv[1];
  }
  ~example() { ::unsetenv("PGPASSWORD"); }

  std::vector<std::string> command(const std::string& address, const std::string& clients, const std::string& rounds) {
    return {path, address, "postgres", "postgres", clients, rounds};
  }

  // By the server since this case has begun.
  std::string log() const { return server().log().substr(logged); }

  // Since the server was started; and the program has shown all else, of which not all is asked again.
  static bool is_under_load(const program& client) {
    return client.said().find("pg_sleep: ") != std::string::npos &&
           server().ask("select count(*) from pg_stat_activity where query = 'select $1::int + 1'") != "0\n";
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(postgres_client, example)

BOOST_AUTO_TEST_CASE(it_knows_the_example_of_rfc_7677) {
  scram proof("user", "pencil", "rOprNGfwEbeRWgbNEkqO");
  BOOST_TEST(proof.first() == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
  BOOST_TEST(proof.answer("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") ==
             "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
             "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  BOOST_CHECK_THROW(proof.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="), std::runtime_error);
  BOOST_TEST(!proof.server_is_known());
  proof.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  BOOST_TEST(proof.server_is_known());
}

BOOST_AUTO_TEST_CASE(a_nonce_that_is_not_ours_and_a_count_without_end_are_refused) {
  scram proof("user", "pencil", "ours");
  BOOST_CHECK_THROW(proof.answer("r=theirs,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), std::runtime_error);
  BOOST_CHECK_THROW(proof.answer("r=ours,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), std::runtime_error);
  BOOST_CHECK_THROW(proof.answer("r=oursandtheirs,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2147483647"), std::runtime_error);
  BOOST_CHECK_THROW(proof.check("v="), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(errors_cost_no_connection_and_who_waits_no_longer_has_the_server_stop) {
  ::setenv("PGPASSWORD", password.c_str(), 1);
  program client(command(server().address(), "2", "100"));
  BOOST_TEST((client.wait() == 0), client.said());
  const std::string said = client.said();
  BOOST_TEST_INFO(said);
  for (const char* line :
       {"version: ", "error: 22012 division by zero\n", "transaction: 22P02 invalid input syntax for type integer",
        "replaced so far: 0\n", "replaced behind a begin: 1\n", "answered: 200\n", "failed: 0\n"}) {
    BOOST_TEST(said.find(line) != std::string::npos, line);
  }
  BOOST_TEST(said.find("pg_sleep: read_some " + server().address() + ": ") != std::string::npos);
  // Closing the connection would not have it stop: it looks at that when it has something to say.
  BOOST_TEST(eventually_blocking([&] { return log().find("canceling statement due to user request") != log().npos; }));
  BOOST_TEST(eventually_blocking(
      [] { return server().ask("select count(*) from pg_stat_activity where query ~ '^select pg_sleep'") == "0\n"; }));
}

BOOST_AUTO_TEST_CASE(a_statement_is_parsed_once_for_each_stream) {
  program client(command(server().unix_address(), "2", "100"));
  BOOST_TEST((client.wait() == 0), client.said());
  const std::string logged_now = log();
  BOOST_TEST_INFO(client.said());
  const auto statements = [&](const std::string& step, const std::string& end) {
    std::size_t n = 0;
    for (int name = 0; name < 10; ++name) n += count(logged_now, step + " s" + std::to_string(name) + end);
    return n;
  };
  const std::string query = ": select $1::int + 1\n";
  const std::size_t parsed = statements("parse", query);
  BOOST_TEST(parsed >= 1u);
  BOOST_TEST(parsed <= 5u);  // three places, and two that were replaced
  BOOST_TEST(statements("execute", query) == 200u);
  // In the transaction too, which was rolled back.
  BOOST_TEST(statements("parse", ": insert into numbers values ($1)\n") == 1u);
  BOOST_TEST(statements("execute", ": rollback\n") == 1u);
}

BOOST_AUTO_TEST_CASE(a_wrong_password_is_told_to_the_logger) {
  ::setenv("PGPASSWORD", "sesame", 1);
  program client(command(server().address(), "1", "0"));
  const std::string words = "connect_failed " + server().address() +
                            ": handshake failed: 28P01 password authentication failed for user \"postgres\"";
  BOOST_TEST(eventually_blocking([&] { return client.said().find(words) != std::string::npos; }), client.said());
}

BOOST_AUTO_TEST_CASE(a_restart_of_the_server_reaches_nobody) {
  program client(command(server().unix_address(), "4", "0"));
  BOOST_TEST(eventually_blocking([&] { return is_under_load(client); }));
  server().stop();
  server().start();
  BOOST_TEST(eventually_blocking([&] { return is_under_load(client); }));
  client.signal(SIGTERM);
  BOOST_TEST((client.wait() == 0), client.said());
  BOOST_TEST(client.said().find("\nfailed: 0\n") != std::string::npos, client.said());
  BOOST_TEST(log().find("received fast shutdown request") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_immediate_shutdown_reaches_no_reader) {
  program client(command(server().unix_address(), "4", "0"));
  BOOST_TEST(eventually_blocking([&] { return is_under_load(client); }));
  server().stop(SIGQUIT);
  server().start();
  BOOST_TEST(eventually_blocking([&] { return is_under_load(client); }));
  client.signal(SIGTERM);
  BOOST_TEST((client.wait() == 0), client.said());
  BOOST_TEST(client.said().find("\nfailed: 0\n") != std::string::npos, client.said());
}

BOOST_AUTO_TEST_CASE(what_the_server_says_unasked_reaches_nobody) {
  program client(command(server().unix_address(), "4", "0"));
  BOOST_TEST(eventually_blocking([&] { return is_under_load(client); }));
  for (const char* zone : {"Europe/Berlin", "Asia/Tokyo"}) {
    server().reload(std::string("timezone='") + zone + "'");
    BOOST_TEST(eventually_blocking([&] { return server().ask("show timezone") == std::string(zone) + '\n'; }));
  }
  BOOST_TEST(eventually_blocking([&] { return is_under_load(client); }));
  client.signal(SIGTERM);
  BOOST_TEST((client.wait() == 0), client.said());
  BOOST_TEST(client.said().find("\nfailed: 0\n") != std::string::npos, client.said());
}

BOOST_AUTO_TEST_CASE(it_takes_its_leave) {
  program client(command(server().unix_address(), "4", "100"));
  BOOST_TEST((client.wait() == 0), client.said());
  BOOST_TEST(eventually_blocking([] {
    return server().ask("select count(*) from pg_stat_activity where application_name = 'postgres_client'") == "0\n";
  }));
  // But for the two that were replaced: with a transaction left open, and with a statement cancelled.
  BOOST_TEST(count(log(), "unexpected EOF on client connection") <= 2u);
}

BOOST_AUTO_TEST_SUITE_END()
