// Copyright (c) 2026 The cocp authors
// SPDX-License-Identifier: BSL-1.0

// An HTTP/1.1 reverse proxy: a coroutine for each client, and a lease for each request. One thread; for more, start it
// again on another port.
//
//   reverse_proxy UPSTREAM PORT [CONNECTIONS]
//
// - `pool.run` repeats what the upstream's end of an idle connection broke, if it may be repeated: a reload of the
//   upstream reaches no client.
// - What was read from the upstream and not yet passed on is in the stream's `session`: it goes when the stream does.
// - Bodies are passed on as they come, out of the buffer that they were read into.
// - WebSocket: with the upstream's 101 the lease is detached, and takes no place in the pool.
// - SIGTERM: no more clients and requests; those under way, tunnels too, have five seconds.

#include <cocp.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/multiple_exceptions.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_suffix.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/rfc7230.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/container/small_vector.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory_resource>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_set>
#include <utility>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using boost::system::system_error;
using namespace asio::experimental::awaitable_operators;
using namespace std::chrono_literals;

constexpr auto as_tuple = asio::as_tuple(asio::use_awaitable);
constexpr auto upstream_patience = 60s;  // with one that says nothing, or takes nothing
constexpr auto client_patience = 75s;    // the same; more, so that a client is told that the upstream was late
constexpr std::size_t most_at_once = 65536;
constexpr std::size_t most_buffered = 2 * most_at_once;

// The body of a message as Beast's parser wants one; it keeps nothing but where in the read buffer the pieces are that
// have come last.
struct pieces {
  using value_type = boost::container::small_vector<asio::const_buffer, 4>;

  class reader {
   public:
    template <bool IsRequest, class Fields>
    reader(http::header<IsRequest, Fields>&, value_type& to) : to_(to) {}
    void init(const boost::optional<std::uint64_t>&, error_code& ec) { ec = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& bytes, error_code& ec) {
      ec = {};
      to_.insert(to_.end(), asio::buffer_sequence_begin(bytes), asio::buffer_sequence_end(bytes));
      return asio::buffer_size(bytes);
    }
    void finish(error_code& ec) { ec = {}; }

   private:
    value_type& to_;
  };
};
// The fields of a message are in memory that is given back as one.
using allocator = std::pmr::polymorphic_allocator<char>;
using message_fields = http::basic_fields<allocator>;
using request_parser = http::request_parser<pieces, allocator>;
using response_parser = http::response_parser<pieces, allocator>;

struct arena : std::array<std::byte, 2048>, std::pmr::monotonic_buffer_resource {
  arena() : monotonic_buffer_resource(data(), size()) {}

  // For the next message.
  auto for_a_message() {
    release();
    return std::make_tuple(allocator(this));
  }
};

// What was read from an upstream's stream and is not yet passed on.
struct read_buffer {
  beast::flat_buffer bytes{most_buffered};
};

struct client;

struct proxy {
  cocp::pool& upstream;
  std::unordered_set<client*> clients;
  bool is_stopping = false;
};

// A client's connection, and what is under way on it.
struct client {
  client(proxy& p, tcp::socket s) : all(p), socket(std::move(s)) {
    error_code gone;
    forwarded_for = "X-Forwarded-For: " + socket.remote_endpoint(gone).address().to_string() + "\r\n";
    socket.non_blocking(true);
    all.clients.insert(this);
  }
  client(const client&) = delete;
  client& operator=(const client&) = delete;
  ~client() { all.clients.erase(this); }

  proxy& all;
  tcp::socket socket;
  beast::flat_buffer buffer{most_buffered};
  std::string forwarded_for;
  arena asked;
  arena answered;
  std::string head;               // as its request is passed on
  std::string answer_head;        // and the answer
  bool is_idle = true;            // between two requests
  bool is_answered = false;       // a part of the answer, at least, was passed on
  bool keep_alive = true;         // behind the answer
  cocp::lease tunnel;             // what it was switched to
  std::chrono::seconds quiet{0};  // since we began to wait for it, or for the upstream on its behalf
};

// Reads what there is.
asio::awaitable<std::tuple<error_code, std::size_t>> read_some(client& from, beast::flat_buffer& buffer) {
  from.quiet = 0s;
  return from.socket.async_read_some(buffer.prepare(most_at_once), as_tuple);
}

