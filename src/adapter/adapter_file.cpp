#include "dept/adapter/adapter_file.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "dept/adapter/init.h"
#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* config_name = "adapter_config.json";
constexpr const char* tensors_name = "adapter_model.safetensors";
constexpr const char* torch_name = "adapter_model.bin";
constexpr const char* our_semantics = "dept-cpp";

bool has_delta(PeftType type) {
  return type == PeftType::prompt_tuning_lora;
}

int64_t size_field(const Json& json, std::string_view key, int64_t low, const std::string& where) {
  constexpr int64_t high = int64_t{1} << 24;  // products of two sizes stay far from overflow
  const auto size = require<int64_t>(json, key, where);
  if (size < low || size > high)
    fail(Code::bad_input, str(where, ": ", key), str("an integer from ", low, " to ", high), str(size));
  return size;
}

/// Parses a name found in a file: an unknown one is bad input there, not wrong usage.
template <class T>
T name_field(T (*parse)(std::string_view), const Json& json, std::string_view key, const std::string& where) {
  try {
    return parse(require<std::string>(json, key, where));
  } catch (const Error& error) {
    if (error.code() != Code::usage) throw;
    throw Error(Code::bad_input, str("[", where, ": ", error.what() + 1));
  }
}

AdapterTask task_from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(Code::bad_input, where, "an object", json.type_name());
  AdapterTask task;
  task.source_template = value_or<std::string>(json, "source_template", task.source_template, where);
  task.causal_suffix = value_or<std::string>(json, "causal_suffix", task.causal_suffix, where);
  task.labels = value_or<std::vector<std::string>>(json, "labels", {}, where);
  task.label_words = value_or<std::vector<std::string>>(json, "label_words", task.labels, where);
  if (task.label_words.size() != task.labels.size())
    fail(Code::bad_input, str(where, ": label_words"), str(task.labels.size(), " words, one a label"),
         str(task.label_words.size()));
  return task;
}

AdapterConfig config_from_json(const Json& json, const std::string& where) {
  AdapterConfig config;
  config.peft_type = name_field(parse_peft_type, json, "peft_type", where);
  config.num_virtual_tokens = size_field(json, "num_virtual_tokens", 0, where);
  config.token_dim = size_field(json, "token_dim", 1, where);
  if (has_delta(config.peft_type)) {
    config.r = size_field(json, "r", 0, where);
    config.max_length = size_field(json, "max_length", 0, where);
    config.lora_alpha = require<double>(json, "lora_alpha", where);
    if (!std::isfinite(config.lora_alpha))
      fail(Code::bad_input, where + ": lora_alpha", "a finite number", str(config.lora_alpha));
  } else if (json.contains("max_length")) {
    config.max_length = size_field(json, "max_length", 0, where);
  }
  config.num_transformer_submodules = value_or<int64_t>(json, "num_transformer_submodules", 1, where);
  if (config.num_transformer_submodules != 1 && config.num_transformer_submodules != 2)
    fail(Code::bad_input, where + ": num_transformer_submodules", "1, or 2 for a prompt of the decoder's own",
         str(config.num_transformer_submodules));

  for (const auto& [key, field] : {std::pair{"prompt_tuning_init", &config.prompt_tuning_init},
                                   {"prompt_tuning_init_text", &config.prompt_tuning_init_text},
                                   {"base_model_name_or_path", &config.base_model_name_or_path},
                                   {"task_type", &config.task_type},
                                   {"tokenizer_name_or_path", &config.tokenizer_name_or_path}})
    *field = value_or<std::string>(json, key, "", where);
  config.inference_mode = value_or<bool>(json, "inference_mode", false, where);
  config.load_lora_embeddings = value_or<bool>(json, "load_lora_embeddings", true, where);
  config.load_lora_embedding_B = value_or<bool>(json, "load_lora_embedding_B", true, where);

  const auto semantics = value_or<std::string>(json, "semantics", "", where);
  config.original = semantics.empty();
  if (config.original) return config;
  if (semantics != our_semantics) fail(Code::bad_input, where + ": semantics", quote(our_semantics), quote(semantics));
  if (has_delta(config.peft_type)) config.delta_alignment = name_field(parse_delta_alignment, json, "delta_alignment", where);
  if (config.classifies()) config.pooling = name_field(parse_pooling, json, "pooling", where);
  if (json.contains("task")) config.task = task_from_json(json["task"], where + ": task");
  return config;
}

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

