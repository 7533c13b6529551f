// The routes: what each of them does with a request.
#pragma once

#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "dept/base/json.h"
#include "dept/http/server.h"
#include "dept/serve/engine.h"
#include "http/adapters.h"
#include "http/exchange.h"
#include "http/metrics.h"

namespace dept::http {

struct CompletionForm;
class AnswerWriter;

class Service {
 public:
  explicit Service(const ServerOptions& options);

  /// From here requests are answered by this engine; before they wait.
  void open(serve::Engine& engine, Adapters& adapters);
  /// No new request is taken.
  void drain() { draining_ = true; }
  bool draining() const { return draining_; }
  /// The engine is not used any more.
  void close();
  /// Ends all requests.
  void cancel_all();
  /// The jobs that still run are waited for.
  void join() { jobs_.join(); }

  /// Throws ApiError.
  Awaitable<> answer(Exchange& exchange);
  void count(const Request& request, int status);
  Metrics& metrics() { return metrics_; }

 private:
  struct Route;
  class Ticket;
  using Action = Awaitable<> (Service::*)(Exchange&);

  static std::span<const Route> routes();
  static const Route* find_route(std::string_view path);

  void require_updates() const;
  Awaitable<> opened(Exchange& exchange);
  Awaitable<> health(Exchange& exchange);
  Awaitable<> ready(Exchange& exchange);
  Awaitable<> show_metrics(Exchange& exchange);
  Awaitable<> openapi(Exchange& exchange);
  Awaitable<> page(Exchange& exchange);
  Awaitable<> list_models(Exchange& exchange);
  Awaitable<> show_model(Exchange& exchange);
  Awaitable<> load_adapter(Exchange& exchange);
  Awaitable<> unload_adapter(Exchange& exchange);
  Awaitable<> complete(Exchange& exchange);
  Awaitable<> chat(Exchange& exchange);
  Awaitable<> write(Exchange& exchange, CompletionForm& form, const AnswerWriter& writer);
  Awaitable<> classify(Exchange& exchange);
  Awaitable<> in_job(Exchange& exchange, std::function<void()> job);
  static Awaitable<> respond_json(Exchange& exchange, const OrderedJson& body);

  const ServerOptions& options_;
  Metrics metrics_;
  std::atomic<serve::Engine*> engine_{nullptr};
  std::atomic<Adapters*> adapters_{nullptr};
  std::atomic<bool> draining_{false};
  net::thread_pool jobs_{4};  // what waits for files and for requests to end
  std::mutex requests_mutex_;
  std::set<serve::RequestId> requests_;  // those that the engine has
};

}  // namespace dept::http
