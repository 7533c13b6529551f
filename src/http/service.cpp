#include "http/service.h"

#include <algorithm>
#include <array>
#include <optional>
#include <variant>

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "http/completion_form.h"
#include "http/fields.h"
#include "http/served_files.h"

namespace dept::http {
namespace {

constexpr auto opening_interval = std::chrono::milliseconds(10);
constexpr std::string_view unknown_route = "unknown";
constexpr std::string_view model_prefix = "/v1/models/";
constexpr size_t most_texts = 4096;

ApiError unknown_model(const std::string& name, std::string param) {
  return ApiError(404, str("[model] expected the base or a loaded adapter, received ", quote(name, 200)), std::move(param),
                  "model_not_found");
}

ApiError api_error(const serve::RequestError& error) {
  switch (error.refusal()) {
    case serve::Refusal::unknown_model:
      return ApiError(404, error.what(), error.param(), "model_not_found");
    case serve::Refusal::context_length:
      return ApiError(400, error.what(), error.param(), "context_length_exceeded");
    case serve::Refusal::queue_full:
      return ApiError(429, error.what(), "", "queue_full").with("Retry-After", "1");
    case serve::Refusal::draining:
      return ApiError(503, error.what()).with("Retry-After", "1");
    case serve::Refusal::invalid:
      break;
  }
  return ApiError(400, error.what(), error.param());
}

// What the library throws: the request's fault, or the server's.
ApiError api_error(const Error& error) {
  if (error.code() == Code::bad_input || error.code() == Code::usage) return ApiError(400, error.what());
  log::warn(str("[request] ", error.what()));
  return ApiError(500, error.what());
}

template <class Ask>
serve::RequestId ask(const Ask& request) {
  try {
    return request();
  } catch (const serve::RequestError& error) {
    throw api_error(error);
  } catch (const Error& error) {
    throw api_error(error);
  }
}

OrderedJson model_json(const serve::ModelEntry& entry) {
  return {{"id", entry.id},
          {"object", "model"},
          {"created", entry.created},
          {"owned_by", "dept"},
          {"root", entry.root},
          {"parent", entry.parent.empty() ? OrderedJson() : OrderedJson(entry.parent)},
          {"completes", entry.completes},
          {"labels", entry.labels}};
}

OrderedJson classification_json(const serve::Classification& result, const std::string& model) {
  OrderedJson data = OrderedJson::array();
  for (const Prediction& prediction : result.predictions) {
    OrderedJson scores = OrderedJson::object();
    for (size_t label = 0; label < result.labels.size(); ++label) scores[result.labels[label]] = prediction.scores[label];
    data.push_back({{"label", prediction.text}, {"scores", scores}});
  }
  return {{"object", "list"}, {"model", model}, {"data", data}, {"usage", usage_json(result.usage)}};
}

// A text, also an empty one, or a list of texts.
std::vector<std::string> read_texts(const Json& input) {
  const Json list = input.is_array() ? input : Json::array({input});
  const bool fine = !list.empty() && std::all_of(list.begin(), list.end(), [](const Json& each) { return each.is_string(); });
  if (!fine) refuse("input", "a text or a list of at least one", shown(input));
  if (list.size() > most_texts) refuse("input", str("at most ", most_texts, " texts"), str(list.size()));
  return list.get<std::vector<std::string>>();
}

template <class Item>
std::shared_ptr<Inbox<Item>> watched_inbox(Exchange& exchange) {
  const auto inbox = std::make_shared<Inbox<Item>>(exchange.executor());
  exchange.watch([inbox] { inbox->close(); });
  return inbox;
}

using CompletionNews = std::variant<serve::Delta, serve::Completion, Error>;

// The pieces of an answer as they come; what is there already goes out in one write.
Awaitable<> send_events(Exchange& exchange, Inbox<CompletionNews>& inbox, const AnswerWriter& writer) {
  bool begun = false;
  for (bool ended = false; !ended;) {
    std::string bytes;
    do {
      const CompletionNews news = co_await inbox.next();
      if (const auto* error = std::get_if<Error>(&news)) {
        if (!begun) throw api_error(*error);
        bytes += event(api_error(*error).json());
      } else if (const auto* delta = std::get_if<serve::Delta>(&news)) {
        bytes += writer.chunk(*delta);
      } else {
        bytes += writer.last_chunk(std::get<serve::Completion>(news).usage);
      }
      ended = !std::holds_alternative<serve::Delta>(news);
    } while (!ended && !inbox.empty());
    if (!std::exchange(begun, true)) co_await exchange.begin_events();
    if (ended) bytes += event("[DONE]");
    co_await exchange.events(bytes);
  }
  co_await exchange.end_events();
}

}  // namespace

struct Service::Route {
  std::string_view method, path;
  std::string_view label;  // in the metrics
  Action action;
  bool waits = true;  // for the model
};

// A request that the engine has, and that it drops when nobody waits for it any more.
class Service::Ticket {
 public:
  Ticket(Service& service, serve::RequestId request) : service_(service), request_(request) {
    const std::lock_guard lock(service_.requests_mutex_);
    service_.requests_.insert(request_);
  }
  ~Ticket() {
    {
      const std::lock_guard lock(service_.requests_mutex_);
      service_.requests_.erase(request_);
    }
    if (serve::Engine* engine = service_.engine_) engine->cancel(request_);
  }
  Ticket(const Ticket&) = delete;
  Ticket& operator=(const Ticket&) = delete;