OrderedJson number(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? OrderedJson(static_cast<int64_t>(value)) : OrderedJson(value);
}

OrderedJson to_json(const AdapterConfig& config) {
  OrderedJson json;
  json["peft_type"] = to_string(config.peft_type);
  json["task_type"] = text_or_null(config.task_type);
  json["base_model_name_or_path"] = text_or_null(config.base_model_name_or_path);
  json["tokenizer_name_or_path"] = text_or_null(config.tokenizer_name_or_path);
  json["inference_mode"] = config.inference_mode;
  json["num_virtual_tokens"] = config.num_virtual_tokens;
  json["num_transformer_submodules"] = config.num_transformer_submodules;
  json["token_dim"] = config.token_dim;
  json["prompt_tuning_init"] = config.prompt_tuning_init;
  json["prompt_tuning_init_text"] = text_or_null(config.prompt_tuning_init_text);
  json["max_length"] = config.max_length;
  if (has_delta(config.peft_type)) {
    json["r"] = config.r;
    json["lora_alpha"] = number(config.lora_alpha);
    json["delta_alignment"] = to_string(config.delta_alignment);
  }
  if (config.pooling) json["pooling"] = to_string(*config.pooling);
  json["semantics"] = our_semantics;
  json["task"] = {{"source_template", config.task.source_template},
                  {"causal_suffix", config.task.causal_suffix},
                  {"labels", config.task.labels},
                  {"label_words", config.task.label_words}};
  return json;
}

// The form whose tensors the file has.
HeadForm head_form(const TensorSource& file) {
  for (HeadForm form : {HeadForm::score, HeadForm::classifier, HeadForm::dense})
    if (file.find(adapter_members(form).back().name) != nullptr) return form;
  return HeadForm::none;
}

void check_names(const TensorSource& file, std::span<const AdapterMember> members) {
  const auto known = [&](const std::string& name) {
    return std::any_of(members.begin(), members.end(), [&](const AdapterMember& member) { return name == member.name; });
  };
  for (const TensorInfo& tensor : file.tensors())
    if (!known(tensor.name))
      fail(Code::bad_input, file.path().string(), "prompt_embeddings, lora_embedding_A, _B and one head alone",
           quote(tensor.name));
}

bool lacks_delta(const TensorSource& file) {
  return file.find(member_name(HeadForm::none, &AdapterWeights::A)) == nullptr &&
         file.find(member_name(HeadForm::none, &AdapterWeights::B)) == nullptr;
}

// Labels and width of a head, from its last matrix; as many labels as the config names, 1 (regression) when it names none.
std::pair<int64_t, int64_t> head_size(const TensorSource& file, HeadForm form, const std::vector<std::string>& labels) {
  const std::string name = member_name(form, &AdapterWeights::out);
  const TensorInfo* stored = file.find(name);
  if (stored == nullptr || stored->shape.size() != 2 || stored->shape[0] < 1)
    fail(Code::bad_input, file.path().string(), str("the matrix ", name), stored == nullptr ? "none" : "another shape");
  const auto count = static_cast<int64_t>(labels.size());
  if (count > 0 && stored->shape[0] != count)
    fail(Code::bad_input, str(file.path().string(), ": ", name), str(count, " rows, one a label"), str(stored->shape[0]));
  return {stored->shape[0], stored->shape[1]};
}

}  // namespace

PeftType parse_peft_type(std::string_view name) {
  if (name == "PROMPT_TUNING_LORA") return PeftType::prompt_tuning_lora;
  if (name == "PROMPT_TUNING") return PeftType::prompt_tuning;
  fail(Code::usage, "peft_type", "PROMPT_TUNING_LORA or PROMPT_TUNING", quote(name));
}

std::string to_string(PeftType type) {
  return has_delta(type) ? "PROMPT_TUNING_LORA" : "PROMPT_TUNING";
}

DeltaAlignment parse_delta_alignment(std::string_view name) {
  if (name == "start") return DeltaAlignment::start;
  if (name == "end") return DeltaAlignment::end;
  fail(Code::usage, "delta_alignment", "start or end", quote(name));
}