asio::awaitable<std::tuple<error_code, std::size_t>> read_some(cocp::connection& from, beast::flat_buffer& buffer) {
  from.expires_after(upstream_patience);
  return from.async_read_some(buffer.prepare(most_at_once), as_tuple);
}

// Takes what was read; false at the end.
bool take(beast::flat_buffer& buffer, error_code ec, std::size_t n) {
  if (ec && ec != asio::error::eof) throw system_error(ec);
  buffer.commit(n);
  return !ec;
}

using byte_ranges = std::span<const asio::const_buffer>;

// Sends what can be sent at once: mostly all, and then without a turn of the scheduler, or a coroutine.
std::size_t send_now(client& to, byte_ranges bytes) {
  to.quiet = 0s;
  error_code ec;
  const std::size_t sent = to.socket.write_some(bytes, ec);
  if (ec && ec != asio::error::would_block) throw system_error(ec);
  return sent;
}

std::size_t send_now(cocp::connection& to, byte_ranges) {
  to.expires_after(upstream_patience);
  return 0;  // `write` does that
}

asio::awaitable<void> send_rest(client& to, byte_ranges bytes, std::size_t sent) {
  beast::buffers_suffix<byte_ranges> rest(bytes);
  rest.consume(sent);
  co_await asio::async_write(to.socket, rest, asio::use_awaitable);
}

asio::awaitable<std::size_t> send_rest(cocp::connection& to, byte_ranges bytes, std::size_t) { return to.write(bytes); }

// Reads the head of a message, and leaves the body in the buffer: what is behind that, trailers, is no part of the
// head.
template <class From, class Parser>
asio::awaitable<void> read_head(From& from, beast::flat_buffer& buffer, Parser& message) {
  message.header_limit(32768);
  message.body_limit(boost::none);
  for (bool has_new = buffer.size() != 0; !message.is_header_done(); has_new = false) {
    if (!has_new) {
      const auto [ec, n] = co_await read_some(from, buffer);
      if (!take(buffer, ec, n)) {
        const bool is_cut_off = message.got_some() || buffer.size() != 0;
        throw system_error(is_cut_off ? make_error_code(http::error::partial_message) : ec);
      }
    }
    error_code ec;
    buffer.consume(message.put(buffer.data(), ec));
    if (ec && ec != http::error::need_more) throw system_error(ec);
  }
}

// Finds what has come of the body.
template <class Parser>
void find_body(beast::flat_buffer& buffer, Parser& message) {
  if (message.is_done() || buffer.size() == 0) return;
  error_code ec;
  message.eager(true);
  buffer.consume(message.put(buffer.data(), ec));
  if (ec && ec != http::error::need_more) throw system_error(ec);
}

// Passes a message on: `head`, what was found of the body, and the rest as it comes.
template <class From, class Parser, class To>
asio::awaitable<void> pass_on(From& from, beast::flat_buffer& buffer, Parser& message, To& to, std::string_view head,
                              bool chunked) {
  auto& body = message.get().body();
  boost::container::small_vector<asio::const_buffer, 8> out;
  for (;;) {
    out.assign(1, asio::buffer(head));
    std::array<char, 18> chunk_size;
    const std::size_t size = asio::buffer_size(body);
    if (chunked && size != 0) {
      char* const end = std::to_chars(chunk_size.data(), chunk_size.data() + 16, size, 16).ptr;
      end[0] = '\r';
      end[1] = '\n';
      out.emplace_back(chunk_size.data(), static_cast<std::size_t>(end + 2 - chunk_size.data()));
    }
    out.insert(out.end(), body.begin(), body.end());
    if (chunked && size != 0) out.emplace_back("\r\n", 2);
    if (chunked && message.is_done()) out.emplace_back("0\r\n\r\n", 5);
    const std::size_t whole = asio::buffer_size(out);
    const std::size_t sent = whole == 0 ? 0 : send_now(to, out);
    if (sent != whole) co_await send_rest(to, out, sent);
    if (message.is_done()) co_return;

    head = {};
    body.clear();
    const auto [ec, n] = co_await read_some(from, buffer);
    if (take(buffer, ec, n)) {
      find_body(buffer, message);
    } else {
      error_code cut_off;
      message.put_eof(cut_off);
      if (cut_off) throw system_error(cut_off);
    }
  }
}

