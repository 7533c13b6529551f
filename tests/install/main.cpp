// A program of another project: trains a decomposed prompt until a frozen model gives the answers it is told.
#include <ATen/CPUGeneratorImpl.h>
#include <dept/adapter/adapter_file.h>
#include <dept/adapter/init.h>
#include <dept/base/error.h>
#include <dept/train/step.h>

#include <cstdio>

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: outside MODEL_FOLDER ADAPTER_FOLDER\n"), 2;
  dept::Pipeline pipeline;
  pipeline.backbone = dept::load_backbone(argv[1], {});
  pipeline.rules.max_source = 8;
  const int64_t width = pipeline.backbone->info().hidden;

  dept::AdapterConfig config;
  config.r = 2, config.max_length = 8, config.num_virtual_tokens = 4, config.token_dim = width, config.task_type = "CAUSAL_LM";
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const auto noise = [&] { return dept::init_prompt_random(4, width, generator); };
  pipeline.weights.input = dept::start_adapter(*config.method, dept::shape_of(config), {noise, generator});

  const std::vector<dept::Example> examples{{0, {5, 6, 7}, {10, 2}}, {1, {8, 9}, {11, 2}}, {2, {5, 9, 7, 6}, {12, 2}}};
  const int steps = 200;
  dept::Step step({}, pipeline, {}, 1.0, 1);
  double first = 0, loss = 0;
  for (int i = 0; i < steps; ++i) {
    step.accumulate(examples);
    loss = step.update({{0.1, 0.01}})[0].item<double>();
    if (i == 0) first = loss;
  }
  std::printf("%lld parameters, loss %.4f -> %.4f\n", static_cast<long long>(step.parameters()), first, loss);

  dept::save_adapter(argv[2], config, pipeline.weights);
  return loss < 0.1 * first ? 0 : 1;
} catch (const dept::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), error.exit_code();
}
