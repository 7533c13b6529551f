#include "dept/train/run.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <chrono>
#include <iterator>

#include "dept/adapter/init.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/dist/group.h"
#include "dept/models/label_names.h"
#include "dept/train/advice.h"
#include "dept/train/class_weights.h"
#include "dept/train/folder_lock.h"
#include "dept/train/identity.h"
#include "dept/train/loop.h"
#include "dept/train/marker.h"
#include "dept/train/outputs.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"
#include "dept/train/tensorboard.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

int64_t prompt_length(const TrainOptions& o) {
  const std::string& adapter = o.model.peft_model_id;
  return adapter.empty() ? o.adapter.prefix_length : read_adapter_config(adapter).num_virtual_tokens;
}

void check_positions(const ModelInfo& info, const TrainOptions& o) {
  const int64_t needed = prompt_length(o) + o.data.max_seq_length;
  if (info.max_positions > 0 && needed > info.max_positions)
    fail(Code::usage, "prefix_length + max_seq_length", str("at most the model's ", info.max_positions, " positions"),
         str(needed));
}

// Adapter and optimiser of the checkpoints that stand at once, in fp32; the head is small beside them.
void check_room(const ModelInfo& info, const TrainOptions& o) {
  if (!o.output.do_train || !o.model.peft_model_id.empty()) return;
  const auto m = static_cast<double>(o.adapter.prefix_length * o.adapter.num_transformer_submodules);
  const auto r = static_cast<double>(o.adapter.r), s = static_cast<double>(o.data.max_seq_length);
  const auto d = static_cast<double>(info.input_width());
  const double state = 3 * sizeof(float) * (m * d + s * r + r * d), checkpoints = o.output.save_strategy == "no" ? 1 : 2;
  check_free_space(o.output.output_dir, state * checkpoints);
}

// The adapter's own task type with --peft_model_id.
std::string task_type(const TrainOptions& o, const ModelInfo& info) {
  if (o.model.peft_model_id.empty()) return task_type_for(info, o.adapter.task_type);
  const std::string told = read_adapter_config(o.model.peft_model_id).task_type;
  const std::string own = task_type_for(info, told.empty() ? std::nullopt : std::optional(told));
  if (o.adapter.task_type && *o.adapter.task_type != own)
    fail(Code::usage, "task_type", own + ", the adapter's", *o.adapter.task_type);
  return own;
}

void check_head(const ModelInfo& info, const TrainOptions& o) {
  const bool head = task_type(o, info) == "SEQ_CLS";
  if (o.adapter.pooling && !head) fail(Code::usage, "pooling", "a task_type of SEQ_CLS with it", *o.adapter.pooling);
  if (o.adapter.pooling) check_pooling(parse_pooling(*o.adapter.pooling), info.architecture);
}

void check_weights(const ModelInfo& info, const TrainOptions& o) {
  const std::string& weights = o.optimizer.class_weights;
  if (weights.empty()) return;
  if (task_type(o, info) != "SEQ_CLS") fail(Code::usage, "class_weights", "a classification head (--task_type SEQ_CLS)", "none");
  if (o.data.original_quirks)
    fail(Code::usage, "class_weights", "none under --original_quirks, as the original has none", weights);
}

// The original's loss of it is that of a head alone (docs/parity.md, row 13).
void check_smoothing(const ModelInfo& info, const TrainOptions& o) {
  if (o.data.original_quirks && o.optimizer.label_smoothing_factor > 0 && task_type(o, info) != "SEQ_CLS")
    fail(Code::usage, "label_smoothing_factor",
         str("0 for ", info.model_type, " under --original_quirks, as it ends the original's run"),
         str(o.optimizer.label_smoothing_factor));
}

// The splits that the run works on.
std::vector<SplitName> splits_of(const OutputOptions& output) {
  std::vector<SplitName> splits;
  if (output.do_train) splits.push_back(SplitName::train);
  if (output.do_eval) splits.push_back(SplitName::validation);
  if (output.do_predict) splits.push_back(SplitName::test);
  return splits;
}

