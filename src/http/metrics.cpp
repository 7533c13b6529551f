#include "http/metrics.h"

#include <prometheus/text_serializer.h>

#include "dept/base/text.h"

namespace dept::http {
namespace {

using prometheus::Histogram;

// From a tiny model's milliseconds to a long answer's minutes.
const Histogram::BucketBoundaries seconds_buckets = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                                     0.5,   1,      2.5,   5,    10,    30,   60,  120};
const Histogram::BucketBoundaries batch_buckets = {1, 2, 4, 8, 16, 32, 64, 128, 256};

prometheus::Family<prometheus::Counter>& counters(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

prometheus::Gauge& gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

Histogram& histogram(prometheus::Registry& registry, const char* name, const char* help,
                     const Histogram::BucketBoundaries& buckets) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add({}, buckets);
}

}  // namespace

Metrics::Metrics()
    : responses_(counters(registry_, "dept_http_requests_total", "Answered requests by route and status; 499: the client left")),
      adapters_(counters(registry_, "dept_adapter_requests_total", "Requests that left the engine, by adapter or base")),
      prompt_tokens_(counters(registry_, "dept_prompt_tokens_total", "Prompt tokens of completions").Add({})),
      completion_tokens_(counters(registry_, "dept_completion_tokens_total", "Written tokens of completions").Add({})),
      queued_(gauge(registry_, "dept_queue_requests", "Requests that wait")),
      running_(gauge(registry_, "dept_running_requests", "Requests that are computed")),
      batch_(histogram(registry_, "dept_batch_size", "Most sequences computed together with a completion", batch_buckets)),
      seconds_(histogram(registry_, "dept_request_seconds", "From a completion's arrival to its end", seconds_buckets)),
      first_token_(
          histogram(registry_, "dept_first_token_seconds", "From a completion's arrival to its first token", seconds_buckets)) {}

void Metrics::count_response(std::string_view route, int status) {
  responses_.Add({{"route", std::string(route)}, {"code", str(status)}}).Increment();
}

void Metrics::count_request(const serve::RequestFigures& figures) {
  adapters_.Add({{"adapter", figures.model}}).Increment();
  if (!figures.completion) return;
  prompt_tokens_.Increment(static_cast<double>(figures.usage.prompt_tokens));
  completion_tokens_.Increment(static_cast<double>(figures.usage.completion_tokens));
  if (figures.outcome != serve::Outcome::done) return;
  batch_.Observe(static_cast<double>(figures.batch_size));
  seconds_.Observe(figures.seconds);
  first_token_.Observe(figures.first_token_seconds.value_or(figures.seconds));
}

std::string Metrics::text(const serve::EngineLoad& load) {
  queued_.Set(static_cast<double>(load.queued));
  running_.Set(static_cast<double>(load.running));
  return prometheus::TextSerializer().Serialize(registry_.Collect());
}

}  // namespace dept::http