std::string to_string(DeltaAlignment alignment) {
  return alignment == DeltaAlignment::start ? "start" : "end";
}

AdapterConfig read_adapter_config(const fs::path& folder) {
  const fs::path path = folder / config_name;
  return config_from_json(read_json(path, uint64_t{1} << 24), path.string());
}

std::unique_ptr<TensorSource> open_adapter_weights(const fs::path& folder) {
  if (fs::exists(folder / tensors_name)) return open_safetensors(folder / tensors_name);
  if (fs::exists(folder / torch_name)) return open_torch_file(folder / torch_name);
  fail(Code::io, folder.string(), str(tensors_name, " or ", torch_name, " in this folder"), "neither");
}

Adapter load_adapter(const fs::path& folder, int64_t hidden, uint64_t seed, const LoadDelta& load) {
  AdapterConfig config = read_adapter_config(folder);
  const bool loads_A = load.embeddings.value_or(config.load_lora_embeddings);
  const bool loads_B = loads_A && load.embedding_B.value_or(config.load_lora_embedding_B);
  config.load_lora_embeddings = config.load_lora_embedding_B = true;  // whatever is trained from here on is to be kept
  const int64_t M = config.num_virtual_tokens, S = config.max_length, R = config.r, D = config.token_dim;
  if (D != hidden)
    fail(Code::bad_input, str((folder / config_name).string(), ": token_dim"), str(hidden, ", the width of the model"), str(D));

  const auto file = open_adapter_weights(folder);
  AdapterWeights weights;
  weights.form = head_form(*file);
  check_names(*file, adapter_members(weights.form));
  if (config.classifies() != (weights.form != HeadForm::none))
    fail(Code::bad_input, file->path().string(), "a classification head exactly when task_type is SEQ_CLS",
         quote(config.task_type));
  const auto read = [&](at::Tensor AdapterWeights::*tensor, const std::vector<int64_t>& shape) {
    const std::string name = member_name(weights.form, tensor);
    if (file->find(name) == nullptr) fail(Code::bad_input, file->path().string(), str("the tensor ", name), "none");
    weights.*tensor = file->read(name, shape, at::kFloat).unsqueeze(0);
  };
  read(&AdapterWeights::P, {config.prompt_rows(), D});
  if (config.original) {  // it stores and never uses the decoder's rows
    weights.P = weights.P.narrow(1, 0, M).contiguous();
    config.num_transformer_submodules = 1;
  }
  if (!has_delta(config.peft_type)) {
    weights.A = at::zeros({1, S, 0});
    weights.B = at::zeros({1, 0, D});
  } else if (!loads_A || lacks_delta(*file)) {
    if (loads_A)
      log::warn(file->path().string() + " has a prompt but no lora_embedding_A and no lora_embedding_B: they start anew");
    static_cast<DeptWeights&>(weights) = init_dept(weights.P[0], S, R, at::detail::createCPUGenerator(seed));
  } else {
    read(&AdapterWeights::A, {S, R});
    read(&AdapterWeights::B, {R, D});
    if (!loads_B) weights.B.zero_();
  }
  if (config.classifies()) {
    const auto [labels, width] = head_size(*file, weights.form, config.task.labels);
    for (const auto& [tensor, shape] : head_tensors(weights.form, labels, width)) read(tensor, shape);
  }
  return {config, weights};
}

void save_adapter(const fs::path& folder, const AdapterConfig& config, const AdapterWeights& weights, int64_t k,
                  const AdapterForm& form) {
  NamedTensors tensors;
  for (const AdapterMember& member : adapter_members(weights.form)) {
    const bool delta = member.tensor == &AdapterWeights::A || member.tensor == &AdapterWeights::B;
    if (!delta || (has_delta(config.peft_type) && form.delta))
      tensors.emplace_back(member.name, (weights.*member.tensor)[k].to(at::kCPU, at::kFloat).contiguous());
  }
  if (form.safetensors)
    save_safetensors(folder / tensors_name, tensors, {{"format", "pt"}});
  else
    save_torch_file(folder / torch_name, tensors);
  fs::remove(folder / (form.safetensors ? torch_name : tensors_name));  // an earlier run's
  write_atomic(folder / config_name, to_json(config).dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

}  // namespace dept