// Whether model and options agree, once the model is on disk.
void check_fit(const TrainOptions& o) {
  const ModelInfo info = check_model(o.model);
  check_all({[&] { check_positions(info, o); }, [&] { check_head(info, o); }, [&] { check_room(info, o); },
             [&] { check_smoothing(info, o); }, [&] { check_weights(info, o); },
             [&] { check_submodules(o.adapter.num_transformer_submodules, info); }});
}

ClaimRules claim_rules(const OutputOptions& o) {
  const std::string from = o.resume_from_checkpoint.value_or("false");
  return {o.overwrite_output_dir, from != "false" && from != "False"};
}

// All that can be known before the model is loaded, all problems at once.
Claim check(const TrainOptions& o, const RunIdentity& run) {
  Claim claim = Claim::fresh;
  check_all({[&] { check_task(o.data, o.schedule.seed, splits_of(o.output)); },
             [&] {
               if (check_source(o.model)) check_fit(o);
             },
             [&] { parse_dtype(o.model.dtype); }, [&] { check_class_weights(o.optimizer.class_weights); },
             [&] {
               if (o.output.resume_from_checkpoint) checkpoint_to_resume(o.output);
             },
             [&] {
               if (o.output.do_train) claim = check_claim(o.output.output_dir, run, claim_rules(o.output));
             },
             [&] { check_output_folder(o.output.output_dir); }});
  return claim;
}

void check_metrics(const TrainOptions& o, const TaskData& task, bool head) {
  std::string name = o.evaluation.metric_for_best_model;
  if (name.rfind("eval_", 0) == 0) name.erase(0, 5);
  if (!name.empty() && name != "loss" && std::find(task.metrics.begin(), task.metrics.end(), name) == task.metrics.end())
    fail(Code::usage, "metric_for_best_model", str("loss, ", join(task.metrics, ", ")), quote(name));
  const bool predicts = head || o.evaluation.predict_by == "score" || o.evaluation.predict_with_generate;
  if (!name.empty() && name != "loss" && !predicts)
    fail(Code::usage, "metric_for_best_model", "loss, as --predict_with_generate false makes no predictions", quote(name));
  if (!head && o.evaluation.predict_by == "score" && (task.free_text() || task.numeric()))
    fail(Code::usage, "predict_by", "generate, as answers are no labels", "score");
}

struct Data {
  TaskData task;
  Split train, validation, test;
  OrderedJson contents;                       // digests of rows that are in no file of the user's
  std::vector<std::string> counts, warnings;  // to be said of them
};

Split make_split(std::string_view name, std::vector<TextExample>& texts, const TrainOptions& o, const Pipeline& pipeline,
                 int threads, Data& data) {
  if (texts.empty()) return {};
  Cuts cuts;
  std::vector<Example> examples = encode_examples(*pipeline.tokenizer, pipeline.rules, texts, threads, &cuts);
  SplitReport report = report_split(name, data.task, texts, examples, cuts, pipeline.rules, o.evaluation.generation_max_length);
  data.counts.push_back(std::move(report.counts));
  if (name == "train" && !report.cut.empty()) data.counts.push_back(std::move(report.cut));
  std::move(report.warnings.begin(), report.warnings.end(), std::back_inserter(data.warnings));
  return {std::move(texts), std::move(examples)};
}

