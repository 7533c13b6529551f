// dept bench serve: an open loop. Requests leave at the moments that were drawn for them, so that a server that falls behind
// shows it.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cmath>
#include <map>
#include <random>

#include "bench/workload.h"
#include "dept/base/error.h"
#include "dept/base/file.h"
#include "dept/base/text.h"
#include "dept/bench/bench.h"

namespace dept {
namespace {

namespace net = boost::asio;
namespace beast_http = boost::beast::http;
using tcp = net::ip::tcp;
using Clock = std::chrono::steady_clock;

struct Target {
  std::string host, port, authorization;
  std::vector<std::string> models, prompts;
  int64_t max_tokens = 0;
};

struct Sent {
  int status = 0;  // 0: no whole answer
  double first = 0, whole = 0;
  int64_t tokens = 0;
};

Target read_url(const std::string& url) {
  constexpr std::string_view scheme = "http://";
  std::string rest = url.substr(0, scheme.size()) == scheme ? url.substr(scheme.size()) : "";
  if (!rest.empty() && rest.back() == '/') rest.pop_back();
  const size_t colon = rest.rfind(':');
  if (colon == std::string::npos || colon == 0 || rest.find('/') != std::string::npos)
    fail(Code::usage, "--url", "http://HOST:PORT", quote(url));
  Target target;
  target.host = rest.substr(0, colon);
  target.port = rest.substr(colon + 1);
  return target;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);)
    if (!strip(line).empty()) lines.push_back(line);
  return lines;
}

