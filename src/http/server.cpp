#include "dept/http/server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/strand.hpp>
#include <list>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "http/connection.h"
#include "http/service.h"

namespace dept::http {
namespace {

using tcp = net::ip::tcp;
using ErrorCode = boost::system::error_code;
constexpr int io_threads = 2;
constexpr auto end_interval = std::chrono::milliseconds(50);
constexpr int64_t spare_files = 64;  // models, adapters, logs

// As many connections as wanted, where the process may have so many files open.
int64_t connections_allowed(int64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const auto needed = static_cast<rlim_t>(wanted + spare_files);
  if (limit.rlim_cur < needed) {
    limit.rlim_cur = std::min(needed, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return std::clamp<int64_t>(static_cast<int64_t>(std::min(limit.rlim_cur, needed)) - spare_files, 1, wanted);
}

std::vector<tcp::endpoint> addresses_of(net::io_context& io, const ServerOptions& options) {
  ErrorCode error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(options.host, str(options.port), error);
  std::vector<tcp::endpoint> addresses;
  for (const auto& each : found) addresses.push_back(each.endpoint());
  if (error || addresses.empty()) fail(Code::usage, "--host", "an address of this machine", quote(options.host));
  return addresses;
}

tcp::acceptor listening(net::io_context& io, const ServerOptions& options) {
  const tcp::endpoint address = addresses_of(io, options).front();
  if (!address.address().is_loopback() && options.api_key.empty() && !options.insecure)
    fail(Code::usage, "--host", "a loopback address, --api_key_file or --insecure", quote(options.host));
  try {
    tcp::acceptor acceptor(io);
    acceptor.open(address.protocol());
    acceptor.set_option(net::socket_base::reuse_address(true));
    acceptor.bind(address);
    acceptor.listen(net::socket_base::max_listen_connections);
    return acceptor;
  } catch (const boost::system::system_error& error) {
    fail(Code::io, str("--host ", options.host, " --port ", options.port), "an address that is free", error.code().message());
  }
}

}  // namespace

class Server::Impl final : public Host {
 public:
  explicit Impl(ServerOptions options)
      : options_(std::move(options)), key_(options_.api_key), service_(options_), acceptor_(listening(io_, options_)) {
    most_connections_ = static_cast<size_t>(connections_allowed(options_.max_connections));
    net::co_spawn(io_, accept(), net::detached);
    for (int i = 0; i < io_threads; ++i) threads_.emplace_back([this] { io_.run(); });
  }
  ~Impl() override { stop(); }

  Service& service() { return service_; }
  void run(serve::Engine& engine, const std::function<bool()>& ends);

  const ServerOptions& options() const override { return options_; }
  const Key& key() const override { return key_; }
  Awaitable<> answer(Exchange& exchange) override { return service_.answer(exchange); }
  void count(const Request& request, int status) override { service_.count(request, status); }
  bool draining() const override { return service_.draining(); }

  void idle(const std::shared_ptr<Connection>& connection) override;
  void busy(const std::shared_ptr<Connection>& connection) override;
  void ended(const std::shared_ptr<Connection>& connection) override;

 private:
  using Idle = std::list<std::weak_ptr<Connection>>;

  Awaitable<> accept();
  void make_room();
  void leave_idle(const std::shared_ptr<Connection>& connection);
  bool drained();
  void stop();

  const ServerOptions options_;
  const Key key_;
  Service service_;
  net::io_context io_;
  tcp::acceptor acceptor_;
  std::vector<std::thread> threads_;

  std::mutex mutex_;  // of the connections
  size_t connections_ = 0, most_connections_ = 1;
  Idle idle_;  // the longest idle first
  std::unordered_map<const Connection*, Idle::iterator> idle_places_;
};

Awaitable<> Server::Impl::accept() {
  net::steady_timer pause(io_);
  while (true) {
    ErrorCode error;
    const net::any_io_executor strand = net::make_strand(io_);
    tcp::socket socket(strand);
    co_await acceptor_.async_accept(socket, net::redirect_error(net::use_awaitable, error));
    if (error) {  // no more files, or a client that left before
      make_room();
      pause.expires_after(end_interval);
      co_await pause.async_wait(net::use_awaitable);
      continue;
    }
    bool full;
    {
      const std::lock_guard lock(mutex_);
      full = ++connections_ > most_connections_;
    }
    if (full) make_room();
    const auto connection = std::make_shared<Connection>(std::move(socket), *this);
    net::co_spawn(
        strand, [connection] { return connection->run(); }, net::detached);
  }
}

// Closes the connection that has been idle longest.
void Server::Impl::make_room() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return;
  if (const auto connection = idle_.front().lock()) {
    idle_places_.erase(connection.get());
    connection->close_idle();
  }
  idle_.pop_front();
}

void Server::Impl::idle(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  idle_places_[connection.get()] = idle_.insert(idle_.end(), connection);
  if (draining()) connection->close_idle();
}

void Server::Impl::busy(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  leave_idle(connection);
}

void Server::Impl::ended(const std::shared_ptr<Connection>& connection) {
  const std::lock_guard lock(mutex_);
  leave_idle(connection);
  --connections_;
}

void Server::Impl::leave_idle(const std::shared_ptr<Connection>& connection) {
  const auto place = idle_places_.find(connection.get());
  if (place == idle_places_.end()) return;
  idle_.erase(place->second);
  idle_places_.erase(place);
}

// Closes what is idle; whether nothing else is left.
bool Server::Impl::drained() {
  const std::lock_guard lock(mutex_);
  for (const auto& each : idle_)
    if (const auto connection = each.lock()) connection->close_idle();
  return connections_ == 0;
}

void Server::Impl::run(serve::Engine& engine, const std::function<bool()>& ends) {
  Adapters adapters(engine, options_.adapters_dir);
  adapters.start();
  service_.open(engine, adapters);
  log::info(str("[serve] ", quote(engine.base()), " on http://", str(acceptor_.local_endpoint()),
                ", models: ", engine.models().size()));
  while (!ends()) std::this_thread::sleep_for(end_interval);
  log::info("[serve] ends: no new requests");
  service_.drain();
  adapters.stop();
  using Clock = std::chrono::steady_clock;
  const auto last =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.drain_seconds));
  while (!drained() && Clock::now() < last) std::this_thread::sleep_for(end_interval);
  service_.cancel_all();
  service_.join();
  stop();
  service_.close();
}

void Server::Impl::stop() {
  io_.stop();
  for (std::thread& thread : threads_)
    if (thread.joinable()) thread.join();
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Server::~Server() = default;

serve::EngineObserver Server::observer() {
  return {[this](const serve::RequestFigures& figures) { impl_->service().metrics().count_request(figures); }};
}

void Server::run(serve::Engine& engine, const std::function<bool()>& ends) {
  impl_->run(engine, ends);
}

}  // namespace dept::http
