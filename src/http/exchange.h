// One request and the way back to whoever asked. All of it happens on the connection's strand.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <string_view>

#include "http/message.h"

namespace dept::http {

namespace net = boost::asio;
template <class T = void>
using Awaitable = net::awaitable<T>;

/// Thrown where the other side is gone or takes nothing any more: there is nobody to tell.
struct Gone {};

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const Request& request() const = 0;
  virtual net::any_io_executor executor() const = 0;

  /// The whole answer, once. Throws Gone.
  virtual Awaitable<> respond(const Response& response) = 0;
  /// Or an answer as server-sent events: the head, any number of pieces, and the end. Throws Gone.
  virtual Awaitable<> begin_events() = 0;
  virtual Awaitable<> events(std::string_view bytes) = 0;
  virtual Awaitable<> end_events() = 0;
  virtual bool answered() const = 0;

  /// From here until the answer ends `left` is called, once, when the other side closes the connection.
  virtual void watch(std::function<void()> left) = 0;
};

/// What another thread has for a coroutine of an exchange.
template <class T>
class Inbox : public std::enable_shared_from_this<Inbox<T>> {
 public:
  explicit Inbox(const net::any_io_executor& strand) : timer_(strand, net::steady_timer::time_point::max()) {}

  /// From any thread.
  void put(T item) {
    net::post(timer_.get_executor(), [self = this->shared_from_this(), item = std::move(item)]() mutable {
      self->items_.push_back(std::move(item));
      self->timer_.cancel();
    });
  }
  /// On the strand: from here next() throws Gone.
  void close() {
    closed_ = true;
    timer_.cancel();
  }
  bool empty() const { return items_.empty(); }

  Awaitable<T> next() {
    while (items_.empty() && !closed_) {
      boost::system::error_code woken;
      co_await timer_.async_wait(net::redirect_error(net::use_awaitable, woken));
    }
    if (closed_) throw Gone{};
    T item = std::move(items_.front());
    items_.pop_front();
    co_return item;
  }

 private:
  net::steady_timer timer_;  // never runs out: to wake next()
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace dept::http
