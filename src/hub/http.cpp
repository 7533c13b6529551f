#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "hub/names.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int most_redirects = 8;
constexpr size_t most_header_bytes = size_t{1} << 18, most_body_bytes = size_t{16} << 20;
constexpr long slowest_bytes_per_second = 1024;
constexpr double forgiven = 10;         ///< seconds
constexpr double second_contact = 0.2;  ///< seconds after a first one that was refused or dropped
constexpr int look_up_ms = 50;
const std::string nothing;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

long milliseconds(double seconds) {
  return static_cast<long>(seconds * 1000);
}

// Checks ask one endpoint for several things: that it is not there is found once, and told in the same words.
class Silence {
 public:
  /// Why there was no connection a moment ago; "" none was missed.
  std::string reason(const std::string& origin) {
    const std::lock_guard guard(mutex_);
    return origin == origin_ && seconds_since(since_) < forgiven ? reason_ : "";
  }
  void note(const std::string& origin, const std::string& reason) {
    const std::lock_guard guard(mutex_);
    origin_ = origin;
    reason_ = reason;
    since_ = Clock::now();
  }

 private:
  std::mutex mutex_;
  std::string origin_, reason_;
  Clock::time_point since_;
};

Silence& silence() {
  static Silence instance;
  return instance;
}

// The seconds of a Retry-After, which is a number or a date; negative when there is none.
double retry_after(const HttpResponse& response) {
  const std::string& text = response.header("retry-after");
  if (text.empty()) return -1;
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end != text.c_str() && *end == '\0' && number >= 0) return number;
  const time_t date = curl_getdate(text.c_str(), nullptr);
  return date < 0 ? -1 : std::max(0.0, std::difftime(date, std::time(nullptr)));
}

}  // namespace

Unreachable::Unreachable(std::string_view where, std::string_view expected, std::string_view received)
    : Error(Code::io, str("[", where, "] expected ", expected, ", received ", received)), received_(received) {}

NoAnswer::NoAnswer(std::string_view where, const std::string& reason, Kind kind, bool connected)
    : Unreachable(where, "an answer", str("no answer (", reason, ")")), reason_(reason), kind_(kind), connected_(connected) {}

const std::string& HttpResponse::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? nothing : found->second;
}

bool HttpResponse::passing() const {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

bool Backoff::wait(const HttpResponse* response, std::string_view reason) {
  if (attempt_ >= options_.attempts || in_all_ >= options_.attempts_in_all) return false;
  const double asked = response == nullptr ? -1 : retry_after(*response);
  if (asked > options_.patience) return false;
  const double pause = asked >= 0 ? asked : pause_;
  ++attempt_;
  ++in_all_;
  pause_ *= 2;
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", pause);
  log::warn(str("hub: ", reason, "; attempt ", attempt_, " of ", options_.attempts, " in ", text, " s"));
  std::this_thread::sleep_for(std::chrono::duration<double>(pause));
  return true;
}

void Backoff::reset() {
  attempt_ = 1;
  pause_ = options_.pause;
}

// What one chain of redirects is about, and what came back of its present hop.
struct HttpClient::Request {
  std::string url;
  bool head = false, quick = false;
  uint64_t from = 0;
  const Begin* begin = nullptr;
  const Receive* receive = nullptr;

  CURL* handle = nullptr;
  HttpResponse response;
  size_t header_bytes = 0;
  bool begun = false;
  std::exception_ptr thrown;

  bool file_body() const { return receive != nullptr && response.ok(); }
  size_t take_header(std::string_view line);
  size_t take_body(std::string_view bytes);
};

size_t HttpClient::Request::take_header(std::string_view line) {
  header_bytes += line.size();
  if (header_bytes > most_header_bytes) return 0;
  if (line.rfind("HTTP/", 0) == 0) response.headers.clear();  // of a 100 Continue, or of a proxy
  const size_t colon = line.find(':');
  if (colon == line.npos) return line.size();
  std::string name(strip(line.substr(0, colon)));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  response.headers[name] = strip(line.substr(colon + 1));
  return line.size();
}

// Exceptions may not pass through libcurl: they wait in `thrown`.
size_t HttpClient::Request::take_body(std::string_view bytes) {
  try {
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &response.status);
    if (file_body()) {
      if (!begun) (*begin)(response);
      begun = true;
      (*receive)(bytes);
    } else if (response.body.size() + bytes.size() <= most_body_bytes) {
      response.body.append(bytes);
    } else {
      throw Unreachable(url, str("at most ", most_body_bytes, " bytes"), "more");
    }
    return bytes.size();
  } catch (...) {
    thrown = std::current_exception();
    return bytes.empty() ? 1 : 0;
  }
}

