// One connection: requests one after another, each with its time limits.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "dept/http/server.h"
#include "http/exchange.h"
#include "http/head.h"
#include "http/key.h"

namespace dept::http {

class Connection;

/// What connections have in common, and whom they tell. Its functions are called on many strands.
class Host {
 public:
  virtual ~Host() = default;
  virtual const ServerOptions& options() const = 0;
  virtual const Key& key() const = 0;
  /// Answers a request.
  virtual Awaitable<> answer(Exchange& exchange) = 0;
  /// A request's answer is out; 499: the client left before.
  virtual void count(const Request& request, int status) = 0;
  /// Whether the connection is to close behind its answer.
  virtual bool draining() const = 0;

  virtual void idle(const std::shared_ptr<Connection>& connection) = 0;
  virtual void busy(const std::shared_ptr<Connection>& connection) = 0;
  virtual void ended(const std::shared_ptr<Connection>& connection) = 0;
};

class Connection final : public Exchange, public std::enable_shared_from_this<Connection> {
 public:
  /// The socket's executor is the connection's strand.
  Connection(net::ip::tcp::socket socket, Host& host);

  /// Serves until either side ends it.
  Awaitable<> run();
  /// Closes it unless a request is under way. From any thread.
  void close_idle();

  const Request& request() const override { return head_.request; }
  net::any_io_executor executor() const override { return executor_; }
  Awaitable<> respond(const Response& response) override;
  Awaitable<> begin_events() override;
  Awaitable<> events(std::string_view bytes) override;
  Awaitable<> end_events() override;
  bool answered() const override { return status_ != 0; }
  void watch(std::function<void()> left) override;

 private:
  /// Ends the run without a word.
  struct End {};
  enum class Direction { reading, writing };

  Awaitable<bool> serve_one();
  Awaitable<> wait_for_request();
  Awaitable<> read_head_block();
  Awaitable<> read_body();
  Awaitable<> answer();
  Awaitable<> refuse(const ApiError& error);
  Awaitable<> watch_socket(uint64_t turn);
  Awaitable<> write(std::string bytes);
  Awaitable<> linger();
  std::string head_of(const Response& response, std::optional<size_t> length) const;
  bool keeps_alive() const;

  void limit(double seconds, Direction direction);
  void unlimit();

  net::ip::tcp::socket socket_;
  net::any_io_executor executor_;
  net::steady_timer timer_;
  Host& host_;
  Head head_;
  std::string buffer_;  // read and not used yet
  int status_ = 0;      // of the answer that is under way
  bool idle_ = false;
  bool broken_ = false;  // what comes next on the connection cannot be told
  bool timed_out_ = false;
  uint64_t limits_ = 0;   // how often a limit began or ended
  uint64_t watches_ = 0;  // likewise
  std::function<void()> left_;
};

}  // namespace dept::http
