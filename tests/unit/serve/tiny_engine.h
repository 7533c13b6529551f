// A tiny model with adapters of every method on disk, an engine over it, and the same model and adapter alone.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "dept/models/generation.h"
#include "dept/serve/engine.h"
#include "dept/train/model_parts.h"
#include "unit/base/scratch.h"

namespace dept::serve {

/// What the engine said to a request in the end.
template <class Result>
struct Answer {
  std::shared_ptr<std::promise<Result>> promise = std::make_shared<std::promise<Result>>();
  std::shared_future<Result> future = promise->get_future().share();

  const Result& get() const { return future.get(); }
  std::function<void(Result)> on_done() const {
    return [to = promise](Result result) { to->set_value(std::move(result)); };
  }
  std::function<void(const Error&)> on_error() const {
    return [to = promise](const Error& error) { to->set_exception(std::make_exception_ptr(error)); };
  }
};

/// A model's folder in the test's own, and adapters beside it.
class TinyModel {
 public:
  explicit TinyModel(const std::string& name) {
    const fs::path data = DEPT_TEST_DATA;
    fs::copy(data / "parity/data/models" / name, scratch_ / "model");
    for (const char* file : {"tokenizer.json", "tokenizer_config.json"})
      fs::copy_file(data / "recipe/tiny" / file, scratch_ / "model" / file, fs::copy_options::overwrite_existing);
    options.model_name_or_path = (scratch_ / "model").string();
    options.threads = 1;
  }

  /// An adapter whose every number is drawn; returns its folder.
  fs::path adapter(const std::string& name, const AdapterOptions& adapter, const DataOptions& data) const {
    const AdaptedModel model = AdaptedModel::create(options, adapter, data);
    auto random = at::detail::createCPUGenerator(std::hash<std::string>()(name));
    for (const Parameter& parameter : model.weights().parameters()) at::Tensor(parameter.value).normal_(0, 0.5, random);
    model.save(scratch_ / name);
    return scratch_ / name;
  }

  /// The model as `dept generate` loads it, with an adapter or alone.
  AdaptedModel alone(const std::string& name) const {
    ModelOptions model = options;
    if (!name.empty()) model.peft_model_id = (scratch_ / name).string();
    DataOptions data;
    data.causal_suffix = "";
    return AdaptedModel::load(model, data);
  }

  const Scratch& folder() const { return scratch_; }

  ModelOptions options;

 private:
  Scratch scratch_;
};

/// As `dept generate` asks a model: the prompts together, all their ids source.
inline std::vector<std::vector<Generated>> generate_alone(const AdaptedModel& model, const std::vector<std::string>& prompts,
                                                          GenerationOptions options) {
  std::vector<Example> examples;
  std::vector<Ids> counted;
  for (const std::string& prompt : prompts) {
    const Ids ids = model.tokenizer().encode(prompt);
    examples.push_back({static_cast<int64_t>(examples.size()), ids, {}});
    counted.push_back(model.rules().encoder_decoder() ? Ids() : ids);
  }
  options.eos_ids = model.backbone().info().eos_ids;
  const Batch batch = collate(model.rules(), examples, Purpose::answering);
  return generate(
      model.text_model(),
      {model.adapt_source({}, batch.source, batch.source_ids).source.stream, counted, model.adapter().decoder_prompt()}, options);
}

inline Answer<Completion> ask(Engine& engine, CompletionRequest request, std::function<void(const Delta&)> on_delta = {}) {
  Answer<Completion> answer;
  engine.complete(std::move(request), {std::move(on_delta), answer.on_done(), answer.on_error()});
  return answer;
}

inline Answer<Classification> ask(Engine& engine, ClassifyRequest request) {
  Answer<Classification> answer;
  engine.classify(std::move(request), {answer.on_done(), answer.on_error()});
  return answer;
}

/// The likeliest answer.
inline CompletionRequest greedy(const std::string& model, const std::string& prompt, int64_t max_tokens = 8) {
  CompletionRequest request;
  request.model = model;
  request.prompts = {prompt};
  request.max_tokens = max_tokens;
  request.temperature = 0;
  return request;
}

}  // namespace dept::serve
