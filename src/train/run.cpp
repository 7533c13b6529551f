#include "dept/train/run.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/log_file.h"
#include "dept/base/text.h"
#include "dept/dist/group.h"
#include "dept/dist/ranks.h"
#include "dept/report/report.h"
#include "dept/train/advice.h"
#include "dept/train/alike.h"
#include "dept/train/class_weights.h"
#include "dept/train/findings.h"
#include "dept/train/folder_lock.h"
#include "dept/train/identity.h"
#include "dept/train/loop.h"
#include "dept/train/marker.h"
#include "dept/train/outputs.h"
#include "dept/train/run_data.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"
#include "dept/train/tensorboard.h"
#include "train/first_adapter.h"

namespace dept {
namespace {

using Clock = std::chrono::steady_clock;

void check_positions(const ModelInfo& info, const TrainOptions& o) {
  const int64_t needed = prompt_length(o) + o.data.max_seq_length;
  if (info.max_positions > 0 && needed > info.max_positions)
    fail(Code::usage, "prefix_length + max_seq_length", str("at most the model's ", info.max_positions, " positions"),
         str(needed));
}

// Adapter and optimiser of the checkpoints that stand at once, in fp32; the head is small beside them.
void check_room(const ModelInfo& info, const TrainOptions& o) {
  if (!o.output.do_train || !o.model.peft_model_id.empty()) return;
  AdapterShape shape{o.adapter.prefix_length, o.adapter.num_transformer_submodules, info.input_width(), o.adapter.r};
  shape.max_length = o.data.max_seq_length;
  shape.hidden = hidden_units(o, info);
  double numbers = 0;
  for (const AdapterTensor& tensor : find_method(o.adapter.peft_type).tensors(shape)) {
    double product = 1;
    for (const int64_t size : tensor.shape) product *= static_cast<double>(size);
    numbers += product;
  }
  const double state = 3 * sizeof(float) * numbers, checkpoints = o.output.save_strategy == "no" ? 1 : 2;
  check_free_space(o.output.output_dir, state * checkpoints);
}

// Images are seen by models that write text.
void check_images(const ModelInfo& info, const TrainOptions& o) {
  const ImageOptions& images = o.model.images;
  if (sees_images(images) && info.architecture == Architecture::encoder)
    fail(Code::usage, "--visual", str("none for ", info.model_type, ", which only encodes"), images.visual);
  if (sees_images(images) && o.data.original_quirks)
    fail(Code::usage, "--visual", "none under --original_quirks, as the original has no images", images.visual);
}

// A named task of images says so before its rows are read.
void check_task_images(const TrainOptions& o) {
  if (!o.data.named() || !o.model.images.visual.empty()) return;
  const TaskDescription task = find_task(o.data.task_name.value_or(""), o.data.task_file, quirks_of(o.data));
  if (task.sees_images())
    fail(Code::usage, "--visual", str("where the tokens of ", task.name, "'s images come from (none: its texts alone)"),
         "nothing");
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
  if (quirks_of(o.data).has_no_class_weights())
    fail(Code::usage, "class_weights", "none under --original_quirks, as the original has none", weights);
}

void check_smoothing(const ModelInfo& info, const TrainOptions& o) {
  if (quirks_of(o.data).smooths_heads_only() && o.optimizer.label_smoothing_factor > 0 && task_type(o, info) != "SEQ_CLS")
    fail(Code::usage, "label_smoothing_factor",
         str("0 for ", info.model_type, " under --original_quirks, as it ends the original's run"),
         str(o.optimizer.label_smoothing_factor));
}

// Whether model and options agree, once the model is on disk.
void check_fit(const TrainOptions& o) {
  const ModelInfo info = check_model(o.model);
  check_all({[&] { check_positions(info, o); }, [&] { check_head(info, o); }, [&] { check_room(info, o); },
             [&] { check_smoothing(info, o); }, [&] { check_weights(info, o); },
             [&] { check_submodules(o.adapter.num_transformer_submodules, info); }, [&] { check_images(info, o); }});
}

ClaimRules claim_rules(const OutputOptions& o) {
  const std::string from = o.resume_from_checkpoint.value_or("false");
  return {o.overwrite_output_dir, from != "false" && from != "False"};
}

// All that can be known before the model is loaded, all problems at once; `claim` checks what is in the folder.
void check(const TrainOptions& o, const std::function<void()>& claim) {
  check_all({[&] {
               check_task(o.data, o.schedule.seed, splits_of(o.output));
               check_task_images(o);
             },
             [&] {
               check_source(o.model);
               if (!is_on_hub(o.model)) check_fit(o);
             },
             [&] { parse_dtype(o.model.dtype); }, [&] { check_class_weights(o.optimizer.class_weights); },
             [&] {
               if (o.output.resume_from_checkpoint) checkpoint_to_resume(o.output);
             },
             claim, [&] { check_output_folder(o.output.output_dir); }});
}

int64_t train_samples(const LoopInputs& in) {
  const auto examples = static_cast<int64_t>(in.train.examples.size());
  const DataOptions& data = in.options.data;
  return quirks_of(data).limits_train_samples() ? std::min(examples, data.max_train_samples.value_or(examples)) : examples;
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
  Events(const TrainOptions& options, const OrderedJson& shown, bool writes)
      : options_(options), shown_(shown), writes_(writes && options.output.reports_to_tensorboard()) {}

  void log(const OrderedJson& entry) {
    if (writes_) open(entry.value("step", int64_t{0})).log(entry);
  }
  void end() {
    if (writer_) writer_->end_session(true);
  }
  void fail() {
    if (writes_) open(0).end_session(false);
  }

 private:
  EventWriter& open(int64_t first_step) {
    if (writer_) return *writer_;
    const OutputOptions& output = options_.output;
    writer_.emplace(output.logging_dir.empty() ? fs::path(output.output_dir) / "runs" : fs::path(output.logging_dir), first_step);
    writer_->text("args/text_summary", "```json\n" + shown_.dump(2) + "\n```");
    writer_->begin_session(shown_, fs::weakly_canonical(output.output_dir).string());
    return *writer_;
  }

  const TrainOptions& options_;
  const OrderedJson& shown_;
  bool writes_;
  std::optional<EventWriter> writer_;
};

// Evaluation on one split, its results under `name`; `trained` is what stands before it.
Evaluation evaluate_split(const LoopInputs& in, const std::string& name, const Split& split, Outputs& outputs,
                          const TrainState* trained) {
  const auto start = Clock::now();
  Evaluation evaluation = evaluate(in.model, in.rules, in.task, split.texts, split.examples, name, in.interrupted);
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
void show_detail(std::string_view split, const EvaluatedAnswers& evaluated, const Outputs& outputs) {
  const OrderedJson detail = evaluation_detail(split, evaluated);
  outputs.detail(detail);
  for (const std::string& line : class_table(detail)) log::info(line);
}

// The test data, with predictions and detail.
void evaluate_test(const LoopInputs& in, const RunData& data, Outputs& outputs, const TrainState* trained) {
  const Evaluation evaluation = evaluate_split(in, "test", data.test, outputs, trained);
  const EvaluatedAnswers evaluated = evaluated_answers(evaluation, in.rules, in.task, data.test.texts);
  outputs.predictions(evaluated);
  show_detail("test", evaluated, outputs);
}

void leave_trained(const TrainingLoop& loop, const LoopInputs& in, Outputs& outputs) {
  outputs.adapter(in.config, in.model, {in.options.output.save_safetensors, in.options.adapter.save_lora_embeddings});
  outputs.trainer_state(loop.state(), loop.total_steps());
  if (in.options.output.report) outputs.findings(training_findings(in.model, loop.parameters(), loop.visual_parameters()));
  outputs.results("train", train_results(loop, in));
}

// What follows the training, or is all that is asked for. False: interrupted.
bool evaluate_all(const LoopInputs& in, const RunData& data, Outputs& outputs, TrainingLoop* loop) {
  const TrainState* trained = loop == nullptr ? nullptr : &loop->state();
  try {
    const OutputOptions& output = in.options.output;
    if (output.do_eval) {
      const Evaluation evaluation = evaluate_split(in, "eval", data.validation, outputs, trained);
      if (!output.do_predict)
        show_detail("validation", evaluated_answers(evaluation, in.rules, in.task, data.validation.texts), outputs);
    }
    if (output.do_predict) evaluate_test(in, data, outputs, trained);
  } catch (const Interrupted&) {
    if (loop != nullptr) loop->save_end();
    log::info(str("interrupted in an evaluation", loop == nullptr ? "" : ", the training is done: the same command goes on"));
    return false;
  }
  outputs.all_results();
  return true;
}

std::string beside_images(int64_t visual_parameters) {
  return visual_parameters > 0 ? str(", and ", visual_parameters, " of the visual embedding") : "";
}

void announce(const ModelInfo& info, const ModelContext& context) {
  log::info(str(info.model_type, " with ", info.parameters, " parameters, held as ", info.storage, ", computed in ",
                dtype_name(context.compute), " on ", context.threads, context.threads == 1 ? " thread" : " threads"));
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
  if (config.visual && o.data.task.image_column.empty() && !o.data.named()) o.data.task.image_column = config.task.image_column;
  if (config.classifies() && !set.given("causal_suffix")) o.data.causal_suffix = config.task.causal_suffix;
  if (quirks_of(o.data).groups_rates_by_peft_type() && o.adapter.peft_type == "PROMPT_TUNING")
    o.optimizer.lora_embedding_lr.reset();
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

// What a run works with once its files are read: the model with the adapter, and how answers are made.
struct Prepared {
  std::shared_ptr<const RunData> data;
  AdaptedModel model;
  PredictRules rules;
};

std::vector<SplitName> splits_to_read(const OutputOptions& output, const RunControl* control) {
  std::vector<SplitName> splits = splits_of(output);
  if (control != nullptr && control->reads_test && !output.do_predict) splits.push_back(SplitName::test);
  return splits;
}

std::shared_ptr<const RunData> data_of(const TrainOptions& o, const OptionSet& set, int threads, RunControl* control) {
  const std::vector<SplitName> splits = splits_to_read(o.output, control);
  const auto read = [&] { return read_run_data(o, splits, threads); };
  return control == nullptr ? read() : control->shared.data.get(data_key(o, set, splits), read);
}

std::shared_ptr<const Backbone> backbone_of(const TrainOptions& o, const ModelContext& context, RunControl* control) {
  const auto load = [&]() -> std::shared_ptr<const Backbone> { return load_backbone(o.model.path(), context); };
  if (control == nullptr) return load();
  const std::string key =
      str(o.model.path(), " ", dtype_name(context.compute), " ", static_cast<int>(context.storage), " ",
          static_cast<int>(context.kernels), " ", context.graphs, " ", context.device.str(), " ", context.threads);
  return control->shared.backbone.get(key, load);
}

// `saved`: the adapter is the one in output_dir.
Prepared prepare(const TrainOptions& o, const OptionSet& set, const ModelContext& context, std::shared_ptr<const RunData> data,
                 RunControl* control, bool saved) {
  std::shared_ptr<const Backbone> backbone = backbone_of(o, context, control);
  announce(backbone->info(), context);
  for (const std::string& counts : data->counts) log::info(counts);
  AdaptedModel model = run_model(o, *data, std::move(backbone), saved ? fs::path(o.output.output_dir) : fs::path());
  Prepared run{std::move(data), std::move(model), {}};
  TrainOptions advised = o;
  advised.output.do_predict = o.output.do_predict || (control != nullptr && control->reads_test);
  advise(advised, set, run.model.backbone().info(), run.model.parts().config);
  run.rules = predict_rules(o.evaluation, run.data->task, run.model, context.threads);
  if (run.rules.by == PredictBy::generate && (o.output.do_eval || o.output.do_predict)) warn_of_unused_generation(o.model.path());
  run.rules.drop_last = quirks_of(o.data).drops_last_evaluation_batch() && o.schedule.dataloader_drop_last;
  return run;
}

// All arguments must outlive what is returned.
LoopInputs inputs_of(const Call& call, const TrainOptions& o, Prepared& prepared, const Interrupt& interrupted, Events& events) {
  const RunData& data = *prepared.data;
  return {call,           o,
          data.task,      prepared.model.parts().config,
          prepared.model, prepared.rules,
          data.train,     data.validation,
          interrupted,    [&events](const OrderedJson& entry) { events.log(entry); }};
}

}  // namespace

void check_training(TrainOptions& o, const OptionSet& set) {
  adopt(o, set);
  check(o, [] {});
}

struct TrainingRun::Parts {
  Parts(TrainOptions& options, const OptionSet& all, Interrupt interrupt, RunControl* run_control, RankGroup* ranks)
      : o(options),
        set(all),
        interrupted(std::move(interrupt)),
        control(run_control),
        group(ranks),
        writes(is_first(ranks)),
        identity{deciding_options(all), OrderedJson::object(), options.output.command} {
    if (writes) lock.emplace(o.output.output_dir);
    if (group != nullptr) identity.options["ranks"] = group->size();
  }

  std::optional<RunEnd> claim();
  void prepare();
  bool too_long() const;
  RunEnd evaluate_and_mark();
  bool needs_contents() const { return o.output.do_train || group != nullptr; }
  const log::File* lines() const { return log_file ? &*log_file : nullptr; }

  // What ends the run for good is shown as a failure; a run that the disk ended will go on.
  template <class Part>
  void guarded(const Part& part) {
    try {
      part();
    } catch (const Error& error) {
      if (error.code() != Code::io) events->fail();
      throw;
    }
  }

  TrainOptions& o;
  const OptionSet& set;
  Interrupt interrupted;
  RunControl* control;
  RankGroup* group;
  const bool writes;  // the folder is rank 0's
  std::optional<FolderLock> lock;
  RunIdentity identity;
  ModelContext context;
  Call call;
  std::shared_ptr<const RunData> data;
  std::optional<log::File> log_file;
  std::optional<Prepared> prepared;
  std::optional<Events> events;
  std::optional<LoopInputs> in;
  std::optional<Outputs> outputs;
  std::optional<TrainingLoop> loop;
};

// The checks, the files, the folder.
std::optional<RunEnd> TrainingRun::Parts::claim() {
  adopt(o, set);
  Claim claim = Claim::fresh;
  check(o, [&] {
    if (writes && o.output.do_train) claim = check_claim(o.output.output_dir, identity, claim_rules(o.output));
  });
  if (needs_contents()) identity.contents = file_contents(o);
  require_alike(group, identity);
  if (from_first(group, writes && done_before(o, identity, claim) ? "done" : "") == "done") return RunEnd::done_before;
  if (writes) lock->make_folder();
  const bool fetched = is_on_hub(o.model) || visual_is_on_hub(o.model.images);
  one_first(group, [&] { place_model(o.model); });
  if (fetched) {
    check_fit(o);
    if (needs_contents()) identity.contents = file_contents(o);
  }
  if (!o.output.do_train && !o.model.peft_model_id.empty())
    adopt_label_names(read_adapter_config(o.model.peft_model_id), o.model, o.data);
  context = make_context(o.model);
  call = make_call(o.schedule.seed);
  call.group = group;
  data = data_of(o, set, context.threads, control);
  identity.contents.update(data->contents);
  require_alike(group, identity);
  if (writes && o.output.do_train) claim_output(o.output.output_dir, identity, claim_rules(o.output));
  if (writes) log_file.emplace(fs::path(o.output.output_dir) / "output.log");
  return std::nullopt;
}

void TrainingRun::Parts::prepare() {
  if (o.optimizer.weight_decay != 0 && !o.optimizer.apply_weight_decay)
    log::warn("--weight_decay has no effect without --apply_weight_decay, as in the original");
  for (const std::string& warning : data->warnings) log::warn(warning);
  prepared.emplace(dept::prepare(o, set, context, data, control, false));
  prepared->rules.group = group;
  events.emplace(o, identity.options, writes);
  in.emplace(inputs_of(call, o, *prepared, interrupted, *events));
  in->log_file = lines();
  if (control != nullptr) in->pause_at = control->pause_at;
  if (control != nullptr && control->stepped)
    in->stepped = [this](int64_t step, double loss) { control->stepped(step, loop->total_steps(), loss); };
  if (group != nullptr) in->stepped = [this](int64_t step, double) { group->at_step(step); };
  outputs.emplace(o.output.output_dir, !o.output.do_train, writes);
}

bool TrainingRun::Parts::too_long() const {
  const int64_t steps = loop->total_steps();
  return control != nullptr && control->most_steps && std::min(steps, in->pause_at.value_or(steps)) > *control->most_steps;
}

RunEnd TrainingRun::Parts::evaluate_and_mark() {
  if (!evaluate_all(*in, *data, *outputs, loop ? &*loop : nullptr)) return RunEnd::interrupted;
  events->end();
  if (loop) outputs->model_card(prepared->model.parts().config, data->task, o, loop->state().log);
  if (writes && o.output.report && is_claimed(o.output.output_dir)) write_report(o.output.output_dir);
  if (writes && loop) mark_finished(o.output.output_dir, identity);
  return RunEnd::done;
}

TrainingRun::TrainingRun(TrainOptions& options, const OptionSet& set, Interrupt interrupted, RunControl* control,
                         RankGroup* group)
    : parts_(std::make_unique<Parts>(options, set, std::move(interrupted), control, group)) {}

TrainingRun::~TrainingRun() = default;

void TrainingRun::release() {
  parts_->lock.reset();
}

std::optional<RunEnd> TrainingRun::begin() {
  Parts& run = *parts_;
  if (const std::optional<RunEnd> end = run.claim()) return end;
  const log::Using lines(run.lines());
  run.prepare();
  if (!run.o.output.do_train) return std::nullopt;
  run.loop.emplace(*run.in);
  if (run.too_long()) {
    if (!fs::exists(fs::path(run.o.output.output_dir) / "trainer_state.json"))
      run.outputs->trainer_state(run.loop->state(), run.loop->total_steps());
    return RunEnd::too_long;
  }
  log::info(str(run.in->train.examples.size(), " examples, ", run.loop->total_steps(), " steps, ", run.loop->parameters(),
                " trained numbers", beside_images(run.loop->visual_parameters())));
  warn_of_long_warmup(run.o.schedule, run.loop->total_steps());
  return std::nullopt;
}

TrainingLoop* TrainingRun::loop() {
  return parts_->loop ? &*parts_->loop : nullptr;
}

void TrainingRun::in_training(const std::function<void(TrainingLoop&)>& part) {
  const log::Using lines(parts_->lines());
  parts_->guarded([&] { part(*parts_->loop); });
}

RunEnd TrainingRun::finish(LoopEnd end) {
  Parts& run = *parts_;
  const log::Using lines(run.lines());
  if (end == LoopEnd::done && run.loop) run.guarded([&] { leave_trained(*run.loop, *run.in, *run.outputs); });
  if (end == LoopEnd::done) return run.evaluate_and_mark();
  if (run.control != nullptr) run.guarded([&] { run.outputs->trainer_state(run.loop->state(), run.loop->total_steps()); });
  return end == LoopEnd::paused ? RunEnd::paused : RunEnd::interrupted;
}

RunEnd TrainingRun::fail() {
  Parts& run = *parts_;
  const log::Using lines(run.lines());
  try {
    std::rethrow_exception(run.loop->failure);
  } catch (const NotFinite& error) {
    run.control->why = error.what();
  }
  run.outputs->trainer_state(run.loop->state(), run.loop->total_steps());
  run.events->fail();
  return RunEnd::diverged;
}

RunEnd run_training(TrainOptions& options, const OptionSet& set, const Interrupt& interrupted, RankGroup* group) {
  TrainingRun run(options, set, interrupted, nullptr, group);
  if (const std::optional<RunEnd> end = run.begin()) return *end;
  LoopEnd end = LoopEnd::done;
  if (run.loop() != nullptr) run.in_training([&](TrainingLoop& loop) { end = loop.run(); });
  return run.finish(end);
}

bool test_finished_run(TrainOptions& o, const OptionSet& set, const Interrupt& interrupted, RunControl& control) {
  const fs::path folder = o.output.output_dir;
  const FolderLock lock(folder);
  o.output.do_predict = true;
  RunIdentity run{deciding_options(set), OrderedJson::object(), o.output.command};
  adopt(o, set);
  place_model(o.model);
  run.contents = file_contents(o);
  const ModelContext context = make_context(o.model);
  const Call call = make_call(o.schedule.seed);
  const std::shared_ptr<const RunData> data = data_of(o, set, context.threads, &control);
  run.contents.update(data->contents);
  const log::File log_file(folder / "output.log");
  const log::Using lines(&log_file);
  Prepared prepared = prepare(o, set, context, data, &control, true);
  TrainState trained;
  const OrderedJson state = OrderedJson::parse(read_file(folder / "trainer_state.json"));
  trained.step = state.at("global_step");
  trained.log = state.at("log_history");
  Events events(o, run.options, true);
  const LoopInputs in = inputs_of(call, o, prepared, interrupted, events);
  Outputs outputs(folder, true);
  try {
    evaluate_test(in, *data, outputs, &trained);
  } catch (const Interrupted&) {
    return false;
  }
  outputs.all_results();
  outputs.model_card(prepared.model.parts().config, data->task, o, trained.log);
  if (o.output.report) write_report(folder);
  mark_finished(folder, run);
  return true;
}

}  // namespace dept