std::string request_text(const Target& target, const std::string& method, const std::string& path, const std::string& body) {
  return str(method, " ", path, " HTTP/1.1\r\nHost: ", target.host, ":", target.port, "\r\n", target.authorization,
             "Content-Type: application/json\r\nConnection: close\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}

// Sends a request and reads its answer; `on_body` is called when there is more of it.
net::awaitable<beast_http::response<beast_http::string_body>> exchange(const Target& target, std::string request,
                                                                       std::function<void()> on_body) {
  const auto executor = co_await net::this_coro::executor;
  tcp::resolver resolver(executor);
  tcp::socket socket(executor);
  const auto found = co_await resolver.async_resolve(target.host, target.port, net::use_awaitable);
  co_await socket.async_connect(found.begin()->endpoint(), net::use_awaitable);
  socket.set_option(tcp::no_delay(true));
  co_await net::async_write(socket, net::buffer(request), net::use_awaitable);
  boost::beast::flat_buffer buffer;
  beast_http::response_parser<beast_http::string_body> parser;
  parser.body_limit(boost::none);
  while (!parser.is_done()) {
    co_await beast_http::async_read_some(socket, buffer, parser, net::use_awaitable);
    if (parser.is_header_done() && !parser.get().body().empty()) on_body();
  }
  co_return parser.release();
}

// The tokens that a stream's last chunk names; 0 for a stream that did not end well.
int64_t streamed_tokens(std::string_view body) {
  constexpr std::string_view end = "data: [DONE]\n\n", data = "data: ";
  if (body.size() < end.size() || body.substr(body.size() - end.size()) != end) return 0;
  body.remove_suffix(end.size() + 2);
  const size_t last = body.rfind("\n\n");
  const std::string_view chunk = body.substr(last == std::string_view::npos ? 0 : last + 2);
  const Json told = parse_json(chunk.substr(data.size()), "answer");
  return told.contains("usage") && told["usage"].is_object() ? told["usage"].value("completion_tokens", int64_t{0}) : 0;
}

net::awaitable<void> ask_once(const Target& target, size_t draw, Clock::time_point due, Sent& sent) {
  net::steady_timer timer(co_await net::this_coro::executor, due);
  co_await timer.async_wait(net::use_awaitable);
  const OrderedJson body = {{"model", target.models[draw % target.models.size()]},
                            {"prompt", target.prompts[draw / target.models.size() % target.prompts.size()]},
                            {"max_tokens", target.max_tokens},
                            {"temperature", 0},
                            {"stream", true},
                            {"stream_options", {{"include_usage", true}}}};
  const auto since = [&] { return std::chrono::duration<double>(Clock::now() - due).count(); };
  try {
    const std::string request = request_text(target, "POST", "/v1/completions", body.dump());
    const std::function<void()> on_body = [&] {
      if (sent.first == 0) sent.first = since();
    };
    const auto answer = co_await exchange(target, request, on_body);
    sent.whole = since();
    sent.status = static_cast<int>(answer.result_int());
    if (sent.status == 200 && (sent.tokens = streamed_tokens(answer.body())) == 0) sent.status = 0;
  } catch (const std::exception&) {  // counted as failed
    sent.status = 0;
  }
}

std::string base_of(net::io_context& io, const Target& target) {
  std::string base;
  std::exception_ptr thrown;
  net::co_spawn(
      io,
      [&]() -> net::awaitable<void> {
        const std::string request = request_text(target, "GET", "/v1/models", "");
        const std::function<void()> on_body = [] {};
        const auto answer = co_await exchange(target, request, on_body);
        base = require<std::string>(parse_json(answer.body(), "/v1/models").at("data").at(0), "id", "/v1/models");
      },
      [&](std::exception_ptr error) { thrown = error; });
  io.run();
  io.restart();
  const std::string where = str("http://", target.host, ":", target.port, "/v1/models");
  try {
    if (thrown) std::rethrow_exception(thrown);
  } catch (const boost::system::system_error& error) {
    fail(Code::io, where, "a server's models", error.code().message());
  } catch (const std::exception& error) {
    fail(Code::io, where, "a server's models", error.what());
  }
  return base;
}

void add_quantiles(OrderedJson& figures, const char* name, std::vector<double> seconds) {
  if (seconds.empty()) return;
  std::sort(seconds.begin(), seconds.end());
  for (const int percent : {50, 95, 99}) {
    const auto rank = static_cast<size_t>(std::ceil(percent / 100.0 * static_cast<double>(seconds.size())));
    figures[str(name, "_p", percent, "_s")] = seconds[std::max<size_t>(rank, 1) - 1];
  }
}

OrderedJson figures_of(const ServeBenchOptions& o, const std::vector<Sent>& all, double elapsed) {
  std::map<std::string, int64_t> failed;
  std::vector<double> first, whole;
  int64_t tokens = 0, good = 0;
  for (const Sent& each : all) {
    if (each.status != 200) {
      ++failed[each.status == 0 ? "no answer" : str(each.status)];
      continue;
    }
    first.push_back(each.first);
    whole.push_back(each.whole);
    tokens += each.tokens;
    good += each.first <= o.first_token_within && each.whole <= o.whole_within;
  }
  OrderedJson figures = {
      {"mode", "serve"}, {"rate", o.rate}, {"requests", all.size()}, {"completed", whole.size()}, {"failed", failed}};
  figures["seconds"] = elapsed;
  figures["requests_per_s"] = static_cast<double>(whole.size()) / elapsed;
  figures["tokens_per_s"] = static_cast<double>(tokens) / elapsed;
  figures["goodput_per_s"] = static_cast<double>(good) / elapsed;
  add_quantiles(figures, "first_token", std::move(first));
  add_quantiles(figures, "whole", std::move(whole));
  return figures;
}

}  // namespace

OrderedJson bench_serve(const BenchOptions& options) {
  const ServeBenchOptions& o = options.serve;
  Target target = read_url(o.url);
  target.max_tokens = o.max_tokens;
  target.prompts = options.text.empty() ? std::vector<std::string>{"A quiet, generous film"} : lines_of(read_file(options.text));
  if (target.prompts.empty()) fail(Code::bad_input, options.text, "a text a line", "none");
  if (!o.api_key_file.empty()) {
    const std::vector<std::string> key = lines_of(read_file(o.api_key_file));
    if (key.empty()) fail(Code::bad_input, o.api_key_file, "a key in the first line", "none");
    target.authorization = str("Authorization: Bearer ", strip(key[0]), "\r\n");
  }
  net::io_context io;
  target.models = o.adapters.empty() ? std::vector<std::string>{base_of(io, target)} : o.adapters;

  std::mt19937_64 draw(static_cast<uint64_t>(o.seed));
  std::exponential_distribution<double> pause(o.rate);
  std::vector<double> moments;
  for (double at = pause(draw); at < o.seconds; at += pause(draw)) moments.push_back(at);
  std::vector<Sent> sent(moments.size());
  const auto begin = Clock::now();
  for (size_t i = 0; i < moments.size(); ++i) {
    const auto due = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(moments[i]));
    net::co_spawn(io, ask_once(target, draw() >> 1, due, sent[i]), net::detached);
  }
  io.run();
  return figures_of(o, sent, std::max(o.seconds, std::chrono::duration<double>(Clock::now() - begin).count()));
}

}  // namespace dept
