// The adapter that a run starts from.
#include "train/first_adapter.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "dept/adapter/init.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/models/label_names.h"
#include "dept/train/setup.h"

namespace dept {
int64_t hidden_units(const TrainOptions& o, const ModelInfo& info) {
  return o.adapter.encoder_hidden_size > 0 ? o.adapter.encoder_hidden_size : info.input_width();
}

namespace {

// What a file says of the model and of the rules that it is trained under.
void adopt_file_form(AdapterConfig& config, Quirks quirks, const TrainOptions& o, const ModelInfo& model) {
  if (quirks.file_form() == Semantics::dept && config.original()) {  // trained on as the default has it
    config.num_transformer_submodules = 1;
    config.delta_alignment = parse_delta_alignment(o.adapter.delta_alignment);
    if (config.classifies()) config.pooling = default_pooling(model.architecture);
  }
  config.semantics = quirks.file_form();
  if (config.original() && config.num_layers == 0) {  // a new one: of T5 the encoder's
    config.num_layers = model.encoder_decoder() ? value_or<int64_t>(read_json(fs::path(o.model.path()) / "config.json"),
                                                                    "num_layers", model.layers, o.model.path())
                                                : model.layers;
    config.num_attention_heads = model.heads;
  }
  config.hidden_size = config.original() ? AdapterConfig().hidden_size : model.hidden;
}

// Where the model is, so that it is found again from another folder.
void name_model(AdapterConfig& config, const TrainOptions& o, Quirks quirks) {
  const ModelOptions& m = o.model;
  const auto name = [&](const std::string& given) { return quirks.names_model_as_given() ? given : lasting_name(given); };
  config.base_model_name_or_path = name(m.model_name_or_path);
  config.tokenizer_name_or_path = name(m.tokenizer_name.empty() ? m.model_name_or_path : m.tokenizer_name);
  config.revision = is_on_hub(m.model_name_or_path) && m.hub.revision != HubFlags().revision ? m.hub.revision : "";
}

AdapterConfig new_config(const TrainOptions& o, const ModelInfo& model) {
  AdapterConfig config;
  config.method = &find_method(o.adapter.peft_type);
  config.r = o.adapter.r;
  config.lora_alpha = o.adapter.lora_alpha;
  config.encoder_hidden_size = hidden_units(o, model);
  config.adapter_dropout = o.adapter.adapter_dropout;
  config.projection_seed = o.adapter.projection_seed;
  config.max_length = o.data.max_seq_length;
  config.num_virtual_tokens = o.adapter.prefix_length;
  config.num_transformer_submodules = o.adapter.num_transformer_submodules;
  config.token_dim = model.input_width();
  config.prompt_tuning_init = o.adapter.prompt_tuning_init;
  config.prompt_tuning_init_text = o.adapter.prompt_tuning_init_text;
  config.task_type = task_type(o, model);
  config.delta_alignment = parse_delta_alignment(o.adapter.delta_alignment);
  if (config.classifies())
    config.pooling = o.adapter.pooling ? parse_pooling(*o.adapter.pooling) : default_pooling(model.architecture);
  return config;
}

// As many as the task's labels, or as the model has.
int64_t head_labels(const std::string& model, const TaskData& task, Quirks quirks) {
  if (!quirks.takes_models_num_labels()) return std::max<int64_t>(1, static_cast<int64_t>(task.labels.size()));
  const fs::path path = fs::path(model) / "config.json";
  const Json config = read_json(path);
  if (config.contains("id2label") && config["id2label"].is_object()) return static_cast<int64_t>(config["id2label"].size());
  return value_or<int64_t>(config, "num_labels", 2, path.string());
}

// The rows of a model's own head in the order of the task's labels, where their names tell it; else as they are.
void order_by_names(HeadWeights& head, const fs::path& model, const std::vector<std::string>& labels) {
  const std::vector<std::string> names = label_names(model);
  if (names.size() != labels.size() || labels.size() < 2) return;
  const auto rows = rows_of_labels(names, labels);
  if (!rows) {
    log::warn(str("the model's head tells apart ", join(names, ", "), "; the data ", join(labels, ", "),
                  ": its rows are taken in this order, whatever their names"));
    return;
  }
  const at::Tensor order = at::tensor(*rows);
  head.out = head.out.index_select(1, order);
  if (head.out_bias.defined()) head.out_bias = head.out_bias.index_select(1, order);
}

// The head that the model's checkpoint holds for as many labels, else a fresh one.
HeadWeights start_head(const std::string& model, const TaskData& task, Quirks quirks, const at::Generator& generator) {
  const ModelInfo info = read_model_info(model);
  const int64_t labels = head_labels(model, task, quirks);
  std::optional<HeadWeights> own = checkpoint_head(model, info.head, labels, info.hidden);
  log::info(own ? "the classification head starts as the model's own" : "the classification head starts at random");
  if (!own) return init_head(info.head, labels, info.hidden, info.initializer_range, generator);
  if (!quirks.takes_models_label_order()) order_by_names(*own, model, task.labels);
  return *own;
}

// Those of --peft_model_id, whose config then decides method, rank and prompt; its head stays for its own labels.
Adapter given_adapter(const TrainOptions& o, const Backbone& backbone, const TaskData& task, Quirks quirks,
                      const at::Generator& generator) {
  AdapterLoad load{o.output.do_train ? AdapterUse::training : AdapterUse::answers, static_cast<uint64_t>(o.schedule.seed),
                   o.adapter.load_lora_embeddings, o.adapter.load_lora_embedding_B};
  Adapter adapter = load_adapter(o.model.peft_model_id, backbone.info().input_width(), load);
  name_model(adapter.config, o, quirks);  // given with it, another one than it was trained with
  if (adapter.config.classifies() && !adapter.config.original() && adapter.config.task.labels != task.labels)
    adapter.weights.head = start_head(o.model.path(), task, quirks, generator);
  if (!quirks.keeps_idle_prompt()) adapter.weights.idle.reset();
  adopt_file_form(adapter.config, quirks, o, backbone.info());
  return adapter;
}

Adapter fresh_adapter(const TrainOptions& o, const Backbone& backbone, const Tokenizer& tokenizer, const TaskData& task,
                      Quirks quirks, const at::Generator& generator) {
  Adapter adapter{new_config(o, backbone.info()), {}};
  AdapterConfig& config = adapter.config;
  name_model(config, o, quirks);
  adopt_file_form(config, quirks, o, backbone.info());
  const AdapterShape shape = shape_of(config);
  const auto prompt = [&] {
    const at::Tensor rows = config.prompt_tuning_init == "RANDOM"
                                ? init_prompt_random(config.prompt_rows(), config.token_dim, generator)
                                : init_prompt_text(backbone, tokenizer, config.prompt_tuning_init_text, config.prompt_rows());
    const int64_t used = shape.prompt_rows();
    if (used < rows.size(0)) adapter.weights.idle = rows.narrow(0, used, rows.size(0) - used).unsqueeze(0).contiguous();
    return rows.narrow(0, 0, used);
  };
  adapter.weights.input = start_adapter(*config.method, shape, {prompt, generator});
  if (config.classifies()) adapter.weights.head = start_head(o.model.path(), task, quirks, generator);
  return adapter;
}

// A visual embedding where the run sees images: the adapter's own, else a fresh one.
void add_visual(Adapter& adapter, const TrainOptions& o, const ModelParts& parts, const at::Generator& generator) {
  AdapterConfig& config = adapter.config;
  const VisualInput* visual = parts.rules.visual.get();
  if (visual == nullptr && !config.visual) return;
  if (visual == nullptr) fail(Code::usage, "--visual", "what the adapter sees of images", o.model.images.visual);
  if (config.visual) {
    visual->check_fit(*config.visual);
  } else {
    const ModelInfo& info = parts.backbone->info();
    const VisualForm usual = info.encoder_decoder() ? VisualForm::clip_t5 : VisualForm::linear;
    config.visual.emplace();
    config.visual->form = o.adapter.visual_embedding ? parse_visual_form(*o.adapter.visual_embedding) : usual;
    config.visual->tokens = visual->tokens();
    config.visual->channels = visual->channels();
    adapter.weights.visual =
        init_visual(config.visual->form, {visual->tokens(), visual->channels(), info.input_width()}, generator);
  }
  config.visual->source = lasting_visual(o.model.images.visual);
}

}  // namespace

AdapterTask adapter_task(const TrainOptions& o, const TaskData& data) {
  AdapterTask task;
  task.source_template = o.data.task.source_template;
  task.text_column = o.data.task.text_column;
  task.text_pair_column = o.data.task.text_pair_column;
  task.label_column = o.data.task.label_column;
  task.image_column = o.data.task.image_column;
  task.causal_suffix = o.data.causal_suffix;
  task.target_start = o.data.target_start;
  task.target_end = o.data.target_end;
  task.truncate_head = o.data.truncate_head;
  task.chat = data.chat;
  task.labels = data.labels;
  task.label_words = data.label_words;
  task.predict_by = o.evaluation.predict_by;
  task.generation_max_length = o.evaluation.generation_max_length;
  task.generation_num_beams = o.evaluation.generation_num_beams;
  task.max_new_tokens = o.evaluation.max_new_tokens;
  const bool int8 = o.model.quantization || o.model.backbone_dtype == "int8";
  task.dtype = int8 ? "int8" : o.model.dtype;
  return task;
}

namespace {

Adapter first_adapter(const TrainOptions& o, const ModelParts& parts, const TaskData& task) {
  const at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(o.schedule.seed));
  const Quirks quirks = parts.rules.quirks;
  Adapter adapter = o.model.peft_model_id.empty() ? fresh_adapter(o, *parts.backbone, *parts.tokenizer, task, quirks, generator)
                                                  : given_adapter(o, *parts.backbone, task, quirks, generator);
  add_visual(adapter, o, parts, generator);
  return adapter;
}

}  // namespace

AdaptedModel run_model(const TrainOptions& o, const RunData& data, std::shared_ptr<const Backbone> backbone,
                       const fs::path& saved) {
  ModelParts parts;
  parts.backbone = std::move(backbone);
  parts.tokenizer = data.tokenizer;
  parts.rules = data.rules;
  parts.class_weights = data.class_weights;
  parts.label_smoothing = o.optimizer.label_smoothing_factor;
  parts.backbone_dropout = !o.adapter.backbone_dropout;
  const ModelInfo& info = parts.backbone->info();
  Adapter adapter = saved.empty() ? first_adapter(o, parts, data.task) : load_adapter(saved, info.input_width());
  adapter.config.task = adapter_task(o, data.task);
  attach_adapter(parts, adapter, info, data.task.labels);
  return AdaptedModel(std::move(parts));
}

}  // namespace dept
