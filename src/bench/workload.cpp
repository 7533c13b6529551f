#include "bench/workload.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "bench/shapes.h"
#include "dept/adapter/init.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/models/model_files.h"
#include "dept/train/setup.h"

namespace dept {
namespace {

constexpr const char* layout_names[] = {"ragged", "pad", "pad-max"};  // in Layout's order

// Ids of each line, as the model's family takes a source.
std::vector<Ids> read_texts(const BenchOptions& o, const AdaptedModel& model) {
  const std::string text = read_file(o.text);
  std::vector<TextExample> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back({static_cast<int64_t>(lines.size()) + 1, text.substr(begin, end - begin), ""});
    begin = end + 1;
  }
  std::vector<Ids> ids;
  for (Example& example : encode_examples(model.tokenizer(), model.rules(), lines, 1)) ids.push_back(std::move(example.source));
  if (ids.empty()) fail(Code::bad_input, o.text, "a text a line", "none");
  return ids;
}

void set_layers(Json& config, int64_t layers) {
  for (const char* key : {"num_layers", "num_decoder_layers", "num_hidden_layers", "n_layer"})
    if (config.contains(key)) config[key] = layers;
}

void describe(ServeBenchOptions& o, OptionSet& set) {
  set.section("A server (dept bench serve)");
  set.add("url", o.url, "where it listens");
  set.add("api_key_file", o.api_key_file, "file whose first line is its key");
  set.add("adapters", o.adapters, "names that requests are drawn from [the base]");
  set.add("rate", o.rate, "requests a second").min(1e-3).max(1e5);
  set.add("seconds", o.seconds, "for how long requests are sent").min(0.1).max(86400);
  set.add("max_tokens", o.max_tokens, "new tokens of a request").min(1).max(1 << 20);
  set.add("first_token_within", o.first_token_within, "seconds; a slower answer counts as no good one").min(0);
  set.add("whole_within", o.whole_within, "seconds; likewise").min(0);
  set.add("seed", o.seed, "of the moments and names").min(0);
}

}  // namespace

void describe(BenchOptions& o, OptionSet& set) {
  set.add("shape", o.shape, "an architecture with random weights").choices(shape_names());
  set.add("layers", o.layers, "layers of each stack of the shape; 0: its own").min(0).max(1 << 10);
  describe(o.model, set);
  set.section("Batches");
  set.add("lengths", o.lengths, "input tokens of each example: a number, or a file of one number a line");
  set.add("text", o.text, "a file of one text a line, in place of lengths; by the model's tokenizer or --tokenizer_name");
  set.add("target_length", o.target_length, "label tokens of each example, in the same way; eval: new tokens");
  set.add("batch", o.batch, "examples of a step").min(1).max(1 << 20);
  set.add("stack", o.stack, "train: runs, of one batch each, that share a pass").min(1).max(1 << 10);
  set.add("m", o.m, "tokens of the soft prompt").min(0).max(1 << 16);
  set.add("r", o.r, "rank of A·B").min(0).max(1 << 16);
  set.add("max_seq_length", o.max_seq_length, "rows of A; longer inputs are cut").min(1).max(1 << 20);
  set.section("Measurement");
  set.add("steps", o.steps, "measured steps").min(1);
  set.add("warmup", o.warmup, "steps before the measured ones").min(0);
  set.add("compare", o.compare, "train: the same batches padded to the longest of each (pad), or to max_seq_length (pad-max)")
      .choices({"pad", "pad-max"});
  set.add("save", o.save, "load: write the shape with random weights to this folder, as a model to measure");
  set.add("allow_busy", o.allow_busy, "report also when the machine was not idle");
  set.add("json", o.json, "one JSON object a line instead of a table");
  describe(o.serve, set);
}

std::vector<int64_t> read_lengths(const std::string& option, int64_t most) {
  std::string text = option;
  if (text.find_first_not_of("0123456789") != std::string::npos) text = read_file(option);
  std::vector<int64_t> lengths;
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    int64_t length = 0;
    const auto [stop, error] = std::from_chars(at, end, length);
    if (error != std::errc() || length < 1)
      fail(Code::bad_input, str(option, ": line ", lengths.size() + 1), "a number above 0", quote(at));
    lengths.push_back(std::min(length, most));
    at = std::find_if(stop, end, [](char c) { return c >= '0' && c <= '9'; });
  }
  if (lengths.empty()) fail(Code::bad_input, option, "numbers", "none");
  return lengths;
}