// All fields but those that are for the next hop only (RFC 9110, 7.6.1), and Expect, which is answered here.
void append_fields(std::string& head, const message_fields& from) {
  const auto [first, last] = from.equal_range(http::field::connection);
  for (const auto& field : from) {
    switch (field.name()) {
      case http::field::connection:
      case http::field::expect:
      case http::field::keep_alive:
      case http::field::proxy_authenticate:
      case http::field::proxy_authorization:
      case http::field::proxy_connection:
      case http::field::te:
      case http::field::trailer:
      case http::field::transfer_encoding:
      case http::field::upgrade:
        continue;
      default:
        break;
    }
    const auto name = field.name_string();
    if (std::any_of(first, last, [&](const auto& c) { return http::token_list(c.value()).exists(name); })) continue;
    head.append(name).append(": ").append(field.value()).append("\r\n");
  }
}

// Nothing else: a tunnel of h2c would lead past all that a proxy is to look at.
bool wants_websocket(const request_parser& asked) {
  return asked.upgrade() && beast::iequals(asked.get()[http::field::upgrade], "websocket");
}

constexpr std::string_view switching = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

void write_head(client& from, const request_parser& asked) {
  const auto& fields = asked.get();
  from.head.assign(fields.method_string()).append(" ").append(fields.target()).append(" HTTP/1.1\r\n");
  append_fields(from.head, fields);
  if (asked.chunked()) from.head += "Transfer-Encoding: chunked\r\n";
  if (wants_websocket(asked)) from.head += switching;
  from.head.append(from.forwarded_for).append("Via: 1.1 cocp\r\n\r\n");
}

struct outcome {
  unsigned status = 0;
  bool keep_alive = false;  // of the upstream's connection
};

// Passes the answer on, and what comes before it (103, Early Hints).
asio::awaitable<outcome> pass_answer_on(cocp::connection& from, client& to, const request_parser& asked) {
  beast::flat_buffer& buffer = from.session<read_buffer>().bytes;
  for (;;) {
    response_parser answer(std::piecewise_construct, std::make_tuple(), to.answered.for_a_message());
    answer.skip(asked.get().method() == http::verb::head);  // its answer tells the length of a body that does not come
    co_await read_head(from, buffer, answer);
    const auto& fields = answer.get();
    const outcome result{.status = fields.result_int(), .keep_alive = answer.keep_alive()};
    const bool is_last = result.status >= 200 || result.status == 101;
    if (result.status == 101 && !wants_websocket(asked)) throw system_error(http::error::bad_status);

    const bool has_body = !answer.is_done();
    const bool is_endless = has_body && !answer.content_length();
    const bool chunked = is_endless && asked.get().version() == 11;
    // Who is answered before it has asked in full may have to be cut off.
    if (to.all.is_stopping || (is_endless && !chunked) || (is_last && !asked.is_done())) to.keep_alive = false;
    std::string& head = to.answer_head;
    head.assign("HTTP/1.1 ").append(std::to_string(result.status)).append(" ");
    head.append(fields.reason()).append("\r\n");
    append_fields(head, fields);
    if (chunked) head += "Transfer-Encoding: chunked\r\n";
    if (result.status == 101)
      head += switching;
    else if (is_last && !to.keep_alive)
      head += "Connection: close\r\n";
    else if (is_last && asked.get().version() == 10)
      head += "Connection: keep-alive\r\n";
    head += "\r\n";
    find_body(buffer, answer);
    to.is_answered = true;
    co_await pass_on(from, buffer, answer, to, head, chunked);
    if (!is_last) continue;
    if (!result.keep_alive && !asked.is_done()) {  // the upstream does not want the rest of the request
      to.socket.cancel();
      from.close();
    }
    co_return result;
  }
}

// Passes a request on beside its answer, for which the upstream need not wait; it may have answered, too, before it
// closed the connection.
asio::awaitable<void> upload(client& from, request_parser& asked, cocp::connection& to) {
  try {
    co_await pass_on(from, from.buffer, asked, to, from.head, asked.chunked());
  } catch (const system_error&) {
    if (to.is_connected()) to.close();  // it is the client that is gone
  }
}

