#include "http/connection.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/status.hpp>

#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept::http {
namespace {

using tcp = net::ip::tcp;
using ErrorCode = boost::system::error_code;

// What a client may still send that has been refused: a connection that is closed before would lose the refusal on its way.
constexpr double linger_seconds = 2;
constexpr size_t linger_bytes = size_t{64} << 20;
constexpr int left_status = 499;  // as nginx counts a client that left

auto ending(ErrorCode& error) {
  return net::redirect_error(net::use_awaitable, error);
}

}  // namespace

Connection::Connection(tcp::socket socket, Host& host)
    : socket_(std::move(socket)), executor_(socket_.get_executor()), timer_(executor_), host_(host) {
  ErrorCode ignored;
  socket_.set_option(tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
}

Awaitable<> Connection::run() {
  const auto self = shared_from_this();
  try {
    while (co_await serve_one()) {
    }
    co_await linger();
  } catch (const End&) {
  } catch (const Gone&) {
  } catch (const std::exception& error) {
    log::warn(str("[connection] expected to go on, received ", error.what()));
  }
  unlimit();
  ErrorCode ignored;
  socket_.close(ignored);
  host_.ended(self);
}

void Connection::close_idle() {
  net::post(executor_, [self = shared_from_this()] {
    ErrorCode ignored;
    if (self->idle_) self->socket_.close(ignored);
  });
}

// Returns whether another request may follow.
Awaitable<bool> Connection::serve_one() {
  head_ = {};
  status_ = 0;
  co_await wait_for_request();
  std::optional<ApiError> wrong;
  try {
    co_await read_head_block();
    if (const std::string& path = head_.request.path;
        path != "/health" && path != "/ready" && !host_.key().opens(head_.request.authorization))
      throw ApiError(401, "[Authorization] expected the server's API key, received another or none", "", "invalid_api_key")
          .with("WWW-Authenticate", "Basic realm=\"dept\", charset=\"UTF-8\"");
    co_await read_body();
  } catch (const ApiError& error) {
    broken_ = true;  // its body is not read
    wrong = error;
  }
  try {
    if (wrong)
      co_await refuse(*wrong);
    else
      co_await answer();
  } catch (const Gone&) {
    host_.count(head_.request, left_status);
    throw;
  }
  host_.count(head_.request, status_);
  co_return keeps_alive();
}

Awaitable<> Connection::wait_for_request() {
  if (!buffer_.empty()) co_return;
  idle_ = true;
  host_.idle(shared_from_this());
  limit(host_.options().idle_timeout, Direction::reading);
  ErrorCode error;
  co_await socket_.async_wait(tcp::socket::wait_read, ending(error));
  const bool late = timed_out_;
  unlimit();
  idle_ = false;
  host_.busy(shared_from_this());
  if (error || late) throw End{};
}

Awaitable<> Connection::read_head_block() {
  limit(host_.options().header_timeout, Direction::reading);
  ErrorCode error;
  const size_t size =
      co_await net::async_read_until(socket_, net::dynamic_buffer(buffer_, header_limit), "\r\n\r\n", ending(error));
  const bool late = timed_out_;
  unlimit();
  if (late) throw ApiError(408, "[header] expected the whole header block in time, received a part");
  if (error == net::error::not_found)
    throw ApiError(431, str("[header] expected a header block of at most ", header_limit, " bytes, received a longer one"));
  if (error) throw End{};
  const std::string block = buffer_.substr(0, size);
  buffer_.erase(0, size);
  head_ = read_head(block);
}

Awaitable<> Connection::read_body() {
  const uint64_t length = body_length(head_, static_cast<uint64_t>(host_.options().max_body));
  if (length > 0 && head_.expects_continue && buffer_.empty()) {
    std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    co_await write(std::move(go_on));
  }
  limit(host_.options().body_timeout, Direction::reading);
  std::string& body = head_.request.body;
  body = buffer_.substr(0, length);
  buffer_.erase(0, length);
  ErrorCode error;
  if (body.size() < length)
    co_await net::async_read(socket_, net::dynamic_buffer(body, length), net::transfer_exactly(length - body.size()),
                             ending(error));
  const bool late = timed_out_;
  unlimit();
  if (late) throw ApiError(408, "[body] expected the whole body in time, received a part");
  if (error) throw End{};
}

Awaitable<> Connection::answer() {
  std::optional<ApiError> wrong;
  try {
    co_await host_.answer(*this);
  } catch (const ApiError& error) {
    wrong = error;
  }
  ++watches_;
  left_ = nullptr;
  ErrorCode ignored;
  socket_.cancel(ignored);  // the watch
  if (wrong) co_await refuse(*wrong);
}

Awaitable<> Connection::refuse(const ApiError& error) {
  const Response response = error.response();
  co_await respond(response);
}

bool Connection::keeps_alive() const {
  return head_.request.keep_alive && !broken_ && !host_.draining();
}

std::string Connection::head_of(const Response& response, std::optional<size_t> length) const {
  const auto reason = boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(response.status));
  std::string head = str("HTTP/1.1 ", response.status, " ", std::string_view(reason.data(), reason.size()),
                         "\r\nContent-Type: ", response.type, "\r\n");
  for (const auto& [name, value] : response.headers) head += str(name, ": ", value, "\r\n");
  if (length)
    head += str("Content-Length: ", *length, "\r\n");
  else if (head_.request.version >= 11)
    head += "Transfer-Encoding: chunked\r\n";
  return head + (keeps_alive() && (length || head_.request.version >= 11) ? "Connection: keep-alive\r\n\r\n"
                                                                          : "Connection: close\r\n\r\n");
}

