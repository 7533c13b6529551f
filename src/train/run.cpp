#include "dept/train/run.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/file.h"
#include "dept/base/log.h"
#include "dept/base/log_file.h"
#include "dept/base/text.h"
#include "dept/dist/group.h"
#include "dept/dist/ranks.h"
#include "dept/report/report.h"
#include "dept/train/advice.h"
#include "dept/train/alike.h"
#include "dept/train/folder_lock.h"
#include "dept/train/identity.h"
#include "dept/train/setup.h"
#include "train/prepared_run.h"
#include "train/run_checks.h"

namespace dept {
namespace {

std::string beside_images(int64_t visual_parameters) {
  return visual_parameters > 0 ? str(", and ", visual_parameters, " of the visual embedding") : "";
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

}  // namespace

void check_training(TrainOptions& o, const OptionSet& set) {
  adopt(o, set);
  check_run(o, [] {});
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
  std::optional<PreparedRun> prepared;
  std::optional<RunEvents> events;
  std::optional<LoopInputs> in;
  std::optional<Outputs> outputs;
  std::optional<TrainingLoop> loop;
};

// The checks, the files, the folder.
std::optional<RunEnd> TrainingRun::Parts::claim() {
  adopt(o, set);
  Claim claim = Claim::fresh;
  check_run(o, [&] {
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
  data = run_data_of(o, set, context.threads, control);
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
  prepared.emplace(prepare_run(o, set, context, data, control, false));
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
  const std::shared_ptr<const RunData> data = run_data_of(o, set, context.threads, &control);
  run.contents.update(data->contents);
  const log::File log_file(folder / "output.log");
  const log::Using lines(&log_file);
  PreparedRun prepared = prepare_run(o, set, context, data, &control, true);
  TrainState trained;
  const OrderedJson state = OrderedJson::parse(read_file(folder / "trainer_state.json"));
  trained.step = state.at("global_step");
  trained.log = state.at("log_history");
  RunEvents events(o, run.options, true);
  const LoopInputs in = inputs_of(call, o, prepared, interrupted, events);
  Outputs outputs(folder, true);
  try {
    evaluate_test(in, *data, outputs, &trained);
  } catch (const Interrupted&) {
    return false;
  }
  outputs.all_results();
  outputs.model_card(prepared.model.parts().config, data->task, o, trained.log);
  mark_finished(folder, run);
  if (o.output.report) write_report(folder);  // of the options as they are now
  return true;
}

}  // namespace dept
