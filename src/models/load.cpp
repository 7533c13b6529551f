#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/ggml_types.h"
#include "models/albert.h"
#include "models/arithmetic.h"
#include "models/bart.h"
#include "models/bert.h"
#include "models/deberta.h"
#include "models/distilbert.h"
#include "models/electra.h"
#include "models/gpt2.h"
#include "models/gpt_neox.h"
#include "models/llama_families.h"
#include "models/modernbert.h"
#include "models/mpnet.h"
#include "models/t5.h"
#include "models/unread.h"

namespace dept {
namespace {

struct Family {
  std::string_view model_type;
  std::unique_ptr<Backbone> (*make)(const ModelFiles&, const ModelContext&);
  ModelInfo (*info)(const Json&, const std::string&);
  NamePatterns unread;         // tensors of its files that are rightly left unread
  NamePatterns computed = {};  // fields that other families refuse
};

constexpr Family families[] = {{"albert", make_albert, albert_info, albert_unread},
                               {"bart", make_bart, bart_info, bart_unread, bart_computed},
                               {"bert", make_bert, bert_info, bert_unread},
                               {"deberta-v2", make_deberta, deberta_info, deberta_unread},
                               {"distilbert", make_distilbert, distilbert_info, distilbert_unread},
                               {"electra", make_electra, electra_info, electra_unread},
                               {"gemma2", make_llama, llama_info, llama_unread, gemma2_computed},
                               {"gemma3_text", make_llama, llama_info, llama_unread, gemma3_computed},
                               {"gpt2", make_gpt2, gpt2_info, gpt2_unread},
                               {"gpt_neox", make_gpt_neox, gpt_neox_info, gpt_neox_unread, gpt_neox_computed},
                               {"granite", make_llama, llama_info, llama_unread, granite_computed},
                               {"llama", make_llama, llama_info, llama_unread},
                               {"mistral", make_llama, llama_info, llama_unread},
                               {"modernbert", make_modernbert, modernbert_info, modernbert_unread, modernbert_computed},
                               {"mpnet", make_mpnet, mpnet_info, mpnet_unread},
                               {"mt5", make_t5, t5_info, t5_unread},
                               {"olmo2", make_llama, llama_info, llama_unread},
                               {"phi3", make_llama, llama_info, llama_unread, phi3_computed},
                               {"qwen2", make_llama, llama_info, llama_unread, qwen_computed},
                               {"qwen3", make_llama, llama_info, llama_unread, qwen_computed},
                               {"roberta", make_roberta, roberta_info, roberta_unread},
                               {"smollm3", make_llama, llama_info, llama_unread, smollm3_computed},
                               {"t5", make_t5, t5_info, t5_unread},
                               {"umt5", make_t5, t5_info, t5_unread},
                               {"xlm-roberta", make_roberta, roberta_info, roberta_unread}};

// Throws bad_input for a family that is not here, or one with arithmetic that is not.
const Family& family_of(const Json& config, const std::string& where) {
  const std::string type = require<std::string>(config, "model_type", where);
  const auto* found =
      std::find_if(std::begin(families), std::end(families), [&](const Family& family) { return family.model_type == type; });
  if (found != std::end(families)) {
    refuse_other_arithmetic(config, where, found->computed);
    return *found;
  }
  std::string names;
  for (const Family& family : families) names += str(names.empty() ? "" : ", ", family.model_type);
  fail(Code::bad_input, where + ": model_type", "one of " + names, quote(type));
}

// fp32: biases 0, norms 1, matrices normal.
at::Tensor random_weight(const std::string& name, at::IntArrayRef shape, const at::Generator& generator) {
  if (name.ends_with(".bias")) return at::zeros(shape);
  if (shape.size() == 1) return at::ones(shape);
  return at::empty(shape).normal_(0, 1 / std::sqrt(static_cast<double>(shape.back())), generator);
}

// Q4_0 blocks of uniform values with standard deviation 1/sqrt(in), made without their fp32 values.
kernels::StoredRows random_blocks(at::IntArrayRef shape, const at::Generator& generator) {
  const GgmlType& type = *find_ggml_type("Q4_0");
  const auto values = static_cast<int64_t>(type.block_values), bytes = static_cast<int64_t>(type.block_bytes);
  const int64_t rows = shape[0], in = shape[1];
  if (in % values != 0) fail(Code::usage, "backbone_dtype", str("gguf for widths that are multiples of ", values), str(in));
  const int64_t total = rows * (in / values) * bytes;
  const at::Tensor words = at::empty({total / 8 + 1}, at::TensorOptions(at::kLong)).random_(generator);
  const at::Tensor data = words.view(at::kByte).slice(0, 0, total);
  constexpr double deviation = 4.61;  // of the whole numbers from -8 to 7
  const c10::Half scale(static_cast<float>(1 / (deviation * std::sqrt(static_cast<double>(in)))));
  data.view({-1, bytes}).select(1, 0).fill_(scale.x & 0xFF);
  data.view({-1, bytes}).select(1, 1).fill_(scale.x >> 8);
  return {data.view({rows, in / values * bytes}), &type};
}

}  // namespace

const TextModel& as_text_model(const Backbone& model) {
  if (const auto* text = dynamic_cast<const TextModel*>(&model)) return *text;
  fail(Code::usage, "model", "one that writes text", str(model.info().model_type, ", an encoder"));
}

std::unique_ptr<Backbone> load_backbone(const fs::path& path, const ModelContext& context) {
  ModelFiles files = open_model(path, true);
  files.loader.use(context);
  const Family& family = family_of(files.config, files.where);
  auto model = family.make(files, context);
  refuse_unread(files, family.unread);
  files.weights->drop_pages();
  return model;
}

std::unique_ptr<Backbone> random_backbone(const Json& config, const ModelContext& context, uint64_t seed) {
  ModelFiles files{config, "config", {}, nullptr, {}};
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  const auto numbers = [generator](const std::string& name, at::IntArrayRef shape, at::ScalarType dtype) {
    return random_weight(name, shape, generator).to(dtype);
  };
  const auto blocks = [generator](const std::string&, at::IntArrayRef shape) { return random_blocks(shape, generator); };
  files.loader = nn::WeightLoader(numbers, blocks);
  files.loader.use(context);
  return family_of(files.config, files.where).make(files, context);
}

void save_random_model(const Json& config, const fs::path& folder, uint64_t seed) {
  ModelFiles files{config, "config", {}, nullptr, {}};
  const at::Generator generator = at::detail::createCPUGenerator(seed);
  NamedTensors weights;
  files.loader = nn::WeightLoader([&](const std::string& name, at::IntArrayRef shape, at::ScalarType) {
    weights.emplace_back(name, random_weight(name, shape, generator));
    return weights.back().second;
  });
  family_of(files.config, files.where).make(files, {});
  fs::create_directories(folder);
  save_safetensors(folder / "model.safetensors", weights, {{"format", "pt"}});
  write_atomic(folder / "config.json", config.dump(2) + "\n");
}

ModelInfo read_model_info(const fs::path& path) {
  const ModelFiles files = open_model(path, false);
  ModelInfo info = family_of(files.config, files.where).info(files.config, files.where);
  info.eos_ids = files.eos_ids;
  if (info.encoder_decoder() && files.answer_start_id) info.answer_start_id = files.answer_start_id;
  info.initializer_range = value_or<double>(files.config, "initializer_range", info.initializer_range, files.where);
  if (info.initializer_range < 0)
    fail(Code::bad_input, files.where + ": initializer_range", "a standard deviation", str(info.initializer_range));
  return info;
}

}  // namespace dept
