// dept bench eval: inputs encoded and labels written.
#include "bench/measure.h"
#include "dept/models/generation.h"

namespace dept {
namespace {

GenerationOptions greedy(int64_t new_tokens) {
  GenerationOptions options;
  options.max_new_tokens = options.min_new_tokens = new_tokens;
  return options;
}

void answer(const AdaptedModel& model, std::vector<Example> examples) {
  const auto new_tokens = static_cast<int64_t>(examples.front().target.size());
  for (Example& example : examples) example.target = {0};
  const Batch batch = collate(model.rules(), examples);
  if (model.has_head()) {
    model.head_logits(batch);
    return;
  }
  const Stream source = model.adapt_source({}, batch.source, batch.source_ids).source.stream;
  generate(model.text_model(), {source, {}, model.adapter().decoder_prompt()}, greedy(new_tokens));
}

}  // namespace

OrderedJson bench_eval(const BenchOptions& o) {
  const ModelContext context = make_context(o.model);
  configure_process(context.threads);
  const ModelCost cost = model_cost(bench_config(o), model_name(o));
  const AdaptedModel model = make_model(o, context);
  Workload workload(o, model);
  MachineCheck machine(o, context.compute, cost, workload.mean_tokens(cost), false);
  Steps steps;
  for (int64_t i = 0; i < o.warmup + o.steps; ++i) {
    const std::vector<Example> batch = workload.next();
    const auto began = Clock::now();
    answer(model, batch);
    if (i < o.warmup) continue;
    steps.seconds.push_back(seconds_since(began));
    steps.examples += static_cast<double>(batch.size());
    for (const Example& example : batch) steps.tokens += static_cast<double>(example.source.size());
    steps.flop += forward_flop(cost, batch, o.m).forward();
  }
  const double rss = peak_rss_gb();
  machine.finish();
  OrderedJson figures = {{"mode", "eval"}, {"shape", model_name(o)}, {"batch", o.batch}};
  steps.report(figures);
  figures["peak_rss_gb"] = rss;
  machine.report(figures, steps.flop, steps.total());
  return figures;
}

}  // namespace dept