HttpClient::HttpClient(const HubOptions& options) : options_(options), origin_(origin_of(options.endpoint)) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  multi_ = curl_multi_init();
  if (started != CURLE_OK || multi_ == nullptr) fail(Code::bug, "libcurl", "to start", "an error");
}

HttpClient::~HttpClient() {
  curl_multi_cleanup(multi_);
}

HttpResponse HttpClient::head(const std::string& url, bool quick) {
  Request request;
  request.url = url;
  request.head = true;
  request.quick = quick;
  return follow_again(request);
}

HttpResponse HttpClient::get(const std::string& url, bool quick) {
  Request request;
  request.url = url;
  request.quick = quick;
  return follow_again(request);
}

HttpResponse HttpClient::download(const std::string& url, uint64_t from, const Begin& begin, const Receive& receive) {
  Request request;
  request.url = url;
  request.from = from;
  request.begin = &begin;
  request.receive = &receive;
  return follow(request);
}

HttpResponse HttpClient::follow_again(Request& request) {
  const std::string url = request.url;
  for (Backoff backoff(options_);;) {
    request.url = url;
    try {
      HttpResponse response = request.quick ? contact(request) : follow(request);
      const bool waits = request.quick ? response.status == 429 : response.passing();
      if (!waits || !backoff.wait(&response, str(url, " answers ", response.status))) return response;
    } catch (const Unreachable& error) {
      if (request.quick || !backoff.wait(nullptr, error.what())) throw;
    }
  }
}

// Once more where the first attempt was refused or dropped; that a host stays silent is kept in mind.
HttpResponse HttpClient::contact(Request& request) {
  const std::string url = request.url;
  for (bool again = false;; again = true) {
    request.url = url;
    try {
      return follow(request);
    } catch (const NoAnswer& error) {
      if (error.kind() != NoAnswer::Kind::broken || again) {
        if (!error.connected()) silence().note(origin_of(request.url), error.reason());
        throw;
      }
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(second_contact));
  }
}

HttpResponse HttpClient::follow(Request& request) {
  std::map<std::string, std::string> first;  // of the file itself, wherever its bytes are
  for (int hop = 0; hop <= most_redirects; ++hop) {
    HttpResponse response = send(request);
    for (const char* name : {"x-repo-commit", "x-linked-etag", "x-linked-size"}) {
      if (const auto earlier = first.find(name); earlier != first.end()) {
        response.headers[name] = earlier->second;
      } else if (!response.header(name).empty()) {
        first[name] = response.header(name);
      }
    }
    const std::string to = response.header("location");
    if (response.status < 300 || response.status >= 400 || to.empty()) return response;
    const bool known = first.count("x-repo-commit") != 0 && first.count("x-linked-etag") != 0;
    if (request.head && known && origin_of(to) != origin_of(request.url)) return response;
    if (origin_of(to).empty() || (request.url.rfind("https:", 0) == 0 && to.rfind("https:", 0) != 0))
      throw Unreachable(request.url, "a redirect to an http address, or from https to https", quote(to));
    request.url = to;
  }
  throw Unreachable(request.url, str("at most ", most_redirects, " redirects"), "more");
}

// Everything of a request but its header lines.
void HttpClient::set_up(Request& request) {
  CURL* handle = request.handle;
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_USERAGENT, "dept");
#if LIBCURL_VERSION_NUM >= 0x075500
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options_.answer));
#if LIBCURL_VERSION_NUM >= 0x075700
  curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);  // no waiting for a name server that does not answer