// Every row is read and tokenised before the model is: a bad one is found now. Sets the pipeline's tokenizer and rules.
Data read_data(const TrainOptions& o, int threads, Pipeline& pipeline) {
  const ModelInfo info = read_model_info(o.model.path());
  const bool head = task_type(o, info) == "SEQ_CLS";
  Data data;
  data.task = load_task(o.data, o.schedule.seed, splits_of(o.output), head);
  data.contents = row_contents(o.data, data.task);
  check_metrics(o, data.task, head);
  pipeline.tokenizer = load_model_tokenizer(o.model, o.data.original_quirks);
  pipeline.rules = encode_rules(info, *pipeline.tokenizer, o.data, parse_delta_alignment(o.adapter.delta_alignment),
                                semantics_for(o.model, o.data, o.output.do_train));
  pipeline.rules.head = head;
  pipeline.rules.label_words = data.task.label_words;
  limit_to_positions(pipeline.rules, info, *pipeline.tokenizer, prompt_length(o));
  pipeline.rules.max_target = longest_target(data.task, o.evaluation, *pipeline.tokenizer, pipeline.rules);
  if (!head && !data.task.numeric())
    check_label_ids(*pipeline.tokenizer, pipeline.rules, data.task.labels, data.task.label_words);
  pipeline.class_weights = class_weights(o.optimizer.class_weights, data.task);
  if (std::string question = question_labels(data.task); !o.data.named() && o.data.task.labels.empty() && !question.empty())
    data.warnings.push_back(std::move(question));
  data.train = make_split("train", data.task.train, o, pipeline, threads, data);
  data.validation = make_split("validation", data.task.validation, o, pipeline, threads, data);
  data.test = make_split("test", data.task.test, o, pipeline, threads, data);
  data.train.texts = {};  // training needs their ids alone
  return data;
}

// What a file says of the model and of the rules that it is trained under.
void adopt_semantics(AdapterConfig& config, Semantics semantics, const TrainOptions& o, const ModelInfo& model) {
  if (semantics == Semantics::dept && config.original()) {  // trained on as the default has it
    config.num_transformer_submodules = 1;
    config.delta_alignment = parse_delta_alignment(o.adapter.delta_alignment);
    if (config.classifies()) config.pooling = default_pooling(model.architecture);
  }
  config.semantics = semantics;
  if (config.original() && config.num_layers == 0) {  // a new one: of T5 the encoder's
    config.num_layers = model.encoder_decoder() ? value_or<int64_t>(read_json(fs::path(o.model.path()) / "config.json"),
                                                                    "num_layers", model.layers, o.model.path())
                                                : model.layers;
    config.num_attention_heads = model.heads;
  }
  config.hidden_size = config.original() ? AdapterConfig().hidden_size : model.hidden;
}

// Where the model is, so that it is found again from another folder; the original writes what it was told.
void name_model(AdapterConfig& config, const TrainOptions& o, Semantics semantics) {
  const ModelOptions& m = o.model;
  const auto name = [&](const std::string& given) { return semantics == Semantics::dept ? lasting_name(given) : given; };
  config.base_model_name_or_path = name(m.model_name_or_path);
  config.tokenizer_name_or_path = name(m.tokenizer_name.empty() ? m.model_name_or_path : m.tokenizer_name);
  config.revision = is_on_hub(m.model_name_or_path) && m.hub.revision != HubFlags().revision ? m.hub.revision : "";
}

