// Requests to a hub over libcurl: redirects, the token, time-outs and second attempts are settled here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "dept/base/error.h"
#include "dept/hub/hub.h"

namespace dept {

/// The endpoint, or a host it sends us to, gave no whole answer.
class Unreachable : public Error {
 public:
  Unreachable(std::string_view where, std::string_view expected, std::string_view received);
  const std::string& received() const { return received_; }

 private:
  std::string received_;
};

/// There was no answer at all.
class NoAnswer : public Unreachable {
 public:
  enum class Kind {
    broken,   ///< refused or dropped, though the next attempt may do better
    silent,   ///< nothing within the time allowed
    unasked,  ///< the host was silent a moment ago
  };
  NoAnswer(std::string_view where, const std::string& reason, Kind kind, bool connected);

  const std::string& reason() const { return reason_; }
  Kind kind() const { return kind_; }
  bool connected() const { return connected_; }  ///< there was a connection, without an answer

 private:
  std::string reason_;
  Kind kind_;
  bool connected_;
};

struct HttpResponse {
  long status = 0;
  std::string url;                             ///< the last one asked
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< "" where a receiver took it

  const std::string& header(const std::string& name) const;  ///< "" absent
  bool ok() const { return status >= 200 && status < 300; }
  /// Whether the same request may succeed later: 408, 429, 500, 502, 503, 504.
  bool passing() const;
};

/// Counts the attempts of one request, or at one file, and waits between them.
class Backoff {
 public:
  explicit Backoff(const HubOptions& options) : options_(options), pause_(options.pause) {}
  /// Waits as the server's Retry-After or the rule says, then true; false when there is no attempt left or the wait is too long.
  bool wait(const HttpResponse* response, std::string_view reason);
  /// The attempt brought the request further: options.attempts begin anew. Those in all (options.attempts_in_all) do not.
  void reset();

 private:
  const HubOptions& options_;
  int attempt_ = 1, in_all_ = 1;
  double pause_;
};

class HttpClient {
 public:
  explicit HttpClient(const HubOptions& options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// HEAD without compression. Of a chain of redirects X-Repo-Commit, X-Linked-Etag and X-Linked-Size are the first answer's that
  /// has them; a redirect to another host is not followed once the file's commit and tag are known (its status is then 3xx).
  /// `quick`: the endpoint has to be found in options.contact seconds. One attempt, another where the first was refused or
  /// dropped, and more where a 429 asks to wait. Throws Unreachable.
  HttpResponse head(const std::string& url, bool quick);

  /// A small body (16 MiB). Throws Unreachable.
  HttpResponse get(const std::string& url, bool quick);

  /// One attempt at a file from byte `from` on. `receive` gets the body of a 200 or 206, after `begin` has seen the answer's
  /// headers; either may throw. Throws Unreachable for a body that ends early.
  using Begin = std::function<void(const HttpResponse&)>;
  using Receive = std::function<void(std::string_view)>;
  HttpResponse download(const std::string& url, uint64_t from, const Begin& begin, const Receive& receive);

 private:
  struct Request;
  HttpResponse follow(Request& request);
  HttpResponse follow_again(Request& request);
  HttpResponse contact(Request& request);
  HttpResponse send(Request& request);
  void set_up(Request& request);
  int drive(const Request& request, char* reason);
  [[noreturn]] static void fail_unanswered(const Request& request, const std::string& reason, NoAnswer::Kind kind);

  const HubOptions& options_;
  std::string origin_;
  void* multi_ = nullptr;
};

}  // namespace dept