Layout parse_layout(const std::string& name) {
  for (size_t i = 0; i < std::size(layout_names); ++i)
    if (name == layout_names[i]) return static_cast<Layout>(i);
  fail(Code::usage, "--compare", "pad, pad-max", quote(name));
}

const char* layout_name(Layout layout) {
  return layout_names[static_cast<size_t>(layout)];
}

Workload::Workload(const BenchOptions& options, const AdaptedModel& model)
    : options_(options),
      target_lengths_(read_lengths(options.target_length, 1 << 16)),
      vocab_(static_cast<uint64_t>(model.backbone().info().vocab)),
      head_(model.has_head()) {
  if (options.text.empty())
    lengths_ = read_lengths(options.lengths, options.max_seq_length);
  else
    texts_ = read_texts(options, model);
}

void Workload::fill(Ids& ids, int64_t count) {
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int64_t>(random_() % vocab_));
}

std::vector<Example> Workload::next() {
  std::vector<Example> batch(options_.batch);
  for (Example& example : batch) {
    example.index = next_++;
    if (texts_.empty())
      fill(example.source, lengths_[example.index % lengths_.size()]);
    else
      example.source = texts_[example.index % texts_.size()];
    if (head_)
      example.value = static_cast<double>(random_() % 2);
    else
      fill(example.target, target_lengths_[example.index % target_lengths_.size()]);
  }
  return batch;
}

int64_t Workload::mean_tokens(const ModelCost& cost) const {
  int64_t sum = std::accumulate(lengths_.begin(), lengths_.end(), int64_t{0});
  for (const Ids& text : texts_) sum += static_cast<int64_t>(text.size());
  const auto inputs = static_cast<int64_t>(std::max(lengths_.size(), texts_.size()));
  return options_.batch * sum / inputs + options_.m * (cost.shares_prompt ? 1 : options_.batch);
}

std::vector<Example> Workload::laid_out(std::vector<Example> batch, Layout layout) const {
  if (layout == Layout::ragged) return batch;
  auto longest = static_cast<size_t>(options_.max_seq_length);
  if (layout == Layout::pad) {
    longest = 0;
    for (const Example& example : batch) longest = std::max(longest, example.source.size());
  }
  for (Example& example : batch) example.source.resize(longest, 0);
  return batch;
}

Json bench_config(const BenchOptions& o) {
  if (o.shape.empty() == o.model.model_name_or_path.empty())
    fail(Code::usage, "dept bench", "either --shape or --model_name_or_path", "both or none");
  if (o.shape.empty()) return open_model(o.model.path(), false).config;
  Json config = shape_config(o.shape);
  if (o.layers > 0) set_layers(config, o.layers);
  return config;
}

AdaptedModel make_model(const BenchOptions& o, const ModelContext& context) {
  ModelParts parts;
  parts.backbone = o.shape.empty() ? load_backbone(o.model.path(), context) : random_backbone(bench_config(o), context, 0);
  const ModelInfo& info = parts.backbone->info();
  if (!o.text.empty()) {
    if (o.model.tokenizer_name.empty() && o.model.model_name_or_path.empty())
      fail(Code::usage, "--tokenizer_name", "a tokenizer for --text", "none");
    parts.tokenizer = load_model_tokenizer(o.model, Quirks());
  }
  parts.rules.architecture = info.architecture;
  parts.rules.max_source = o.max_seq_length;
  parts.rules.decoder_start_id = info.decoder_start_id.value_or(0);
  const at::Generator generator = at::detail::createCPUGenerator(0);
  AdapterShape shape;
  shape.prompt_tokens = o.m;
  shape.width = info.input_width();
  shape.rank = o.r;
  shape.max_length = o.max_seq_length;
  shape.alpha = 8;
  const auto noise = [&] { return init_prompt_random(o.m, info.input_width(), generator); };
  parts.weights.input = start_adapter(dept_method(), shape, {noise, generator});
  if (info.architecture == Architecture::encoder) {
    parts.weights.head = init_head(info.head, 2, info.hidden, info.initializer_range, generator);
    parts.pooling = default_pooling(info.architecture);
    parts.rules.head = true;
  }
  return AdaptedModel(std::move(parts));
}

std::string model_name(const BenchOptions& o) {
  return o.shape.empty() ? o.model.model_name_or_path : o.shape;
}

}  // namespace dept
