// What GET /metrics shows, in Prometheus' text form.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <string>
#include <string_view>

#include "dept/serve/engine.h"

namespace dept::http {

class Metrics {
 public:
  Metrics();

  void count_response(std::string_view route, int status);
  void count_request(const serve::RequestFigures& figures);
  std::string text(const serve::EngineLoad& load);

 private:
  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& responses_;
  prometheus::Family<prometheus::Counter>& adapters_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& completion_tokens_;
  prometheus::Gauge& queued_;
  prometheus::Gauge& running_;
  prometheus::Histogram& batch_;
  prometheus::Histogram& seconds_;
  prometheus::Histogram& first_token_;
};

}  // namespace dept::http