asio::awaitable<void> exchange(cocp::lease& connection, client& from, request_parser& asked) {
  const beast::flat_buffer& unread = connection->session<read_buffer>().bytes;
  outcome result;
  if (asked.is_done()) {
    co_await pass_on(from, from.buffer, asked, *connection, from.head, asked.chunked());
    result = co_await pass_answer_on(*connection, from, asked);
  } else {
    auto back = pass_answer_on(*connection, from, asked);
    auto there = upload(from, asked, *connection);
    result = co_await (std::move(back) && std::move(there));
  }
  if (result.status == 101) {
    connection.detach();
    from.tunnel = std::move(connection);
  } else if (!result.keep_alive || unread.size() != 0) {  // bytes that are in our own buffer the pool cannot see
    connection.discard();
  }
}

asio::awaitable<void> refuse(client& to, http::status why, bool keep_alive) {
  std::string head = "HTTP/1.1 " + std::to_string(static_cast<unsigned>(why)) + " ";
  head.append(http::obsolete_reason(why)).append("\r\nContent-Length: 0\r\n");
  head += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
  const auto bytes = asio::buffer(head);
  co_await asio::async_write(to.socket, bytes, asio::use_awaitable);
}

bool is_idempotent(http::verb method) {
  return method == http::verb::get || method == http::verb::head || method == http::verb::put ||
         method == http::verb::delete_ || method == http::verb::options || method == http::verb::trace;
}

// Reads a request; what is wrong with it, or `ok`.
asio::awaitable<http::status> read_request(client& from, request_parser& asked) {
  static const auto& nonsense = make_error_code(http::error::bad_value).category();
  try {
    co_await read_head(from, from.buffer, asked);
    write_head(from, asked);
    find_body(from.buffer, asked);
    from.keep_alive = asked.keep_alive();
    co_return http::status::ok;
  } catch (const system_error& e) {
    if (e.code().category() != nonsense) throw;
    from.keep_alive = false;
    co_return http::status::bad_request;
  }
}

// Has a request answered by the upstream; why that failed, or `ok`.
asio::awaitable<http::status> ask_upstream(client& from, request_parser& asked) {
  // To repeat a request takes all of it; and that it does no harm (RFC 9110, 9.2.2).
  const bool is_repeatable = asked.is_done() && is_idempotent(asked.get().method());
  const cocp::run_options options{.again = is_repeatable ? cocp::retry::unanswered : cocp::retry::unsent};
  auto once = [&](cocp::lease& connection) { return exchange(connection, from, asked); };
  try {
    co_await from.all.upstream.run(once, options);
    co_return http::status::ok;
  } catch (const system_error& e) {
    if (from.is_answered) throw;  // it is too late for another answer
    std::clog << asked.get().method_string() << ' ' << asked.get().target() << ": " << e.what() << std::endl;
    if (e.code() == cocp::errc::timed_out) co_return http::status::gateway_timeout;
    const bool is_refused = e.code() == cocp::errc::closed || e.code() == cocp::errc::overloaded;
    co_return is_refused ? http::status::service_unavailable : http::status::bad_gateway;
  }
}

// Answers a request; false if it was the last.
asio::awaitable<bool> serve_request(client& self) {
  request_parser asked(std::piecewise_construct, std::make_tuple(), self.asked.for_a_message());
  self.is_answered = false;
  self.is_idle = true;
  http::status status = co_await read_request(self, asked);
  self.is_idle = false;
  if (status == http::status::ok) {
    if (!asked.is_done() && beast::iequals(asked.get()[http::field::expect], "100-continue")) {
      const auto go_on = asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25);
      co_await asio::async_write(self.socket, go_on, asio::use_awaitable);
    }
    status = co_await ask_upstream(self, asked);
  }
  const bool goes_on = self.keep_alive && asked.is_done() && !self.tunnel;
  if (status != http::status::ok) co_await refuse(self, status, goes_on);
  co_return goes_on;
}

// What comes, until it ends, on an endless stream to another; and then the end.
template <class From, class To>
asio::awaitable<void> copy(From& from, beast::flat_buffer& buffer, To& to) {
  for (;;) {
    const asio::const_buffer bytes = buffer.data();
    if (bytes.size() != 0) co_await asio::async_write(to, bytes, asio::use_awaitable);
    buffer.consume(bytes.size());
    const auto space = buffer.prepare(most_at_once);
    const auto [ec, n] = co_await from.async_read_some(space, as_tuple);
    if (ec == asio::error::eof) co_return;
    if (ec) throw system_error(ec);
    buffer.commit(n);
  }
}