 private:
  Service& service_;
  serve::RequestId request_;
};

std::span<const Service::Route> Service::routes() {
  static const std::array<Route, 12> table = {{
      {"POST", "/v1/completions", "/v1/completions", &Service::complete},
      {"POST", "/v1/chat/completions", "/v1/chat/completions", &Service::chat},
      {"POST", "/v1/classify", "/v1/classify", &Service::classify},
      {"GET", "/v1/models", "/v1/models", &Service::list_models},
      {"GET", model_prefix, "/v1/models/{model}", &Service::show_model},
      {"POST", "/v1/load_lora_adapter", "/v1/load_lora_adapter", &Service::load_adapter},
      {"POST", "/v1/unload_lora_adapter", "/v1/unload_lora_adapter", &Service::unload_adapter},
      {"GET", "/health", "/health", &Service::health, false},
      {"GET", "/ready", "/ready", &Service::ready, false},
      {"GET", "/metrics", "/metrics", &Service::show_metrics},
      {"GET", "/openapi.json", "/openapi.json", &Service::openapi},
      {"GET", "/", "/", &Service::page},
  }};
  return table;
}

// Paths are compared as they were sent; behind a prefix that ends with a slash stands a name.
const Service::Route* Service::find_route(std::string_view path) {
  for (const Route& route : routes()) {
    const bool prefix =
        route.path == model_prefix && path.size() > model_prefix.size() && path.substr(0, model_prefix.size()) == model_prefix;
    if (prefix || (path == route.path && route.path != model_prefix)) return &route;
  }
  return nullptr;
}

Service::Service(const ServerOptions& options) : options_(options) {}

void Service::open(serve::Engine& engine, Adapters& adapters) {
  adapters_ = &adapters;
  engine_ = &engine;
}

void Service::close() {
  engine_ = nullptr;
}

void Service::cancel_all() {
  std::set<serve::RequestId> requests;
  {
    const std::lock_guard lock(requests_mutex_);
    requests = requests_;
  }
  for (const serve::RequestId request : requests) engine_.load()->cancel(request);
}

Awaitable<> Service::answer(Exchange& exchange) {
  const Request& request = exchange.request();
  const Route* route = find_route(request.path);
  if (draining_ && (route == nullptr || route->action != &Service::health))
    throw ApiError(503, "[server] expected requests before its end, received one behind").with("Retry-After", "1");
  if (route == nullptr) throw ApiError(404, str("[path] expected a route of /openapi.json, received ", quote(request.path, 200)));
  if (request.method != route->method && !(request.method == "HEAD" && route->method == "GET"))
    throw ApiError(405, str("[method] expected ", route->method, ", received ", quote(request.method)))
        .with("Allow", std::string(route->method));
  if (route->waits) co_await opened(exchange);
  std::string fault;
  try {
    co_return co_await (this->*route->action)(exchange);
  } catch (const ApiError&) {
    throw;
  } catch (const std::exception& error) {
    fault = error.what();
  }
  log::warn(str("[", route->method, " ", route->label, "] ", fault));
  if (exchange.answered()) throw Gone{};
  throw ApiError(500, fault);
}

void Service::count(const Request& request, int status) {
  const Route* route = find_route(request.path);
  metrics_.count_response(route == nullptr ? unknown_route : route->label, status);
}

Awaitable<> Service::opened(Exchange& exchange) {
  net::steady_timer timer(exchange.executor());
  while (engine_ == nullptr) {
    timer.expires_after(opening_interval);
    co_await timer.async_wait(net::use_awaitable);
  }
}

// What is written is made before it is awaited: GCC 11 and 12 mistreat some temporaries of an expression with co_await.
Awaitable<> Service::respond_json(Exchange& exchange, const OrderedJson& body) {
  const Response response{200, json_text(body)};
  co_await exchange.respond(response);
}

Awaitable<> Service::health(Exchange& exchange) {
  const OrderedJson body = {{"status", "ok"}};
  co_await respond_json(exchange, body);
}

Awaitable<> Service::ready(Exchange& exchange) {
  if (engine_ == nullptr)
    throw ApiError(503, "[model] expected a loaded one, received one that is still read").with("Retry-After", "1");
  const OrderedJson body = {{"status", "ready"}};
  co_await respond_json(exchange, body);
}

Awaitable<> Service::show_metrics(Exchange& exchange) {
  const Response response{200, metrics_.text(engine_.load()->load()), "text/plain; version=0.0.4; charset=utf-8"};
  co_await exchange.respond(response);
}

Awaitable<> Service::openapi(Exchange& exchange) {
  const Response response{200, openapi_json};
  co_await exchange.respond(response);
}

// Nothing in the page comes from elsewhere, and a browser is to see to that.
Awaitable<> Service::page(Exchange& exchange) {
  Response response{200, page_html, "text/html; charset=utf-8"};
  response.headers = {{"Content-Security-Policy",
                       "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src "
                       "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
                      {"X-Content-Type-Options", "nosniff"},
                      {"Referrer-Policy", "no-referrer"}};
  co_await exchange.respond(response);
}

Awaitable<> Service::list_models(Exchange& exchange) {
  OrderedJson data = OrderedJson::array();
  for (const serve::ModelEntry& entry : engine_.load()->models()) data.push_back(model_json(entry));
  const OrderedJson body = {{"object", "list"}, {"data", data}};
  co_await respond_json(exchange, body);
}

Awaitable<> Service::show_model(Exchange& exchange) {
  std::string name;
  percent_decode(std::string_view(exchange.request().path).substr(model_prefix.size()), name);
  const auto entry = engine_.load()->model(name);
  if (!entry) throw unknown_model(name, "model");
  const OrderedJson body = model_json(*entry);
  co_await respond_json(exchange, body);
}

Awaitable<> Service::in_job(Exchange& exchange, std::function<void()> job) {
  const auto inbox = std::make_shared<Inbox<std::exception_ptr>>(exchange.executor());
  net::post(jobs_, [inbox, job = std::move(job)] {
    std::exception_ptr thrown;
    try {
      job();
    } catch (...) {
      thrown = std::current_exception();
    }
    inbox->put(thrown);
  });
  const std::exception_ptr thrown = co_await inbox->next();
  if (thrown) std::rethrow_exception(thrown);
}

void Service::require_updates() const {
  if (!options_.allow_adapter_updates)
    throw ApiError(403, "[adapters] expected a server with --allow_adapter_updates, received a request to one without");
}

Awaitable<> Service::load_adapter(Exchange& exchange) {
  require_updates();
  Fields fields(exchange.request().body);
  const std::string name = fields.text("lora_name"), folder = fields.text("lora_path");
  fields.log_unknown("POST /v1/load_lora_adapter");
  const std::function<void()> job = [&] { adapters_.load()->load(name, folder); };
  co_await in_job(exchange, job);
  const auto entry = engine_.load()->model(name);
  const OrderedJson body = entry ? model_json(*entry) : OrderedJson{{"id", name}};  // unless it is gone again
  co_await respond_json(exchange, body);
}

Awaitable<> Service::unload_adapter(Exchange& exchange) {
  require_updates();
  Fields fields(exchange.request().body);
  const std::string name = fields.text("lora_name");
  fields.log_unknown("POST /v1/unload_lora_adapter");
  const std::function<void()> job = [&] { adapters_.load()->unload(name); };
  co_await in_job(exchange, job);
  const OrderedJson body = {{"id", name}, {"deleted", true}};
  co_await respond_json(exchange, body);
}

Awaitable<> Service::complete(Exchange& exchange) {
  CompletionForm form = read_completion(exchange.request().body);
  const CompletionWriter writer(form);
  co_await write(exchange, form, writer);
}

Awaitable<> Service::chat(Exchange& exchange) {
  Fields fields(exchange.request().body);
  const std::string model = fields.text("model");
  if (!engine_.load()->model(model)) throw unknown_model(model, "model");
  CompletionForm form = read_chat(exchange.request().body);
  const ChatCompletionWriter writer(form);
  co_await write(exchange, form, writer);
}

Awaitable<> Service::write(Exchange& exchange, CompletionForm& form, const AnswerWriter& writer) {
  const auto inbox = watched_inbox<CompletionNews>(exchange);
  serve::CompletionHandlers handlers;
  if (form.stream) handlers.on_delta = [inbox](const serve::Delta& delta) { inbox->put(delta); };
  handlers.on_done = [inbox](serve::Completion completion) { inbox->put(std::move(completion)); };
  handlers.on_error = [inbox](const Error& error) { inbox->put(error); };
  const Ticket ticket(*this, ask([&] { return engine_.load()->complete(std::move(form.request), std::move(handlers)); }));
  if (form.stream) co_return co_await send_events(exchange, *inbox, writer);
  const CompletionNews news = co_await inbox->next();
  if (const auto* error = std::get_if<Error>(&news)) throw api_error(*error);
  const Response response{200, writer.whole(std::get<serve::Completion>(news))};
  co_await exchange.respond(response);
}

Awaitable<> Service::classify(Exchange& exchange) {
  using News = std::variant<serve::Classification, Error>;
  Fields fields(exchange.request().body);
  serve::ClassifyRequest request;
  request.model = fields.text("model");
  const Json* input = fields.find("input");
  request.texts = read_texts(input == nullptr ? Json() : *input);
  fields.log_unknown("POST /v1/classify");
  const std::string model = request.model;
  const auto inbox = watched_inbox<News>(exchange);
  serve::ClassifyHandlers handlers;
  handlers.on_done = [inbox](serve::Classification result) { inbox->put(std::move(result)); };
  handlers.on_error = [inbox](const Error& error) { inbox->put(error); };
  const Ticket ticket(*this, ask([&] { return engine_.load()->classify(std::move(request), std::move(handlers)); }));
  const News news = co_await inbox->next();
  if (const auto* error = std::get_if<Error>(&news)) throw api_error(*error);
  const OrderedJson body = classification_json(std::get<serve::Classification>(news), model);
  co_await respond_json(exchange, body);
}

}  // namespace dept::http
