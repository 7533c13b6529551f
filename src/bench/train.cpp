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

// As many runs of one model, each with an adapter of its own.
std::vector<AdaptedModel> make_runs(const AdaptedModel& first, int64_t count) {
  std::vector<AdaptedModel> runs;
  for (int64_t k = 0; k < count; ++k) {
    ModelParts parts = first.parts();
    std::vector<at::Tensor> values;
    for (const Parameter& parameter : parts.weights.input->parameters()) values.push_back(parameter.value.clone());
    parts.weights.input = make_adapter(dept_method(), parts.weights.input->shape(), values);
    for (const HeadTensor& tensor : head_tensors(parts.weights.head.form, 0, 0))
      parts.weights.head.*tensor.tensor = (parts.weights.head.*tensor.tensor).clone();
    runs.emplace_back(std::move(parts));
  }
  return runs;
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
  const AdaptedModel model = make_model(o, context);
  Workload workload(o, model);
  std::vector<AdaptedModel> runs = make_runs(model, o.stack);
  std::vector<Step> members;
  for (AdaptedModel& run : runs) members.emplace_back(Call(), run, AdamOptions(), 1, 1);
  StepStack stack;
  double to_first = seconds_before + seconds_since(start);

  MachineCheck machine(o, context.compute, cost, workload.mean_tokens(cost), true);
  Steps steps;
  std::vector<std::vector<Example>> batches(o.stack), laid_out(o.stack);
  const std::vector<Example>& batch = batches.front();
  for (int64_t i = 0; i < o.warmup + o.steps; ++i) {
    const auto began = Clock::now();
    std::vector<StepPart> parts;
    for (size_t k = 0; k < members.size(); ++k) {
      batches[k] = workload.next();
      laid_out[k] = workload.laid_out(batches[k], layout);
      parts.push_back({&members[k], laid_out[k]});
    }
    stack.accumulate(parts);
    for (Step& step : members) step.update({{0.01, 0.001, 0.001}})[0].item<double>();
    const double seconds = seconds_since(began);
    if (i == 0) to_first += seconds;
    if (i < o.warmup) continue;
    steps.seconds.push_back(seconds);
    for (const std::vector<Example>& of_run : batches) {
      steps.examples += static_cast<double>(of_run.size());
      steps.tokens += input_tokens(of_run);
      steps.flop += forward_flop(cost, of_run, o.m).step();
    }
  }
  const double rss = peak_rss_gb();
  machine.finish();

  const double tokens =
      input_tokens(batch) + static_cast<double>(o.m) * (cost.shares_prompt ? 1.0 : static_cast<double>(o.batch));
  const auto kept = static_cast<double>(saved_bytes(model, workload.laid_out(batch, layout)));
  OrderedJson figures = {{"mode", layout_name(layout)}, {"shape", model_name(o)}, {"batch", o.batch}, {"stack", o.stack}};
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
