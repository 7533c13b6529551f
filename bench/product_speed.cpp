// bench_products ROWS: the frozen products of a T5-base layer in bf16 and in whole numbers of 8 bits, in turns: GFLOP/s, rounding
// and unrounding included, medians of 9, one JSON object a product and direction. As many weights of each shape take turns as
// keep them out of the core's own caches.
#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/kernels/frozen_linear.h"
#include "dept/tensor/context.h"

namespace {

using dept::kernels::FrozenLinear;
using Clock = std::chrono::steady_clock;

constexpr int64_t weights = 12;
constexpr int repeats = 9;

struct Product {
  const char* name;
  int64_t in, out;
};
constexpr std::array<Product, 4> products = {{{"q, k, v", 768, 2304}, {"o", 768, 768}, {"wi", 768, 3072}, {"wo", 3072, 768}}};

// Both kinds of the same weights.
std::array<std::vector<FrozenLinear>, 2> layers(const Product& product) {
  std::array<std::vector<FrozenLinear>, 2> made;
  for (int64_t i = 0; i < weights; ++i) {
    const at::Tensor w = at::randn({product.out, product.in});
    made[0].emplace_back(dept::kernels::FrozenMatrix(w.to(at::kBFloat16)));
    made[1].push_back(FrozenLinear::int8(w));
  }
  return made;
}

// Seconds of one product, for both kinds.
template <class Run>
std::array<double, 2> medians(const std::array<std::vector<FrozenLinear>, 2>& kinds, Run&& run) {
  std::array<std::vector<double>, 2> seconds;
  for (int repeat = 0; repeat <= repeats; ++repeat)
    for (size_t kind = 0; kind < 2; ++kind) {
      const auto begin = Clock::now();
      for (const FrozenLinear& layer : kinds[kind]) run(layer);
      if (repeat > 0) seconds[kind].push_back(std::chrono::duration<double>(Clock::now() - begin).count() / weights);
    }
  for (auto& all : seconds) std::nth_element(all.begin(), all.begin() + repeats / 2, all.end());
  return {seconds[0][repeats / 2], seconds[1][repeats / 2]};
}

void report(const Product& product, const char* direction, int64_t rows, std::array<double, 2> seconds) {
  const double gflop = 2e-9 * static_cast<double>(rows * product.in * product.out);
  const dept::OrderedJson line = {{"product", product.name},
                                  {"direction", direction},
                                  {"bf16_gflops", gflop / seconds[0]},
                                  {"int8_gflops", gflop / seconds[1]},
                                  {"ratio", seconds[0] / seconds[1]}};
  std::puts(line.dump().c_str());
}

void measure(int64_t rows) {
  dept::configure_process(at::get_num_threads());
  for (const Product& product : products) {
    const auto kinds = layers(product);
    const at::Tensor x = at::randn({rows, product.in}).to(at::kBFloat16), dy = at::randn({rows, product.out}).to(at::kBFloat16);
    report(product, "forward", rows, medians(kinds, [&](const FrozenLinear& layer) { layer.forward(x); }));
    report(product, "backward", rows, medians(kinds, [&](const FrozenLinear& layer) { layer.backward_input(dy); }));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t rows = argc == 2 ? std::atoll(argv[1]) : 0;
  if (rows <= 0) return std::fputs("usage: bench_products ROWS\n", stderr), 2;
  try {
    measure(rows);
  } catch (const dept::Error& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 3;
  }
}
