#include "bench/measure.h"

#include <cmath>
#include <numeric>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr double most_others = 0.05;      // of the machine's CPU time
constexpr double most_difference = 0.10;  // between its best products before and after

std::string percent(double share) {
  return str(std::lround(share * 100), " %");
}

}  // namespace

MachineCheck::MachineCheck(const BenchOptions& options, c10::ScalarType compute, ModelCost cost, int64_t tokens, bool backward)
    : options_(options), compute_(compute), cost_(std::move(cost)), tokens_(tokens), backward_(backward), before_(measure()) {
  require_idle();
}

GemmPeak MachineCheck::measure() {
  return gemm_peak_gflops(cost_, compute_, tokens_, backward_);
}

void MachineCheck::require_idle() const {
  if (const double others = meter_.others(); others > most_others && !options_.allow_busy)
    fail(Code::resource, "dept bench", "an idle machine, or --allow_busy",
         str("one whose CPUs were used by others for ", percent(others), " of the time"));
}

void MachineCheck::finish() {
  after_ = measure();
  others_ = meter_.others();
  require_idle();
  if (const double difference = std::abs(after_.best / before_.best - 1); difference > most_difference && !options_.allow_busy)
    fail(Code::resource, "dept bench", "a machine of even speed, or --allow_busy",
         str("one whose products changed by ", percent(difference), " while it was measured"));
}

void MachineCheck::report(OrderedJson& figures, double flop, double seconds) const {
  const double peak = std::max(before_.best, after_.best), library = std::max(before_.library, after_.library);
  figures["gemm_peak_gflops"] = peak;
  figures["gemm_peak_before_gflops"] = before_.best;
  figures["gemm_peak_after_gflops"] = after_.best;
  figures["share_of_peak"] = flop / seconds / 1e9 / peak;
  figures["library_gemm_peak_gflops"] = library;
  figures["share_of_library_peak"] = flop / seconds / 1e9 / library;
  figures["others_cpu_share"] = others_;
}

double Steps::total() const {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

void Steps::report(OrderedJson& figures) const {
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  figures["examples_per_s"] = examples / total();
  figures["tokens_per_s"] = tokens / total();
  figures["mean_len"] = tokens / examples;
  figures["step_median_s"] = sorted[sorted.size() / 2];
  figures["step_p95_s"] = sorted[static_cast<size_t>(0.95 * static_cast<double>(sorted.size()))];
  figures["gflop_per_example"] = flop / examples / 1e9;
}

}  // namespace dept
