#include "serve/served_model.h"

#include <ATen/core/Tensor.h>

#include <chrono>
#include <limits>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tasks/source_template.h"
#include "dept/train/setup.h"

namespace dept::serve {
namespace {

// The last part of a model's path.
std::string name_of(const std::string& model) {
  fs::path path = fs::path(model).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  return path.extension() == ".gguf" ? path.stem().string() : path.filename().string();
}

int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// What the model's files say where a request says nothing.
GenerationOptions writing_options(const Base& base, int64_t beams) {
  AskedGeneration asked;
  asked.max_new_tokens = 1;
  asked.num_beams = beams;
  asked.num_return_sequences = 1;
  asked.do_sample = true;
  asked.temperature = asked.top_p = 1;
  asked.top_k = 0;
  GenerationOptions options = generation_options(base.options.path(), base.info(), asked);
  // A model that names no end token at all has its tokenizer's.
  if (base.info().eos_ids.empty() && options.eos_ids.empty() && base.tokenizer->eos_id)
    options.eos_ids = {*base.tokenizer->eos_id};
  return options;
}

void find_chat(Base& base) {
  try {
    base.chat = load_model_chat_form(base.options, *base.tokenizer, base.info().architecture);
  } catch (const Error& error) {
    if (error.code() == Code::bug) throw;
    base.no_chat = error.what();
  }
}

}  // namespace

void refuse(Refusal refusal, std::string_view param, std::string_view expected, std::string_view received) {
  throw RequestError(refusal, std::string(param),
                     str("[", param.empty() ? "engine" : param, "] expected ", expected, ", received ", received));
}

Base load_base(ModelOptions options) {
  options.peft_model_id.clear();
  check_source(options);
  place_model(options);
  const ModelInfo info = check_model(options);
  if (info.architecture == Architecture::encoder)
    fail(Code::usage, "--model_name_or_path", "a model that writes text", str(info.model_type, ", an encoder"));
  Base base;
  base.name = name_of(options.model_name_or_path);
  base.tokenizer = load_model_tokenizer(options, Quirks());
  base.backbone = load_backbone(options.path(), make_context(options));
  base.options = std::move(options);
  base.one_by_one = writing_options(base, 1);
  base.by_beams = writing_options(base, 2);
  find_chat(base);
  return base;
}

ServedModel::ServedModel(const Base& base) : tokenizer_(base.tokenizer) {
  entry_.id = base.name;
  entry_.root = base.options.path();
  entry_.created = seconds_now();
  ModelParts parts;
  parts.backbone = base.backbone;
  parts.tokenizer = base.tokenizer;
  parts.weights.input = no_adapter(base.info().input_width());
  complete_with(std::move(parts));
}

ServedModel::ServedModel(const Base& base, const std::string& name, const fs::path& folder) : tokenizer_(base.tokenizer) {
  if (!fs::is_directory(folder)) fail(Code::io, folder.string(), "an adapter's folder", "none");
  ModelOptions model = base.options;
  model.peft_model_id = folder.string();
  DataOptions data;
  EvaluationOptions evaluation;
  const AdapterConfig config = adopt_adapter(model, data, evaluation, OptionSet());
  if (config.visual)
    fail(Code::usage, folder.string(), "an adapter that sees texts alone (dept predict takes images)", "one that sees images");
  adopt_label_names(config, model, data);
  ModelParts parts = read_parts(model, data, ModelUse::answering, base.tokenizer);
  parts.backbone = base.backbone;
  parts = fold(std::move(parts));
  entry_.id = name;
  entry_.root = folder.string();
  entry_.parent = base.name;
  entry_.created = seconds_now();
  entry_.soft_prompt = parts.weights.input->prompt_tokens();
  entry_.completes = !parts.has_head();
  entry_.labels = data.task.labels;
  entry_.classifies = !entry_.labels.empty();
  if (entry_.completes) complete_with(parts);
  if (!entry_.classifies) return;
  source_template_ = data.task.source_template;
  TaskData task;
  task.labels = data.task.labels;
  task.label_words = data.task.label_words.empty() ? task.labels : data.task.label_words;
  evaluation.predict_by = "score";
  scorer_.emplace(std::move(parts));
  rules_ = predict_rules(evaluation, task, *scorer_, base.backbone->context().threads);
  entry_.labels = rules_.labels;
  if (!writing_) keep_prompt(*scorer_);
}

// As `dept generate` takes ids: whole, all of them source.
void ServedModel::complete_with(ModelParts parts) {
  const int64_t rows = parts.weights.input->max_text();
  EncodeRules rules;
  rules.architecture = parts.backbone->info().architecture;
  rules.decoder_start_id = parts.backbone->info().decoder_start_id.value_or(0);
  rules.max_source = rows > 0 ? rows : std::numeric_limits<int64_t>::max();
  rules.alignment = rows > 0 ? parts.rules.alignment : DeltaAlignment::start;
  parts.rules = std::move(rules);
  writing_.emplace(std::move(parts));
  keep_prompt(*writing_);
}

void ServedModel::keep_prompt(const AdaptedModel& model) {
  const ModelInfo& info = model.backbone().info();
  const at::ScalarType residual = model.backbone().context().residual();
  const InputAdapter& adapter = model.adapter();
  if (adapter.decoder_prompt_tokens() > 0) decoder_prompt_ = adapter.decoder_prompt()[0].to(residual).clone();
  if (info.encoder_decoder() || info.rotates_by_length || adapter.prompt_tokens() == 0) return;
  const at::Tensor rows = adapter.whole_prompt()[0].narrow(0, 0, adapter.prompt_tokens());
  prompt_ = std::make_shared<SoftPrompt>(SoftPrompt{rows.to(residual).clone()});
}

Ids ServedModel::prompt_ids(const std::string& text) const {
  if (find_invalid_utf8(text) != std::string::npos) refuse(Refusal::invalid, "prompt", "UTF-8", "other bytes");
  return tokenizer_->encode(text);
}

void ServedModel::check_prompt(const Ids& ids, int64_t behind) const {
  const ModelInfo& info = writing_->backbone().info();
  const int64_t most = writing_->adapter().max_text(), length = static_cast<int64_t>(ids.size());
  for (const int64_t id : ids)
    if (id < 0 || id >= info.vocab) refuse(Refusal::invalid, "prompt", str("ids from 0 to ", info.vocab - 1), str(id));
  if (length + soft_prompt() == 0) refuse(Refusal::invalid, "prompt", "at least one token", "none");
  if (most > 0 && length > most)
    refuse(Refusal::invalid, "prompt", str("at most ", most, " tokens (the adapter's max_length)"), str(length));
  if (info.encoder_decoder() || info.max_positions == 0 || soft_prompt() + length + behind <= info.max_positions) return;
  refuse(Refusal::context_length, "prompt",
         str("soft prompt, prompt and max_tokens within the model's ", info.max_positions, " positions"),
         str(soft_prompt(), ", ", length, " and ", behind));
}

ContinuousSource ServedModel::source(const Ids& ids, int64_t example) const {
  return source_of(*writing_, {example, ids, {}});
}

// The prompt is left out where it stands as a sequence of its own.
ContinuousSource ServedModel::source_of(const AdaptedModel& model, const Example& example) const {
  const Batch batch = collate(model.rules(), std::span(&example, 1), Purpose::answering);
  const Stream stream = model.adapt_source({}, batch.source, batch.source_ids).source.stream;
  ContinuousSource source;
  source.prompt = prompt_;
  source.embeds = stream.embeds.narrow(0, prompt_ ? soft_prompt() : 0, stream.embeds.size(0) - (prompt_ ? soft_prompt() : 0))
                      .to(model.backbone().context().residual());
  source.decoder_prompt = decoder_prompt_;
  source.example = example.index;
  return source;
}

std::vector<Example> ServedModel::examples(const std::vector<std::string>& texts) const {
  std::vector<TextExample> rows;
  try {
    for (size_t i = 0; i < texts.size(); ++i) {
      TextExample row;
      row.index = static_cast<int64_t>(i);
      row.source = fill_template(source_template_, texts[i], str("input ", i), "an adapter whose template has {text} alone");
      rows.push_back(std::move(row));
    }
    std::vector<Example> examples = encode_examples(*tokenizer_, scorer_->rules(), rows, 1);
    for (Example& example : examples) example.target = {0};  // its input is what stands before it: the source alone
    return examples;
  } catch (const Error& error) {
    if (error.code() == Code::bug) throw;
    throw RequestError(Refusal::invalid, "input", error.what());
  }
}

}  // namespace dept::serve
