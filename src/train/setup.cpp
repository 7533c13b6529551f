#include "dept/train/setup.h"

#include <unistd.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {

void check_all(const std::vector<std::function<void()>>& checks) {
  Code code = Code::bug;
  std::vector<std::string> messages;
  for (const auto& check : checks) {
    try {
      check();
    } catch (const Error& error) {
      if (messages.empty()) code = error.code();
      messages.emplace_back(error.what());
    }
  }
  if (!messages.empty()) throw Error(code, join(messages, "; "));
}

void adopt_model(const AdapterConfig& config, ModelOptions& model, DataOptions& data) {
  if (model.model_name_or_path.empty()) model.model_name_or_path = config.base_model_name_or_path;
  if (config.max_length > 0) data.max_seq_length = config.max_length;
}

void adopt_task(const AdapterConfig& config, DataOptions& data, const OptionSet& set) {
  if (config.original) return;
  if (!set.given("source_template")) data.task.source_template = config.task.source_template;
  if (!set.given("causal_suffix")) data.causal_suffix = config.task.causal_suffix;
  if (set.given("labels") || set.given("label_words")) return;
  data.task.labels = config.task.labels;
  data.task.label_words = config.task.label_words;
}

ModelInfo check_model(const ModelOptions& options) {
  const std::string& path = options.model_name_or_path;
  if (path.empty()) fail(Code::usage, "--model_name_or_path", "a model", "nothing");
  if (!fs::exists(path))
    fail(Code::io, "model_name_or_path", "a model's folder or a .gguf file", quote(path) + ", which is not there");
  const ModelInfo info = read_model_info(path);
  if (fs::is_directory(path)) open_safetensors(path);  // the headers of the weights
  if (!options.peft_model_id.empty()) {
    const AdapterConfig config = read_adapter_config(options.peft_model_id);
    if (config.token_dim != info.hidden)
      fail(Code::bad_input, options.peft_model_id, str("an adapter of width ", info.hidden, ", the model's"),
           str(config.token_dim));
  }
  return info;
}

void check_output_folder(const fs::path& folder) {
  fs::path there = fs::absolute(folder);
  std::error_code error;
  while (!fs::exists(there, error) && there != there.parent_path()) there = there.parent_path();
  const bool writable = fs::is_directory(there, error) && ::access(there.c_str(), W_OK | X_OK) == 0;
  if (!writable) fail(Code::io, "output_dir", "a folder that can be written", quote(folder.string()));
}

std::shared_ptr<const Tokenizer> load_model_tokenizer(const ModelOptions& options) {
  return load_tokenizer(options.tokenizer_name.empty() ? options.model_name_or_path : options.tokenizer_name);
}

EncodeRules encode_rules(const ModelInfo& model, const Tokenizer& tokenizer, const DataOptions& data, DeltaAlignment alignment) {
  EncodeRules rules;
  rules.encoder_decoder = model.encoder_decoder();
  rules.max_source = data.max_seq_length;
  rules.causal_suffix = data.causal_suffix;
  rules.truncate_head = data.truncate_head;
  rules.end_id = tokenizer.pad_id ? tokenizer.pad_id : tokenizer.eos_id;
  if (!rules.end_id && !model.eos_ids.empty()) rules.end_id = model.eos_ids.front();
  rules.decoder_start_id = model.decoder_start_id.value_or(0);
  rules.alignment = alignment;
  return rules;
}

Pipeline load_pipeline(const Context& ctx, const ModelOptions& options, const DataOptions& data) {
  const ModelInfo info = check_model(options);
  Pipeline pipeline;
  pipeline.tokenizer = load_model_tokenizer(options);
  pipeline.weights = no_adapter(info.hidden);
  DeltaAlignment alignment = DeltaAlignment::end;
  if (!options.peft_model_id.empty()) {
    const Adapter adapter = load_adapter(options.peft_model_id, info.hidden);
    pipeline.weights = adapter.weights;
    pipeline.scale = delta_scale(adapter.config.lora_alpha, adapter.config.r);
    alignment = adapter.config.delta_alignment;
  }
  pipeline.rules = encode_rules(info, *pipeline.tokenizer, data, alignment);
  pipeline.backbone = load_backbone(options.model_name_or_path, ctx);
  return pipeline;
}

}  // namespace dept