Awaitable<> Connection::respond(const Response& response) {
  status_ = response.status;
  std::string bytes = head_of(response, response.body.size());
  if (head_.request.method != "HEAD") bytes += response.body;
  co_await write(std::move(bytes));
}

Awaitable<> Connection::begin_events() {
  const Response response{
      200, "", "text/event-stream; charset=utf-8", {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}};
  status_ = response.status;
  std::string head = head_of(response, std::nullopt);
  if (head_.request.version < 11) broken_ = true;  // the end of the connection is the end of the answer
  co_await write(std::move(head));
}

Awaitable<> Connection::events(std::string_view bytes) {
  if (bytes.empty()) co_return;
  std::ostringstream piece;
  const bool chunked = head_.request.version >= 11;
  if (chunked) piece << std::hex << bytes.size() << "\r\n";
  piece << bytes;
  if (chunked) piece << "\r\n";
  std::string written = piece.str();
  co_await write(std::move(written));
}

Awaitable<> Connection::end_events() {
  std::string last = head_.request.version >= 11 ? "0\r\n\r\n" : "";
  co_await write(std::move(last));
}

void Connection::watch(std::function<void()> left) {
  left_ = std::move(left);
  net::co_spawn(
      executor_, [self = shared_from_this(), turn = ++watches_] { return self->watch_socket(turn); }, net::detached);
}

// What a client sends beforehand is kept for the next request, as much as a header block may have.
Awaitable<> Connection::watch_socket(uint64_t turn) {
  while (buffer_.size() < header_limit) {
    ErrorCode error;
    co_await socket_.async_wait(tcp::socket::wait_read, ending(error));
    if (turn != watches_) co_return;
    char bytes[4096];
    const size_t room = std::min(sizeof bytes, header_limit - buffer_.size());
    const size_t count = error ? 0 : socket_.read_some(net::buffer(bytes, room), error);
    buffer_.append(bytes, count);
    if (!error || error == net::error::would_block) continue;
    if (const auto left = std::exchange(left_, nullptr)) left();
    co_return;
  }
}

Awaitable<> Connection::write(std::string bytes) {
  limit(host_.options().write_timeout, Direction::writing);
  ErrorCode error;
  co_await net::async_write(socket_, net::buffer(bytes), ending(error));
  const bool late = timed_out_;
  unlimit();
  if (error || late) throw Gone{};
}

Awaitable<> Connection::linger() {
  ErrorCode error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  limit(linger_seconds, Direction::writing);
  std::string bytes(4096, '\0');
  for (size_t count = 0; !error && count < linger_bytes;)
    count += co_await socket_.async_read_some(net::buffer(bytes), ending(error));
}

void Connection::limit(double seconds, Direction direction) {
  timed_out_ = false;
  timer_.expires_after(std::chrono::duration_cast<net::steady_timer::duration>(std::chrono::duration<double>(seconds)));
  timer_.async_wait([self = shared_from_this(), turn = ++limits_, direction](const ErrorCode& error) {
    if (error || turn != self->limits_) return;
    self->timed_out_ = true;
    ErrorCode ignored;
    // A limit on reading leaves the way open for an answer that says so.
    if (direction == Direction::writing)
      self->socket_.close(ignored);
    else
      self->socket_.shutdown(tcp::socket::shutdown_receive, ignored);
  });
}

void Connection::unlimit() {
  ++limits_;
  timer_.cancel();
  timed_out_ = false;
}

}  // namespace dept::http
