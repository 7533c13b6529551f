// The measurements of dept bench.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dept/base/json.h"
#include "dept/base/options.h"
#include "dept/train/options.h"

namespace dept {

/// Of dept bench serve: requests to a server that runs elsewhere.
struct ServeBenchOptions {
  std::string url = "http://127.0.0.1:8000", api_key_file;
  std::vector<std::string> adapters;  ///< empty: the base
  double rate = 10, seconds = 30, first_token_within = 1, whole_within = 10;
  int64_t max_tokens = 16, seed = 42;
};

struct BenchOptions {
  ModelOptions model;
  std::string shape, lengths = "64", text, target_length = "2";
  int64_t layers = 0, batch = 16, m = 10, r = 8, max_seq_length = 256, steps = 10, warmup = 2, stack = 1;
  std::vector<std::string> compare;
  std::string save;
  bool allow_busy = false, json = false;
  ServeBenchOptions serve;
};

void describe(BenchOptions& options, OptionSet& set);

/// The training step, forward to optimiser with the collation of its batch; for each layout of --compare too.
std::vector<OrderedJson> bench_train(const BenchOptions& options);
/// Inputs encoded and labels written greedily, target_length tokens each; a model with a head: its logits.
OrderedJson bench_eval(const BenchOptions& options);
/// From nothing to the first training step, part by part, the model's files being in the page cache.
OrderedJson bench_load(const BenchOptions& options);
/// Streams asked of a server at random moments of a given rate, whether or not answers come, for adapters drawn alike.
OrderedJson bench_serve(const BenchOptions& options);

}  // namespace dept
