#include "dept/train/setup.h"

#include "dept/base/error.h"
#include "dept/base/folder.h"
#include "dept/base/log.h"
#include "dept/base/problems.h"
#include "dept/base/text.h"
#include "dept/models/label_names.h"
#include "dept/tensorio/tensor_source.h"
#include "dept/train/task_data.h"

namespace dept {

void check_all(const std::vector<std::function<void()>>& checks) {
  Problems problems;
  for (const auto& check : checks) problems.attempt(check);
  problems.raise();
}

void adopt_model(const AdapterConfig& config, ModelOptions& model, DataOptions& data, const OptionSet& set) {
  if (model.model_name_or_path.empty()) {
    const std::string &base = config.base_model_name_or_path, &tokenizer = config.tokenizer_name_or_path;
    model.model_name_or_path = name_in_adapter(base, model.peft_model_id);
    if (!config.revision.empty() && !set.given("revision")) model.hub.revision = config.revision;
    if (!config.original() && model.tokenizer_name.empty() && tokenizer != base)
      model.tokenizer_name = name_in_adapter(tokenizer, model.peft_model_id);
  }
  if (config.visual && !set.given("visual")) model.images.visual = name_in_adapter(config.visual->source, model.peft_model_id);
  const bool given = set.given("max_seq_length");
  if (config.max_length == 0 || (given && !config.decomposed())) return;
  if (given && data.max_seq_length != config.max_length)
    log::warn(str("--max_seq_length has no effect: the adapter's is ", config.max_length));
  data.max_seq_length = config.max_length;
}

void adopt_dtype(const AdapterConfig& config, ModelOptions& model, const OptionSet& set) {
  if (config.original()) return;
  for (const char* name : {"dtype", "bf16", "backbone_dtype", "quantization"})
    if (set.given(name)) return;
  model.dtype = config.task.dtype;
}

namespace {

// What PEFT and the original do with text, where their files tell nothing of it.
void adopt_foreign_task(const AdapterConfig& config, DataOptions& data, const OptionSet& set) {
  constexpr int64_t whole = int64_t{1} << 20;  // the largest --max_seq_length
  if ((config.runs_as_peft() || config.classifies()) && !set.given("causal_suffix")) data.causal_suffix.clear();
  if (config.runs_as_peft() && config.max_length == 0 && !set.given("max_seq_length")) data.max_seq_length = whole;
}

}  // namespace

void adopt_task(const AdapterConfig& config, DataOptions& data, EvaluationOptions& evaluation, const OptionSet& set) {
  if (config.original()) return quirks_of(data).reads_peft_prompts_as_its_own() ? void() : adopt_foreign_task(config, data, set);
  const AdapterTask& task = config.task;
  const auto adopt = [&](const char* name, auto& option, const auto& trained) {
    if (!set.given(name)) option = trained;
  };
  adopt("source_template", data.task.source_template, task.source_template);
  adopt("text_column", data.task.text_column, task.text_column);
  adopt("text_pair_column", data.task.text_pair_column, task.text_pair_column);
  adopt("label_column", data.task.label_column, task.label_column);
  adopt("image_column", data.task.image_column, task.image_column);
  adopt("causal_suffix", data.causal_suffix, task.causal_suffix);
  adopt("target_start", data.target_start, task.target_start);
  adopt("target_end", data.target_end, task.target_end);
  adopt("truncate_head", data.truncate_head, task.truncate_head);
  data.task.chat = task.chat;
  adopt("predict_by", evaluation.predict_by, task.predict_by);
  adopt("generation_num_beams", evaluation.generation_num_beams, task.generation_num_beams);
  if (!set.given("generation_max_length")) {
    evaluation.generation_max_length = task.generation_max_length;
    adopt("max_new_tokens", evaluation.max_new_tokens, task.max_new_tokens);
  }
  if (config.classifies() && task.labels.empty() && !set.given("metrics")) data.task.metrics = regression_metrics;
  if (config.classifies() && set.given("labels") && data.task.labels != task.labels)
    fail(Code::usage, "labels", str("those of the adapter's head, ", join(task.labels, ", ")), join(data.task.labels, ", "));
  if (set.given("labels") || set.given("label_words")) return;
  data.task.labels = task.labels;
  data.task.label_words = task.label_words;
}

void adopt_label_names(const AdapterConfig& config, const ModelOptions& model, DataOptions& data) {
  if (!config.original() || !config.classifies() || data.named()) return;
  const int64_t rows = head_rows(model.peft_model_id);
  if (rows == 1) return;
  std::vector<std::string> names = label_names(model.path());
  std::vector<std::string>& labels = data.task.labels;
  if (!labels.empty()) {
    if (names != labels && rows_of_labels(names, labels))
      log::warn(str("--labels names the head's logits ", join(labels, ", "), "; the model's id2label ", join(names, ", ")));
    return;
  }
  if (names.empty())  // transformers' own
    for (int64_t i = 0; i < rows; ++i) names.push_back(str("LABEL_", i));
  if (static_cast<int64_t>(names.size()) != rows)
    fail(Code::usage, "--labels",
         str(rows, " names, in the order of the head's logits, as the model has names for ", names.size()), "nothing");
  labels = std::move(names);
}

void check_submodules(int64_t submodules, const ModelInfo& info) {
  if (submodules > 1 && !info.encoder_decoder())
    fail(Code::usage, "num_transformer_submodules", str("1, as ", info.model_type, " is no encoder-decoder"), str(submodules));
}

namespace {

// An adapter of another family's task has no meaning on this model.
void check_task_type(const AdapterConfig& config, const fs::path& adapter, const ModelInfo& info) {
  if (config.task_type.empty()) return;
  try {
    task_type_for(info, config.task_type);
  } catch (const Error&) {
    const std::string own = task_type_for(info, std::nullopt);
    const std::string head = info.head != HeadForm::none && own != "SEQ_CLS" ? " or SEQ_CLS" : "";
    fail(Code::bad_input, (adapter / "adapter_config.json").string() + ": task_type",
         str(own, head, ", as the model is ", info.model_type), quote(config.task_type));
  }
}

void check_storage(const ModelOptions& options) {
  if (options.backbone_dtype == "gguf" && fs::path(options.path()).extension() != ".gguf")
    fail(Code::usage, "--backbone_dtype", "same, fp32, fp16 or bf16 for a model that is not a .gguf file", "gguf");
}

}  // namespace

ModelInfo check_model(const ModelOptions& options) {
  const std::string& path = options.path();
  if (path.empty()) fail(Code::usage, "--model_name_or_path", "a model", "nothing");
  if (!fs::exists(path))
    fail(Code::io, "model_name_or_path", "a model's folder or a .gguf file", quote(path) + ", which is not there");
  check_storage(options);
  const ModelInfo info = read_model_info(path);
  if (fs::is_directory(path)) open_weights(path);  // the headers of the weights
  if (!options.peft_model_id.empty()) {
    const AdapterConfig config = read_adapter_config(options.peft_model_id);
    if (config.token_dim != info.input_width())
      fail(Code::bad_input, options.peft_model_id, str("an adapter of width ", info.input_width(), ", the model's"),
           str(config.token_dim));
    check_task_type(config, options.peft_model_id, info);
    check_submodules(config.num_transformer_submodules, info);
  }
  return info;
}

void check_free_space(const fs::path& folder, double bytes) {
  std::error_code error;
  const fs::space_info space = fs::space(nearest_folder(folder), error);
  if (error || static_cast<double>(space.available) >= bytes) return;
  const auto megabytes = [](double n) { return str(static_cast<int64_t>(n / 1e6), " MB"); };
  fail(Code::io, folder.string(), str("room for ", megabytes(bytes), " of checkpoints"),
       megabytes(static_cast<double>(space.available)));
}

bool is_on_hub(const ModelOptions& options) {
  return is_on_hub(options.path());
}

namespace {

// Of what stands beside the model, whose branch --revision names.
HubFlags main_branch(const ModelOptions& options) {
  return {HubFlags().revision, options.hub.cache_dir};
}

}  // namespace

void check_source(const ModelOptions& options) {
  check_visual(options.images);
  if (visual_is_on_hub(options.images)) check_on_hub(options.images.visual, main_branch(options));
  if (is_on_hub(options.tokenizer_name)) check_on_hub(options.tokenizer_name, options.hub);
  if (is_on_hub(options)) check_all({[&] { check_storage(options); }, [&] { check_on_hub(options.path(), options.hub); }});
}

void place_adapter(ModelOptions& options) {
  options.peft_model_id = place_on_disk(options.peft_model_id, main_branch(options), ModelPart::adapter);
}

AdapterConfig adopt_adapter(ModelOptions& model, DataOptions& data, EvaluationOptions& evaluation, const OptionSet& set) {
  if (model.peft_model_id.empty()) return {};
  place_adapter(model);
  AdapterConfig config = read_adapter_config(model.peft_model_id);
  adopt_model(config, model, data, set);
  adopt_dtype(config, model, set);
  adopt_task(config, data, evaluation, set);
  return config;
}

void place_model(ModelOptions& options) {
  options.model_path = place_on_disk(options.path(), options.hub, ModelPart::all);
  if (!options.tokenizer_name.empty())
    options.tokenizer_path = place_on_disk(options.tokenizer_name, options.hub, ModelPart::tokenizer);
  if (visual_is_on_hub(options.images))
    options.images.visual_path = place_on_disk(options.images.visual, main_branch(options), ModelPart::vision);
}

void check_output_folder(const fs::path& folder) {
  if (!can_make_folder(folder)) fail(Code::io, "output_dir", "a folder that can be written", quote(folder.string()));
}

TokenizerRules tokenizer_rules(Quirks quirks) {
  return quirks.tokenizes_as_transformers_4() ? TokenizerRules::transformers_4 : TokenizerRules::transformers_5;
}

namespace {

const std::string& tokenizer_place(const ModelOptions& options) {
  if (options.tokenizer_name.empty()) return options.path();
  return options.tokenizer_path.empty() ? options.tokenizer_name : options.tokenizer_path;
}

}  // namespace

std::shared_ptr<const Tokenizer> load_model_tokenizer(const ModelOptions& options, Quirks quirks) {
  const TokenizerRules rules = tokenizer_rules(quirks);
  return load_tokenizer(tokenizer_place(options), rules);
}

std::shared_ptr<const ChatForm> load_model_chat_form(const ModelOptions& options, const Tokenizer& tokenizer,
                                                     Architecture architecture) {
  if (architecture != Architecture::decoder)
    fail(Code::bad_input, options.path(), "a decoder-only model for conversations", "another");
  return load_chat_form(tokenizer_place(options), tokenizer);
}

Quirks quirks_for(const ModelOptions& model, const DataOptions& data, bool trains) {
  if (data.original_quirks || trains || model.peft_model_id.empty()) return quirks_of(data);
  const AdapterConfig config = read_adapter_config(model.peft_model_id);
  return Quirks::of_adapter(config.runs_as_peft() ? Semantics::dept : config.semantics);
}

namespace {

std::optional<int64_t> target_end_id(const ModelInfo& model, const Tokenizer& tokenizer, const std::string& end) {
  if (end == "none") return std::nullopt;
  if (end == "pad" && tokenizer.pad_id) return tokenizer.pad_id;
  if (tokenizer.eos_id || model.eos_ids.empty()) return tokenizer.eos_id;
  return model.eos_ids.front();
}

}  // namespace

EncodeRules encode_rules(const ModelInfo& model, const Tokenizer& tokenizer, const DataOptions& data, DeltaAlignment alignment,
                         Quirks quirks) {
  EncodeRules rules;
  rules.architecture = model.architecture;
  rules.max_source = data.max_seq_length;
  rules.vocab = model.vocab;
  rules.causal_suffix = data.causal_suffix;
  rules.truncate_head = data.truncate_head;
  rules.bare_targets = data.target_start == "none";
  rules.end_id = target_end_id(model, tokenizer, data.target_end);
  rules.decoder_start_id = model.decoder_start_id.value_or(0);
  rules.alignment = alignment;
  rules.quirks = quirks;
  return rules;
}

void limit_to_positions(EncodeRules& rules, const ModelInfo& model, const Tokenizer& tokenizer, int64_t prompt) {
  if (model.max_positions == 0 || rules.quirks.ignores_position_limit()) return;
  rules.room = model.max_positions - prompt - (rules.visual ? rules.visual->tokens() : 0);
  rules.answer = rules.head ? 0 : 1;
  if (rules.head) return;
  for (const Ids& label : encode_targets(tokenizer, rules, rules.label_words, 1))
    rules.answer = std::max(rules.answer, static_cast<int64_t>(label.size()));
}

std::string task_type_for(const ModelInfo& model, const std::optional<std::string>& wanted) {
  const std::string own = model.encoder_decoder()                       ? "SEQ_2_SEQ_LM"
                          : model.architecture == Architecture::encoder ? "SEQ_CLS"
                                                                        : "CAUSAL_LM";
  if (!wanted || *wanted == own) return own;
  if (*wanted != "SEQ_CLS" || model.head == HeadForm::none)
    fail(Code::usage, "task_type", str(own, ", as the model is ", model.model_type), *wanted);
  return *wanted;
}

namespace {

std::unique_ptr<InputAdapter> with_scale_zero(const InputAdapter& adapter) {
  AdapterShape shape = adapter.shape();
  shape.alpha = 0;
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : adapter.parameters()) values.push_back(parameter.value);
  return make_adapter(dept_method(), shape, values);
}

}  // namespace

