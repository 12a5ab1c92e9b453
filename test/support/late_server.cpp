// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

#include "support/late_server.hpp"

#include "support/redis_server.hpp"
#include "support/resp.hpp"
#include "support/scripted_server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <stdexcept>

namespace cocp::test {
namespace {

namespace asio = boost::asio;

/// The first question waits for an element of a list, and is answered when another client adds one.
class late_redis final : public late_server {
 public:
  explicit late_redis(asio::io_context& io) : control_(io) { control_.connect(server_.endpoint()); }

  std::string address() const override { return server_.address(); }
  std::string late_question() const override { return resp::command("BLPOP", "list", "0"); }
  std::string late_answer() const override { return "*2\r\n$4\r\nlist\r\n$25\r\nthe answer to another one\r\n"; }
  std::string question() const override { return resp::command("ECHO", "mine"); }
  std::string answer() const override { return "$4\r\nmine\r\n"; }

  bool has_question() override {
    std::string text = ask(resp::command("INFO", "clients"));
    const std::size_t head = text.find("\r\n") + 2;
    const std::size_t whole = head + std::stoul(text.substr(1)) + 2;
    const std::size_t got = text.size();
    text.resize(std::max(got, whole));
    asio::read(control_, asio::buffer(text.data() + got, text.size() - got));
    return text.find("blocked_clients:1\r\n") != std::string::npos;
  }

  void answer_late_question() override {
    ask(resp::command("LPUSH", "list", "the answer to another one"));
    // The answers of one turn of its loop are sent in any order; this one is of the next.
    ask(resp::command("PING"));
  }

 private:
  // Blocks. At least the first line of the answer.
  std::string ask(const std::string& command) {
    asio::write(control_, asio::buffer(command));
    std::string answer;
    asio::read_until(control_, asio::dynamic_buffer(answer), "\r\n");
    return answer;
  }

  redis_server server_;
  asio::ip::tcp::socket control_;
};

class late_script final : public late_server {
 public:
  explicit late_script(asio::io_context& io) : server_(io.get_executor()) {
    server_.behave_once({step::receive{late_question().size()}, step::hold{}, step::send{late_answer()}, step::echo{}});
  }

  std::string address() const override { return server_.address(); }
  std::string late_question() const override { return "somebody's question"; }
  std::string late_answer() const override { return "the answer to another question"; }
  std::string question() const override { return "my question"; }
  std::string answer() const override { return "my question"; }

  bool has_question() override { return server_.held() == 1; }

  void answer_late_question() override {
    if (server_.accepted() == 1) {
      server_.push_all(late_answer());
    } else {
      server_.release();
    }
  }

 private:
  scripted_server server_;
};

}  // namespace

std::unique_ptr<late_server> late_server::make(const std::string& kind, asio::io_context& io) {
  if (kind == "redis") return std::make_unique<late_redis>(io);
  if (kind == "scripted") return std::make_unique<late_script>(io);
  throw std::invalid_argument("there is no late server of the kind " + kind);
}

}  // namespace cocp::test