#endif
  if (!options_.ca_bundle.empty()) curl_easy_setopt(handle, CURLOPT_CAINFO, options_.ca_bundle.c_str());
  if (request.head) curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
  if (request.receive == nullptr) {
    curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, milliseconds(options_.answer));
  } else {
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, slowest_bytes_per_second);
    curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, std::max(1L, std::lround(options_.stall)));
  }
  using Callback = size_t (*)(char*, size_t, size_t, void*);
  const Callback header = [](char* data, size_t size, size_t count, void* user) {
    return static_cast<Request*>(user)->take_header({data, size * count});
  };
  const Callback body = [](char* data, size_t size, size_t count, void* user) {
    return static_cast<Request*>(user)->take_body({data, size * count});
  };
  curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, header);
  curl_easy_setopt(handle, CURLOPT_HEADERDATA, &request);
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, body);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &request);
}

// Addresses of content may carry signatures behind a '?', which no message is to show.
void HttpClient::fail_unanswered(const Request& request, const std::string& reason, NoAnswer::Kind kind) {
  curl_off_t connected = 0;
  curl_easy_getinfo(request.handle, CURLINFO_CONNECT_TIME_T, &connected);
  throw NoAnswer(request.url.substr(0, request.url.find('?')), reason, kind, connected != 0);
}

// One request, without following. Its Location comes back as a whole address.
HttpResponse HttpClient::send(Request& request) {
  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) fail(Code::resource, "libcurl", "a handle", "none");
  request.handle = handle.get();
  request.response = {};
  request.response.url = request.url;
  request.header_bytes = 0;
  request.begun = false;
  const std::string silent = request.quick ? silence().reason(origin_of(request.url)) : "";
  if (!silent.empty()) fail_unanswered(request, silent, NoAnswer::Kind::unasked);
  set_up(request);
  curl_slist* lines = curl_slist_append(nullptr, "Accept-Encoding: identity");
  if (!options_.token.empty() && origin_of(request.url) == origin_)
    lines = curl_slist_append(lines, str("Authorization: Bearer ", options_.token).c_str());
  if (request.from > 0) lines = curl_slist_append(lines, str("Range: bytes=", request.from, "-").c_str());
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> owner(lines, curl_slist_free_all);
  curl_easy_setopt(request.handle, CURLOPT_HTTPHEADER, lines);

  char reason[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(request.handle, CURLOPT_ERRORBUFFER, reason);
  const int result = drive(request, reason);
  curl_easy_getinfo(request.handle, CURLINFO_RESPONSE_CODE, &request.response.status);
  if (request.thrown) std::rethrow_exception(std::exchange(request.thrown, nullptr));
  if (result != CURLE_OK)
    fail_unanswered(request, *reason != '\0' ? reason : curl_easy_strerror(static_cast<CURLcode>(result)),
                    result == CURLE_OPERATION_TIMEDOUT ? NoAnswer::Kind::silent : NoAnswer::Kind::broken);
  if (request.file_body() && !request.begun) (*request.begin)(request.response);  // an empty body
  char* location = nullptr;
  if (curl_easy_getinfo(request.handle, CURLINFO_REDIRECT_URL, &location) == CURLE_OK && location != nullptr)
    request.response.headers["location"] = location;
  return std::move(request.response);
}

// Through the multi interface, which keeps connections open and looks up between the sockets' events. Returns a CURLcode.
int HttpClient::drive(const Request& request, char* reason) {
  const auto multi = static_cast<CURLM*>(multi_);
  curl_multi_add_handle(multi, request.handle);
  double waited = 0;  // on a machine that is too busy to let us run, a wait is no sign of the network
  CURLcode result = CURLE_OK;
  for (int running = 1; running != 0;) {
    const Clock::time_point began = Clock::now();
    curl_multi_perform(multi, &running);
    if (running == 0) break;
    curl_off_t connected = 0;
    curl_easy_getinfo(request.handle, CURLINFO_CONNECT_TIME_T, &connected);
    if (request.quick && connected == 0 && waited > options_.contact) {
      result = CURLE_OPERATION_TIMEDOUT;
      std::snprintf(reason, CURL_ERROR_SIZE, "no connection within %.3g s", options_.contact);
      break;
    }
    curl_multi_poll(multi, nullptr, 0, look_up_ms, nullptr);
    waited += std::min(seconds_since(began), 2e-3 * look_up_ms);
  }
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi, &left))
    if (message->msg == CURLMSG_DONE) result = message->data.result;
  curl_multi_remove_handle(multi, request.handle);
  return result;
}

}  // namespace dept