void attach_adapter(ModelParts& parts, const Adapter& adapter, const ModelInfo& info, const std::vector<std::string>& labels) {
  const AdapterConfig& config = parts.config = adapter.config;
  parts.weights = adapter.weights;
  parts.rules.alignment = config.delta_alignment;
  if (!parts.has_head()) return;
  const Quirks& quirks = parts.rules.quirks;
  if (quirks.never_applies_delta_to_encoders() && info.architecture == Architecture::encoder && config.decomposed())
    parts.weights.input = with_scale_zero(*adapter.weights.input);
  parts.pooling = config.pooling.value_or(default_pooling(info.architecture));
  check_pooling(parts.pooling, info.architecture);
  const HeadWeights& head = parts.weights.head;
  if (head.form != info.head || head.out.size(2) != info.hidden)
    fail(Code::bad_input, "adapter", str("a classification head as ", info.model_type, " has it, of width ", info.hidden),
         str("another, of width ", head.out.size(2)));
  const auto needed = std::max<int64_t>(1, static_cast<int64_t>(labels.size()));
  if (quirks.takes_models_num_labels() ? head.labels() < needed : head.labels() != needed)
    fail(Code::bad_input, "labels", str(head.labels(), " names, in the order of the head's logits"), str(labels.size()));
}

