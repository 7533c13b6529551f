#include "dept/training.h"

#include "dept/base/error.h"
#include "dept/train/loop.h"
#include "dept/train/model_parts.h"

namespace dept {

void train(AdaptedModel& model, std::span<const TextExample> rows, const TrainingOptions& options,
           const std::function<bool(const TrainingProgress&)>& progress) {
  if (model.parts().folded)
    fail(Code::usage, "train", "a model that is created or loaded for training", "one that is loaded to answer");
  if (rows.empty()) fail(Code::usage, "train", "at least one row", "none");
  TrainOptions o;
  o.optimizer = options.optimizer;
  o.schedule = options.schedule;
  o.output.save_strategy = o.output.logging_strategy = "no";
  Split split;
  split.examples = encode_examples(model.tokenizer(), model.rules(), rows, model.backbone().context().threads);
  const Split none;
  const Call call = make_call(o.schedule.seed);
  const TaskData task;
  const PredictRules rules;
  struct Stopped {};
  LoopInputs in{call, o, task, model.parts().config, model, rules, split, none, {}, {}};
  const TrainingLoop* running = nullptr;
  in.stepped = [&](int64_t step, double loss) {
    if (progress && !progress({step, running->total_steps(), loss})) throw Stopped();
  };
  TrainingLoop loop(in);
  running = &loop;
  try {
    loop.run();
  } catch (const Stopped&) {
  }
}

}  // namespace dept