asio::awaitable<void> copy_to_client(client& self) {
  co_await copy(*self.tunnel, self.tunnel->session<read_buffer>().bytes, self.socket);
  self.socket.shutdown(tcp::socket::shutdown_send);
}

asio::awaitable<void> copy_to_upstream(client& self) {
  co_await copy(self.socket, self.buffer, *self.tunnel);
  co_await self.tunnel->shutdown_send();
}

// Ends our side and reads on, for `client_patience` in all, since a close with something unread would reset the
// connection, and what the client was answered with it (RFC 9112, 9.6).
asio::awaitable<void> close_gently(client& self) {
  self.quiet = 0s;
  self.socket.shutdown(tcp::socket::shutdown_send);
  for (error_code end; !end;) {
    self.buffer.clear();
    const auto space = self.buffer.prepare(most_at_once);
    const auto [ec, n] = co_await self.socket.async_read_some(space, as_tuple);
    end = ec;
  }
}

asio::awaitable<void> serve(proxy& all, tcp::socket socket) {
  client self(all, std::move(socket));
  for (bool goes_on = true; goes_on;) goes_on = co_await serve_request(self);
  if (self.tunnel) {
    self.tunnel->expires_never();
    auto there = copy_to_upstream(self);
    auto back = copy_to_client(self);
    co_await (std::move(there) && std::move(back));
  } else {
    co_await close_gently(self);
  }
}

void note_end(std::exception_ptr why) {
  try {
    if (why) std::rethrow_exception(why);
  } catch (const system_error&) {               // the client is gone, or the upstream in the midst of an answer
  } catch (const asio::multiple_exceptions&) {  // both ways of a tunnel
  } catch (const std::exception& e) {
    std::clog << e.what() << std::endl;
  }
}

asio::awaitable<void> close_the_quiet(proxy& all) {
  asio::steady_timer second(co_await asio::this_coro::executor);
  while (!all.is_stopping) {
    second.expires_after(1s);
    co_await second.async_wait(asio::use_awaitable);
    for (client* each : all.clients)
      if (!each->tunnel && (each->quiet += 1s) > client_patience) each->socket.close();
  }
}

asio::awaitable<void> run(proxy& all, tcp::acceptor& acceptor) {
  const auto executor = acceptor.get_executor();
  asio::signal_set signals(executor, SIGTERM, SIGINT);
  signals.async_wait([&](error_code, int) { acceptor.close(); });
  asio::steady_timer pause(executor);
  while (acceptor.is_open()) {
    auto [failed, socket] = co_await acceptor.async_accept(as_tuple);
    if (!failed) {
      asio::co_spawn(executor, serve(all, std::move(socket)), note_end);
    } else if (acceptor.is_open()) {  // for want of descriptors, which others may give back
      pause.expires_after(100ms);
      co_await pause.async_wait(asio::use_awaitable);
    }
  }
  all.is_stopping = true;
  for (client* each : all.clients)
    if (each->is_idle) each->socket.close();
  co_await all.upstream.drain(5s);
  for (client* each : all.clients) each->socket.close();
}

int main(int argc, char** argv) try {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: reverse_proxy UPSTREAM PORT [CONNECTIONS]\n";
    return 2;
  }
  asio::io_context io(1);  // of one thread
  // An upstream closes idle connections after a minute or so: rather be the first. What waits while it is down is told
  // so after a second.
  cocp::pool upstream{io,
                      {.address = argv[1], .retry_max = 1s, .logger = cocp::log_to(std::clog)},
                      {.size = argc == 4 ? std::stoul(argv[3]) : 64,
                       .min_size = 0,
                       .idle_timeout = 50s,
                       .get_timeout = 5s,
                       .max_waiting = 1000,
                       .fail_fast = 1s}};
  proxy all{.upstream = upstream, .clients = {}};
  const auto port = static_cast<unsigned short>(std::stoul(argv[2]));
  tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), port});
  acceptor.set_option(tcp::no_delay(true));  // for each that is accepted (tcp(7))
  std::cout << "listening on " << acceptor.local_endpoint() << std::endl;
  const auto must_end_well = [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  };
  asio::co_spawn(io, close_the_quiet(all), must_end_well);
  asio::co_spawn(io, run(all, acceptor), must_end_well);
  io.run();  // returns when there is nothing left to do
} catch (const std::exception& e) {
  std::cerr << e.what() << '\n';
  return 1;
}
