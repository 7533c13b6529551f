// The server of `dept serve`: OpenAI's routes, and a few more, over one engine.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dept/base/file.h"
#include "dept/serve/engine.h"

namespace dept::http {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int64_t port = 8000;
  std::string api_key;    ///< "": none is asked for
  bool insecure = false;  ///< others than this machine may ask without a key

  double header_timeout = 10;  ///< seconds from a request's first byte to the end of its header block
  double body_timeout = 30;
  double idle_timeout = 60;   ///< a connection on which no request begins
  double write_timeout = 30;  ///< a piece of an answer that the other side does not take
  double drain_seconds = 30;  ///< requests that are there when the server is to end have so long
  int64_t max_body = int64_t{2} << 20;
  int64_t max_connections = 16384;  ///< beyond them, or the process's open files, the one that is idle longest is closed

  std::optional<fs::path> adapters_dir;  ///< each whole folder in it is an adapter, for as long as it is there
  bool allow_adapter_updates = false;    ///< the routes that load and unload
};

class Server {
 public:
  /// Listens. Until `run` has an engine only /health and /ready are answered; other requests wait. Throws usage for an open host
  /// without a key, io for an address that cannot be had.
  explicit Server(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// For the engine that `run` will be given: what the metrics count.
  serve::EngineObserver observer();

  /// Loads the adapters of adapters_dir and answers requests until `ends` says so, which is asked a few times a second. Then no
  /// new one is taken, and those that are there have drain_seconds. The engine must outlive the call alone.
  void run(serve::Engine& engine, const std::function<bool()>& ends);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dept::http