std::shared_ptr<const VisualInput> visual_of(const ModelParts& parts, const ModelOptions& options) {
  if (!parts.config.visual) return nullptr;
  if (!sees_images(options.images))
    fail(Code::usage, "--visual", "where the images' tokens come from, as the adapter sees images", "none");
  auto visual = std::make_shared<const VisualInput>(options.images, make_context(options));
  visual->check_fit(*parts.config.visual);
  return visual;
}

ModelParts read_parts(const ModelOptions& options, const DataOptions& data, ModelUse use,
                      std::shared_ptr<const Tokenizer> tokenizer) {
  const ModelInfo info = check_model(options);
  ModelParts parts;
  parts.tokenizer = tokenizer ? std::move(tokenizer) : load_model_tokenizer(options, quirks_of(data));
  parts.weights.input = no_adapter(info.input_width());
  EncodeRules& rules = parts.rules;
  rules = encode_rules(info, *parts.tokenizer, data, DeltaAlignment::end, quirks_for(options, data, false));
  if (!options.peft_model_id.empty()) {
    const AdapterUse wanted = use == ModelUse::training ? AdapterUse::training : AdapterUse::answers;
    const Adapter adapter = load_adapter(options.peft_model_id, info.input_width(), {.use = wanted});
    attach_adapter(parts, adapter, info, data.task.labels);
    if (adapter.config.runs_as_peft() && !info.eos_ids.empty()) rules.end_id = info.eos_ids.front();
  }
  if (info.architecture == Architecture::encoder && !parts.has_head())
    fail(Code::usage, "--peft_model_id", str("an adapter with a classification head, as ", info.model_type, " only encodes"),
         "none");
  rules.head = parts.has_head();
  rules.label_words = data.task.label_words.empty() ? data.task.labels : data.task.label_words;
  rules.truncate = data.truncate;
  if (data.task.chat) rules.chat = load_model_chat_form(options, *parts.tokenizer, info.architecture);
  rules.visual = visual_of(parts, options);
  limit_to_positions(rules, info, *parts.tokenizer, parts.weights.input->prompt_tokens());
  if (!parts.has_head()) check_label_ids(*parts.tokenizer, rules, data.task.labels, data.task.label_words);
  return parts;
}

AdaptedModel load_adapted_model(ModelParts parts, const ModelOptions& options, const ModelContext& context) {
  parts.backbone = load_backbone(options.path(), context);
  return AdaptedModel(fold(std::move(parts)));
}

}  // namespace dept
