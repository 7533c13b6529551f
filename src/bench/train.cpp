// dept bench train: seconds, memory and arithmetic of the training step.
#include "bench/measure.h"
#include "dept/train/step.h"

namespace dept {
namespace {

int64_t saved_bytes(const AdaptedModel& model, const std::vector<Example>& examples) {
  Call call;
  call.training = true;
  const AdaptedBatch inputs = model.adapt(call, collate(model.rules(), examples));
  std::unique_ptr<Saved> saved;
  model.backbone().forward(call, inputs.source.stream, inputs.target ? &inputs.target->stream : nullptr, &saved);
  return saved->bytes();
}

double input_tokens(const std::vector<Example>& batch) {
  double tokens = 0;
  for (const Example& example : batch) tokens += static_cast<double>(example.source.size());
  return tokens;
}

OrderedJson measure(const BenchOptions& o, Layout layout, double seconds_before) {
  const auto start = Clock::now();
  const ModelContext context = make_context(o.model);
  configure_process(context.threads);
  const ModelCost cost = model_cost(bench_config(o), model_name(o));
  AdaptedModel model = make_model(o, context);
  Workload workload(o, model);
  Step step({}, model, {}, 1, 1);
  double to_first = seconds_before + seconds_since(start);

  MachineCheck machine(o, context.compute, cost, workload.mean_tokens(cost), true);
  Steps steps;
  std::vector<Example> batch;
  for (int64_t i = 0; i < o.warmup + o.steps; ++i) {
    const auto began = Clock::now();
    batch = workload.next();
    step.accumulate(workload.laid_out(batch, layout));
    step.update({{0.01, 0.001, 0.001}})[0].item<double>();
    const double seconds = seconds_since(began);
    if (i == 0) to_first += seconds;
    if (i < o.warmup) continue;
    steps.seconds.push_back(seconds);
    steps.examples += static_cast<double>(batch.size());
    steps.tokens += input_tokens(batch);
    steps.flop += forward_flop(cost, batch, o.m).step();
  }
  const double rss = peak_rss_gb();
  machine.finish();

  const double tokens =
      input_tokens(batch) + static_cast<double>(o.m) * (cost.shares_prompt ? 1.0 : static_cast<double>(o.batch));
  const auto kept = static_cast<double>(saved_bytes(model, workload.laid_out(batch, layout)));
  OrderedJson figures = {{"mode", layout_name(layout)}, {"shape", model_name(o)}, {"batch", o.batch}};
  steps.report(figures);
  figures["peak_rss_gb"] = rss;
  figures["activation_gb"] = kept / 1e9;
  figures["activation_bytes_per_token"] = kept / tokens;
  figures["activation_bytes_per_token_and_layer"] = kept / tokens / static_cast<double>(cost.source.layers);
  machine.report(figures, steps.flop, steps.total());
  figures["time_to_first_step_s"] = to_first;
  return figures;
}

}  // namespace

std::vector<OrderedJson> bench_train(const BenchOptions& options) {
  std::vector<Layout> layouts = {Layout::ragged};
  for (const std::string& name : options.compare) layouts.push_back(parse_layout(name));
  std::vector<OrderedJson> figures;
  for (Layout layout : layouts) figures.push_back(measure(options, layout, figures.empty() ? seconds_since_process_start() : 0));
  return figures;
}

}  // namespace dept
