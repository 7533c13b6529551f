#include "train/prepared_run.h"

#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/models/generation.h"
#include "dept/train/advice.h"
#include "train/first_adapter.h"

namespace dept {
namespace {

void announce(const ModelInfo& info, const ModelContext& context) {
  log::info(str(info.model_type, " with ", info.parameters, " parameters, held as ", info.storage, ", computed in ",
                dtype_name(context.compute), " on ", context.threads, context.threads == 1 ? " thread" : " threads"));
}

std::vector<SplitName> splits_to_read(const OutputOptions& output, const RunControl* control) {
  std::vector<SplitName> splits = splits_of(output);
  if (control != nullptr && control->reads_test && !output.do_predict) splits.push_back(SplitName::test);
  return splits;
}

std::shared_ptr<const Backbone> backbone_of(const TrainOptions& o, const ModelContext& context, RunControl* control) {
  const auto load = [&]() -> std::shared_ptr<const Backbone> { return load_backbone(o.model.path(), context); };
  if (control == nullptr) return load();
  const std::string key =
      str(o.model.path(), " ", dtype_name(context.compute), " ", static_cast<int>(context.storage), " ",
          static_cast<int>(context.kernels), " ", context.graphs, " ", context.device.str(), " ", context.threads);
  return control->shared.backbone.get(key, load);
}

}  // namespace

std::shared_ptr<const RunData> run_data_of(const TrainOptions& o, const OptionSet& set, int threads, RunControl* control) {
  const std::vector<SplitName> splits = splits_to_read(o.output, control);
  const auto read = [&] { return read_run_data(o, splits, threads); };
  return control == nullptr ? read() : control->shared.data.get(data_key(o, set, splits), read);
}

PreparedRun prepare_run(const TrainOptions& o, const OptionSet& set, const ModelContext& context,
                        std::shared_ptr<const RunData> data, RunControl* control, bool saved) {
  std::shared_ptr<const Backbone> backbone = backbone_of(o, context, control);
  announce(backbone->info(), context);
  for (const std::string& counts : data->counts) log::info(counts);
  AdaptedModel model = run_model(o, *data, std::move(backbone), saved ? fs::path(o.output.output_dir) : fs::path());
  PreparedRun run{std::move(data), std::move(model), {}};
  TrainOptions advised = o;
  advised.output.do_predict = o.output.do_predict || (control != nullptr && control->reads_test);
  advise(advised, set, run.model.backbone().info(), run.model.parts().config);
  run.rules = predict_rules(o.evaluation, run.data->task, run.model, context.threads);
  if (run.rules.by == PredictBy::generate && (o.output.do_eval || o.output.do_predict)) warn_of_unused_generation(o.model.path());
  run.rules.drop_last = quirks_of(o.data).drops_last_evaluation_batch() && o.schedule.dataloader_drop_last;
  return run;
}

LoopInputs inputs_of(const Call& call, const TrainOptions& o, PreparedRun& prepared, const Interrupt& interrupted,
                     RunEvents& events) {
  const RunData& data = *prepared.data;
  return {call,           o,
          data.task,      prepared.model.parts().config,
          prepared.model, prepared.rules,
          data.train,     data.validation,
          interrupted,    [&events](const OrderedJson& entry) { events.log(entry); }};
}

}  // namespace dept
