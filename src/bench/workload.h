// What a benchmark runs: a model with random or given weights, an adapter that has learnt nothing, and batches of random ids.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "bench/cost.h"
#include "dept/bench/bench.h"
#include "dept/train/model_parts.h"

namespace dept {

/// How a batch is laid out: without padding, padded to its longest input, or to max_seq_length. Pads are tokens like others to
/// the engine; a mask would not make them cheaper.
enum class Layout { ragged, pad, pad_max };
Layout parse_layout(const std::string& name);
const char* layout_name(Layout layout);

/// The numbers that an option gives: one, or a file of one a line, each at most `most`. Throws io or bad_input.
std::vector<int64_t> read_lengths(const std::string& option, int64_t most);

/// Batches in the order of the lengths or texts, from the top again at the end.
class Workload {
 public:
  Workload(const BenchOptions& options, const AdaptedModel& model);

  std::vector<Example> next();
  /// Of a batch of inputs of the mean length, with its prompts.
  int64_t mean_tokens(const ModelCost& cost) const;
  /// As `layout` lays them out.
  std::vector<Example> laid_out(std::vector<Example> batch, Layout layout) const;

 private:
  void fill(Ids& ids, int64_t count);

  const BenchOptions& options_;
  std::vector<int64_t> lengths_, target_lengths_;
  std::vector<Ids> texts_;  // in place of lengths
  uint64_t vocab_;
  bool head_;
  std::mt19937_64 random_{0};
  int64_t next_ = 0;
};

/// config.json of the shape, with as many layers as asked for, or of the model.
Json bench_config(const BenchOptions& options);
/// With a head for two labels where the model has no language-model head.
AdaptedModel make_model(const BenchOptions& options, const ModelContext& context);
/// "t5-base", or the model's path.
std::string model_name(const BenchOptions& options);

}  // namespace dept