// How this run makes input of text and answers, for those who use the adapter.
AdapterTask adapter_task(const TrainOptions& o, const TaskData& data) {
  AdapterTask task;
  task.source_template = o.data.task.source_template;
  task.text_column = o.data.task.text_column;
  task.text_pair_column = o.data.task.text_pair_column;
  task.label_column = o.data.task.label_column;
  task.causal_suffix = o.data.causal_suffix;
  task.truncate_head = o.data.truncate_head;
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

AdapterConfig new_config(const TrainOptions& o, const ModelInfo& model) {
  AdapterConfig config;
  config.peft_type = parse_peft_type(o.adapter.peft_type);
  config.r = o.adapter.r;
  config.lora_alpha = o.adapter.lora_alpha;
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

// As many as the task's labels; the original takes the model's num_labels, whatever the task is.
int64_t head_labels(const std::string& model, const TaskData& task, Semantics semantics) {
  if (semantics == Semantics::dept) return std::max<int64_t>(1, static_cast<int64_t>(task.labels.size()));
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
HeadWeights start_head(const std::string& model, const TaskData& task, Semantics semantics, const at::Generator& generator) {
  const ModelInfo info = read_model_info(model);
  const int64_t labels = head_labels(model, task, semantics);
  std::optional<HeadWeights> own = checkpoint_head(model, info.head, labels, info.hidden);
  log::info(own ? "the classification head starts as the model's own" : "the classification head starts at random");
  if (!own) return init_head(info.head, labels, info.hidden, info.initializer_range, generator);
  if (semantics == Semantics::dept) order_by_names(*own, model, task.labels);
  return *own;
}

// New weights, or those of --peft_model_id, whose config then decides type, rank and prompt; its head stays for its own labels.
Adapter start_adapter(const TrainOptions& o, const Backbone& backbone, const Tokenizer& tokenizer, const TaskData& task,
                      Semantics semantics) {
  const int64_t width = backbone.info().input_width();
  const at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(o.schedule.seed));
  if (!o.model.peft_model_id.empty()) {
    Adapter adapter = load_adapter(o.model.peft_model_id, width, static_cast<uint64_t>(o.schedule.seed),
                                   {o.adapter.load_lora_embeddings, o.adapter.load_lora_embedding_B});
    name_model(adapter.config, o, semantics);  // given with it, another one than it was trained with
    if (adapter.config.classifies() && !adapter.config.original() && adapter.config.task.labels != task.labels)
      static_cast<HeadWeights&>(adapter.weights) = start_head(o.model.path(), task, semantics, generator);
    if (semantics == Semantics::dept) adapter.weights.idle.reset();
    adopt_semantics(adapter.config, semantics, o, backbone.info());
    return adapter;
  }
  AdapterConfig config = new_config(o, backbone.info());
  name_model(config, o, semantics);
  adopt_semantics(config, semantics, o, backbone.info());
  const at::Tensor prompt = config.prompt_tuning_init == "RANDOM"
                                ? init_prompt_random(config.prompt_rows(), width, generator)
                                : init_prompt_text(backbone, tokenizer, config.prompt_tuning_init_text, config.prompt_rows());
  const int64_t used = config.original() ? config.num_virtual_tokens : config.prompt_rows();
  Adapter adapter{config, init_dept(prompt.narrow(0, 0, used), config.max_length, config.r, generator)};
  if (used < config.prompt_rows()) adapter.weights.idle = prompt.narrow(0, used, used).unsqueeze(0).contiguous();
  if (config.classifies()) static_cast<HeadWeights&>(adapter.weights) = start_head(o.model.path(), task, semantics, generator);
  return adapter;
}

// The original says --max_train_samples where it is the smaller, though a row of ReCoRD may be several examples.
int64_t train_samples(const LoopInputs& in) {
  const auto examples = static_cast<int64_t>(in.train.examples.size());
  return in.options.data.original_quirks ? std::min(examples, in.options.data.max_train_samples.value_or(examples)) : examples;
}

OrderedJson train_results(const TrainingLoop& loop, const LoopInputs& in) {
  OrderedJson results = loop.state().log.back();
  for (const char* name : {"step", "total_flos"}) results.erase(name);
  results["train_samples"] = train_samples(in);
  return results;
}

// TensorBoard's file, made when there is something for it.
class Events {
 public:
  Events(const TrainOptions& options, const OrderedJson& shown) : options_(options), shown_(shown) {}

  void log(const OrderedJson& entry) {
    const OutputOptions& output = options_.output;
    if (!output.reports_to_tensorboard()) return;
    if (!writer_) {
      writer_.emplace(output.logging_dir.empty() ? fs::path(output.output_dir) / "runs" : fs::path(output.logging_dir),
                      entry.value("step", int64_t{0}));
      writer_->text("args/text_summary", "```json\n" + shown_.dump(2) + "\n```");
    }
    writer_->log(entry);
  }

 private:
  const TrainOptions& options_;
  const OrderedJson& shown_;
  std::optional<EventWriter> writer_;
};

// Evaluation on one split, its results under `name`; `trained` is what stands before it.
Evaluation judge(const LoopInputs& in, const std::string& name, const Split& split, Outputs& outputs, const TrainState* trained) {
  const auto start = Clock::now();
  Evaluation evaluation = evaluate(in.ctx, in.pipeline, in.rules, in.task, split.texts, split.examples, name, in.interrupted);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  OrderedJson results = evaluation_json(evaluation, name, seconds, in.rules.batch_size);
  if (trained != nullptr) {
    OrderedJson entry = results;
    entry["step"] = trained->step;
    in.logged(entry);
    if (name == "eval") results["epoch"] = trained->log.back()["epoch"];
  }
  results[name + "_samples"] = split.examples.size();
  outputs.results(name, results);
  log::info(results.dump());
  return evaluation;
}

// evaluation.json, and the table by class.
void show_detail(std::string_view split, const JudgedAnswers& judged, const Outputs& outputs) {
  const OrderedJson detail = evaluation_detail(split, judged);
  outputs.detail(detail);
  for (const std::string& line : class_table(detail)) log::info(line);
}

// False: interrupted.
bool train(TrainingLoop& loop, const LoopInputs& in, Outputs& outputs) {
  log::info(str(in.train.examples.size(), " examples, ", loop.total_steps(), " steps, ", loop.parameters(), " trained numbers"));
  warn_of_long_warmup(in.options.schedule, loop.total_steps());
  if (!loop.run()) return false;
  outputs.adapter(in.config, in.pipeline, {in.options.output.save_safetensors, in.options.adapter.save_lora_embeddings});
  outputs.trainer_state(loop.state(), loop.total_steps());
  outputs.results("train", train_results(loop, in));
  return true;
}

// What follows the training, or is all that is asked for. False: interrupted.
bool judge_all(const LoopInputs& in, const Data& data, Outputs& outputs, TrainingLoop* loop) {
  const TrainState* trained = loop == nullptr ? nullptr : &loop->state();
  try {
    const OutputOptions& output = in.options.output;
    if (output.do_eval) {
      const Evaluation evaluation = judge(in, "eval", data.validation, outputs, trained);
      if (!output.do_predict)
        show_detail("validation", judged_answers(evaluation, in.rules, in.task, data.validation.texts), outputs);
    }
    if (output.do_predict) {
      const Evaluation evaluation = judge(in, "test", data.test, outputs, trained);
      const JudgedAnswers judged = judged_answers(evaluation, in.rules, in.task, data.test.texts);
      outputs.predictions(judged);
      show_detail("test", judged, outputs);
    }
  } catch (const Interrupted&) {
    if (loop != nullptr) loop->save_end();
    log::info(str("interrupted in an evaluation", loop == nullptr ? "" : ", the training is done: the same command goes on"));
    return false;
  }
  outputs.all_results();
  return true;
}

void announce(const ModelInfo& info, const Context& ctx) {
  log::info(str(info.model_type, " with ", info.parameters, " parameters, held as ", info.storage, ", computed in ",
                dtype_name(ctx.compute), " on ", ctx.threads, ctx.threads == 1 ? " thread" : " threads"));
}

void adopt(TrainOptions& o, const OptionSet& set) {
  if (o.model.peft_model_id.empty()) return;
  place_adapter(o.model);
  const AdapterConfig config = read_adapter_config(o.model.peft_model_id);
  adopt_model(config, o.model, o.data, set);
  if (!o.output.do_train) {
    adopt_task(config, o.data, o.evaluation, set);
    adopt_dtype(config, o.model, set);
  }
  if (config.classifies() && !set.given("causal_suffix")) o.data.causal_suffix = config.task.causal_suffix;
  // There the flag decides the groups of learning rates and the file all else (07, row 17).
  if (o.data.original_quirks && o.adapter.peft_type == "PROMPT_TUNING") o.optimizer.lora_embedding_lr.reset();
}

// The same run is there already: as far as its options and what is on disk say.
bool done_before(const TrainOptions& o, const RunIdentity& run, Claim claim) {
  if (claim != Claim::fresh) claim = check_claim(o.output.output_dir, run, claim_rules(o.output));
  if (claim == Claim::finished)
    log::info(str(o.output.output_dir,
                  " holds this very run, finished: nothing to do (a larger --max_steps or --num_train_epochs with "
                  "--resume_from_checkpoint true trains on, --overwrite_output_dir begins anew)"));
  return claim == Claim::finished;
}

}  // namespace

RunEnd run_training(TrainOptions& o, const OptionSet& set, const Interrupt& interrupted) {
  require_one_rank();
  FolderLock lock(o.output.output_dir);
  RunIdentity run{deciding_options(set)};
  adopt(o, set);
  const Claim claim = check(o, run);
  if (o.output.do_train) run.contents = file_contents(o);
  if (done_before(o, run, claim)) return RunEnd::done_before;
  lock.make_folder();
  if (place_model(o.model)) {
    check_fit(o);
    if (o.output.do_train) run.contents = file_contents(o);
  }
  if (!o.output.do_train && !o.model.peft_model_id.empty())
    adopt_label_names(read_adapter_config(o.model.peft_model_id), o.model, o.data);
  const Context ctx = make_context(o.model, o.schedule.seed);
  Pipeline pipeline;
  const Data data = read_data(o, ctx.threads, pipeline);
  run.contents.update(data.contents);

  if (o.output.do_train) claim_output(o.output.output_dir, run, claim_rules(o.output));
  log::to_file(fs::path(o.output.output_dir) / "output.log");
  if (o.optimizer.weight_decay != 0 && !o.optimizer.apply_weight_decay)
    log::warn("--weight_decay has no effect without --apply_weight_decay, as in the original");
  for (const std::string& warning : data.warnings) log::warn(warning);

  pipeline.backbone = load_backbone(o.model.path(), ctx);
  announce(pipeline.backbone->info(), ctx);
  for (const std::string& counts : data.counts) log::info(counts);
  Adapter adapter = start_adapter(o, *pipeline.backbone, *pipeline.tokenizer, data.task, pipeline.rules.semantics);
  adapter.config.task = adapter_task(o, data.task);
  attach_adapter(pipeline, adapter, pipeline.backbone->info(), data.task.labels);
  advise(o, set, pipeline.backbone->info(), adapter.config);
  pipeline.label_smoothing = o.optimizer.label_smoothing_factor;
  pipeline.rules.alignment = adapter.config.delta_alignment;
  PredictRules rules = predict_rules(o.evaluation, data.task, pipeline, ctx.threads);
  if (rules.by == PredictBy::generate && (o.output.do_eval || o.output.do_predict)) warn_of_unused_generation(o.model.path());
  rules.drop_last = o.data.original_quirks && o.schedule.dataloader_drop_last;

  Events events(o, run.options);
  const LoopInputs in{ctx,   o,          data.task,       adapter.config, pipeline,
                      rules, data.train, data.validation, interrupted,    [&](const OrderedJson& entry) { events.log(entry); }};
  Outputs outputs(o.output.output_dir, !o.output.do_train);
  std::optional<TrainingLoop> loop;
  if (o.output.do_train && !train(loop.emplace(in), in, outputs)) return RunEnd::interrupted;
  if (!judge_all(in, data, outputs, loop ? &*loop : nullptr)) return RunEnd::interrupted;
  if (loop) {
    outputs.model_card(adapter.config, data.task, o, loop->state().log);
    mark_finished(o.output.output_dir, run);
  }
  log::close_file();
  return RunEnd::done;
}

}  // namespace dept
