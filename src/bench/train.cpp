// dept bench train: seconds, memory and arithmetic of the training step, without data or tokenizer.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <random>

#include "bench/shapes.h"
#include "cli/command.h"
#include "cli/frame.h"
#include "dept/adapter/init.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/options.h"
#include "dept/train/step.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct BenchOptions {
  ModelOptions model;
  std::string shape, lengths = "64";
  int64_t target_length = 2, batch = 16, m = 10, r = 8, max_seq_length = 256, steps = 10, warmup = 2;
  bool json = false;
};

void describe(BenchOptions& o, OptionSet& set) {
  set.add("shape", o.shape, "an architecture with random weights").choices(shape_names());
  describe(o.model, set);
  set.section("Step");
  set.add("lengths", o.lengths, "input tokens of each example: a number, or a file of one number a line");
  set.add("target_length", o.target_length, "label tokens of each example").min(1).max(1 << 16);
  set.add("batch", o.batch, "examples of a step").min(1).max(1 << 20);
  set.add("m", o.m, "tokens of the soft prompt").min(0).max(1 << 16);
  set.add("r", o.r, "rank of A·B").min(0).max(1 << 16);
  set.add("max_seq_length", o.max_seq_length, "rows of A; longer inputs are cut").min(1).max(1 << 20);
  set.add("steps", o.steps, "measured steps").min(1);
  set.add("warmup", o.warmup, "steps before the measured ones").min(0);
  set.add("json", o.json, "one JSON object instead of a table");
}

std::vector<int64_t> read_lengths(const BenchOptions& o) {
  std::string text = o.lengths;
  if (text.find_first_not_of("0123456789") != std::string::npos) text = read_file(o.lengths);
  std::vector<int64_t> lengths;
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    int64_t length = 0;
    const auto [stop, error] = std::from_chars(at, end, length);
    if (error != std::errc() || length < 1)
      fail(Code::bad_input, str(o.lengths, ": line ", lengths.size() + 1), "a number above 0", quote(at));
    lengths.push_back(std::min(length, o.max_seq_length));
    at = std::find_if(stop, end, [](char c) { return c >= '0' && c <= '9'; });
  }
  if (lengths.empty()) fail(Code::bad_input, o.lengths, "numbers", "none");
  return lengths;
}

// Batches are taken in the lengths' order, from the top again at the end.
class Examples {
 public:
  Examples(const BenchOptions& o, int64_t vocab) : o_(o), lengths_(read_lengths(o)), vocab_(static_cast<uint64_t>(vocab)) {}
  std::vector<Example> next() {
    std::vector<Example> batch(o_.batch);
    for (Example& example : batch) {
      example.index = next_++;
      fill(example.source, lengths_[example.index % lengths_.size()]);
      fill(example.target, o_.target_length);
    }
    return batch;
  }

 private:
  void fill(Ids& ids, int64_t count) {
    for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int64_t>(random_() % vocab_));
  }
  const BenchOptions& o_;
  std::vector<int64_t> lengths_;
  uint64_t vocab_;
  std::mt19937_64 random_{0};
  int64_t next_ = 0;
};

Pipeline make_pipeline(const BenchOptions& o, const Context& ctx) {
  if (o.shape.empty() == o.model.model_name_or_path.empty())
    fail(Code::usage, "bench train", "either --shape or --model_name_or_path", "both or none");
  Pipeline pipeline;
  pipeline.backbone =
      o.shape.empty() ? load_backbone(o.model.model_name_or_path, ctx) : random_backbone(shape_config(o.shape), ctx, 0);
  const ModelInfo& info = pipeline.backbone->info();
  pipeline.rules.architecture = info.architecture;
  pipeline.rules.max_source = o.max_seq_length;
  pipeline.rules.decoder_start_id = info.decoder_start_id.value_or(0);
  const at::Generator generator = at::detail::createCPUGenerator(0);
  pipeline.weights = init_dept(init_prompt_random(o.m, info.input_width(), generator), o.max_seq_length, o.r, generator);
  pipeline.scale = delta_scale(8, o.r);
  return pipeline;
}

// Multiply-adds of forward and backward through the frozen linears, 4 a weight and token, and of the head at label tokens.
// Attention's own products are left out.
double step_flop(const ModelInfo& info, const std::vector<Example>& batch, int64_t m, bool shared_prompt) {
  const double embedding = static_cast<double>(info.vocab * info.hidden);
  const double weights = static_cast<double>(info.parameters) - embedding * (info.tied ? 1 : 2);
  double source = shared_prompt ? static_cast<double>(m) : 0, target = 0;
  for (const Example& example : batch) {
    source += static_cast<double>(example.source.size()) + (shared_prompt ? 0 : static_cast<double>(m));
    target += static_cast<double>(example.target.size());
  }
  // Of T5 v1.0's weights the encoder has 3/7, and 1/14 make keys and values of cross-attention, also from source tokens.
  const double tokens = info.encoder_decoder() ? (source + target) / 2 : source + target - static_cast<double>(batch.size());
  return 4 * (weights * tokens + embedding * target);
}

double gemm_peak_gflops(const ModelInfo& info, const Context& ctx, int64_t tokens) {
  double best = 0;
  const int64_t D = info.hidden;
  for (const auto& [in, out] : {std::pair{D, D}, {D, 4 * D}, {4 * D, D}}) {
    const at::Tensor x = at::randn({tokens, in}, ctx.compute), w = at::randn({out, in}, ctx.compute);
    at::linear(x, w);
    for (int repeat = 0; repeat < 20; ++repeat) {
      const auto start = Clock::now();
      at::linear(x, w);
      best = std::max(best, 2.0 * static_cast<double>(tokens * in * out) / seconds_since(start) / 1e9);
    }
  }
  return best;
}

int64_t saved_bytes(const Pipeline& pipeline, Context ctx, const std::vector<Example>& examples) {
  ctx.training = true;
  const Batch batch = collate(pipeline.rules, examples);
  const bool t5 = pipeline.rules.encoder_decoder();
  const bool share = !t5 && pipeline.backbone->info().dropout == 0;
  const Stream source =
      apply_dept(pipeline.weights, pipeline.scale, batch.source, pipeline.backbone->embed(batch.source_ids), share);
  Stream target;
  if (t5) target = {batch.target, pipeline.backbone->embed(batch.target_ids)};
  std::unique_ptr<Saved> saved;
  pipeline.backbone->forward(ctx, source, t5 ? &target : nullptr, &saved);
  return saved->bytes() / source.tokens.tokens();
}

OrderedJson measure(const BenchOptions& o, Clock::time_point start) {
  const Context ctx = make_context(o.model, 42);
  configure_process(ctx.threads);
  const Pipeline pipeline = make_pipeline(o, ctx);
  const ModelInfo& info = pipeline.backbone->info();
  Examples examples(o, info.vocab);
  Step step(ctx, pipeline, {}, 1, 1);
  double to_first = 0, tokens = 0, flop = 0;
  std::vector<double> times;
  std::vector<Example> batch;
  for (int64_t i = 0; i < o.warmup + o.steps; ++i) {
    batch = examples.next();
    const auto began = Clock::now();
    step.accumulate(batch);
    step.update({{0.01, 0.001}})[0].item<double>();
    if (i == 0) to_first = seconds_since(start);
    if (i < o.warmup) continue;
    times.push_back(seconds_since(began));
    for (const Example& example : batch) tokens += static_cast<double>(example.source.size());
    flop += step_flop(info, batch, o.m, !info.encoder_decoder() && info.dropout == 0);
  }
  double total = 0;
  for (double time : times) total += time;
  const double steps = static_cast<double>(times.size()), seen = steps * static_cast<double>(o.batch);
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double peak = gemm_peak_gflops(info, ctx, std::max<int64_t>(64, static_cast<int64_t>(tokens / steps)));
  std::sort(times.begin(), times.end());
  return {{"mode", "ragged"},
          {"shape", o.shape.empty() ? o.model.model_name_or_path : o.shape},
          {"batch", o.batch},
          {"examples_per_s", seen / total},
          {"tokens_per_s", tokens / total},
          {"mean_len", tokens / seen},
          {"step_median_s", times[times.size() / 2]},
          {"step_p95_s", times[static_cast<size_t>(0.95 * static_cast<double>(times.size()))]},
          {"peak_rss_gb", static_cast<double>(usage.ru_maxrss) * 1024 / 1e9},
          {"activation_bytes_per_token", saved_bytes(pipeline, ctx, batch)},
          {"gemm_peak_gflops", peak},
          {"share_of_peak", flop / total / 1e9 / peak},
          {"time_to_first_step_s", to_first}};
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  const auto start = Clock::now();
  BenchOptions options;
  OptionSet set;
  describe(options, set);
  const auto rest = read_command_line(set, arguments,
                                      {"Usage: dept bench train --shape NAME | --model_name_or_path DIR [--flags]\n"
                                       "Measures the training step.\n",
                                       false, 1});
  if (!rest) return 0;
  if (*rest != std::vector<std::string>{"train"})
    fail(Code::usage, "dept bench", "train", rest->empty() ? "nothing" : quote(rest->front()));
  const OrderedJson figures = measure(options, start);
  std::string table;
  for (const auto& [name, value] : figures.items()) table += str(name, std::string(28 - name.size(), ' '), value.dump(), "\n");
  write_stdout(options.json ? figures.dump() + "\n" : table);
  return 0;
}

}  // namespace dept
