// What the parity tests of the backbones share: golden files, ragged streams, relative errors.
#pragma once

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "dept/base/error.h"
#include "dept/models/backbone.h"
#include "dept/models/generation.h"
#include "dept/tensorio/tensor_source.h"

namespace dept::parity {

using Lengths = std::vector<int64_t>;

inline fs::path data(const std::string& name) {
  return fs::path(DEPT_TEST_DATA) / "parity/data/models" / name;
}

inline std::unique_ptr<TensorSource> golden(const std::string& name) {
  return open_safetensors(data(name + ".golden.safetensors"));
}

inline ModelContext context(c10::ScalarType compute) {
  ModelContext context;
  context.compute = compute;
  return context;
}

inline Call training(uint32_t micro_step = 0) {
  Call call;
  call.training = true;
  call.micro_step = micro_step;
  return call;
}

inline std::unique_ptr<TextModel> as_text(std::unique_ptr<Backbone> model) {
  as_text_model(*model);
  return std::unique_ptr<TextModel>(dynamic_cast<TextModel*>(model.release()));
}
inline std::unique_ptr<TextModel> load_text_model(const fs::path& path, const ModelContext& context) {
  return as_text(load_backbone(path, context));
}

inline Lengths as_lengths(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kLong).contiguous();
  return {flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()};
}

/// max|a-b| / max|b|.
inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes()) return std::numeric_limits<double>::infinity();
  return ((a.to(at::kDouble) - b.to(at::kDouble)).abs().max() / b.to(at::kDouble).abs().max()).item<double>();
}

/// |a-b| / |b| in the 2-norm: for bf16, whose single elements may be far off.
inline double relative_distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a.to(at::kDouble) - b.to(at::kDouble)).norm() / b.to(at::kDouble).norm()).item<double>();
}

/// Sequences of the given lengths, positions from `first_position`, examples numbered from 7.
inline Stream stream(const Lengths& lengths, const at::Tensor& embeds, int64_t first_position = 0) {
  Stream out;
  std::vector<at::Tensor> positions{at::empty({0}, at::kLong)};
  for (const int64_t length : lengths) {
    out.tokens.append(length, 7 + out.tokens.batch());
    positions.push_back(at::arange(first_position, first_position + length, at::kLong));
  }
  out.tokens.position = at::cat(positions);
  out.embeds = embeds;
  return out;
}

/// Sequence b of a stream alone, still the same example.
inline Stream only(const Stream& all, int64_t b) {
  Stream out;
  out.tokens.append(all.tokens.length(b), all.tokens.example[b], all.tokens.config[b]);
  out.tokens.position = all.tokens.position.slice(0, all.tokens.offsets[b], all.tokens.offsets[b + 1]);
  out.embeds = all.embeds.slice(0, all.tokens.offsets[b], all.tokens.offsets[b + 1]);
  return out;
}

inline at::Tensor rows(const at::Tensor& tensor, const Ragged& tokens, int64_t b) {
  return tensor.slice(0, tokens.offsets[b], tokens.offsets[b + 1]);
}

/// Normal noise that is the same in every run.
inline at::Tensor noise(at::IntArrayRef shape, c10::ScalarType dtype, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  at::Tensor out = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < out.numel(); ++i) out.data_ptr<double>()[i] = normal(engine);
  return out.to(dtype);
}

/// A backbone that is asked for every third token alone, or for a single one, gives what it gives of all, and the same gradients,
/// in training too.
inline void expect_wanted_alone(const Backbone& model, const Stream& all, double tolerance) {
  const int64_t count = all.tokens.tokens();
  const auto pass = [&](const Call& call, const Stream& source, const at::Tensor& cotangent) {
    std::unique_ptr<Saved> saved;
    const at::Tensor hidden = model.forward(call, source, nullptr, &saved);
    return std::pair(hidden, model.backward(std::move(saved), cotangent).source);
  };
  for (const int64_t step : {int64_t{3}, count}) {
    Stream some = all;
    for (int64_t n = 1; n < count; n += step) some.wanted.push_back(n);
    const at::Tensor places = at::tensor(some.wanted);
    at::Tensor cotangent = at::zeros({count, model.info().hidden}, at::kDouble);
    cotangent.index_copy_(0, places, noise({places.size(0), model.info().hidden}, at::kDouble, 5));
    cotangent = cotangent.to(model.context().residual());
    for (const Call& call : {Call(), training()}) {
      const auto [hidden, gradient] = pass(call, some, cotangent);
      const auto [hidden_of_all, gradient_of_all] = pass(call, all, cotangent);
      EXPECT_LE(relative_error(hidden.index_select(0, places), hidden_of_all.index_select(0, places)), tolerance);
      EXPECT_LE(relative_error(gradient, gradient_of_all), tolerance);
    }
  }
}

struct Pass {
  at::Tensor logits;
  InputGradients gradients;
};

/// Logits of all tokens and the gradients of sum(cotangent * logits).
inline Pass run(const Call& call, const TextModel& model, const Stream& source, const Stream* target,
                const at::Tensor& cotangent) {
  std::unique_ptr<Saved> saved;
  const at::Tensor hidden = model.forward(call, source, target, &saved);
  Pass out;
  out.logits = model.logits(hidden);
  out.gradients = model.backward(std::move(saved), model.logits_backward(cotangent.to(model.context().residual()), out.logits));
  return out;
}

/// |bf16 - fp32| / |fp32| of a model's outputs.
struct Bf16Error {
  double logits = 0, source = 0, target = 0;
};

/// The medians of 50 batches with the lengths of `source` and `target` (no tokens: none): embeddings of random ids, 0.2 away from
/// them, and cotangents of about every second token. One batch says little: where a ReLU falls on the other side, its gradient is
/// several times as far off as that of the next.
inline Bf16Error bf16_error(const TextModel& exact, const TextModel& rough, const Stream& source, const Stream& target) {
  constexpr unsigned batches = 50;
  const bool two = exact.info().encoder_decoder();
  const auto draw = [&](const Stream& like, unsigned seed) {
    std::mt19937 engine(seed);
    Lengths ids(like.embeds.size(0));
    for (int64_t& id : ids) id = std::uniform_int_distribution<int64_t>(3, exact.info().vocab - 1)(engine);
    const at::Tensor embeds = exact.embed(at::tensor(ids, at::kLong));
    return Stream{like.tokens, embeds + 0.2 * noise(embeds.sizes(), at::kFloat, seed + 1)};
  };
  std::vector<double> logits, of_source, of_target;
  for (unsigned seed = 1000; seed < 1000 + 10 * batches; seed += 10) {
    const Stream x = draw(source, seed), z = two ? draw(target, seed + 2) : Stream{};
    const int64_t tokens = (two ? z : x).embeds.size(0);
    const at::Tensor chosen = noise({tokens, 1}, at::kFloat, seed + 4) < 0;
    const at::Tensor cotangent = noise({tokens, exact.info().vocab}, at::kFloat, seed + 5) * chosen;
    const Pass a = run({}, rough, x, two ? &z : nullptr, cotangent);
    const Pass b = run({}, exact, x, two ? &z : nullptr, cotangent);
    logits.push_back(relative_distance(a.logits, b.logits));
    of_source.push_back(relative_distance(a.gradients.source, b.gradients.source));
    if (two) of_target.push_back(relative_distance(a.gradients.target, b.gradients.target));
  }
  const auto median = [](std::vector<double>& of) {
    std::sort(of.begin(), of.end());
    return of.empty() ? 0 : (of[of.size() / 2 - 1] + of[of.size() / 2]) / 2;
  };
  return {median(logits), median(of_source), median(of_target)};
}

inline std::vector<std::vector<int64_t>> id_lists(const Json& json) {
  return json.get<std::vector<std::vector<int64_t>>>();
}

/// Continuations of all prompts in one ragged batch, under the options that NAME.greedy.json calls `key`.
inline std::vector<Generated> continuations(const TextModel& model, const Json& file, const std::string& key, bool all_at_once) {
  const auto prompts = id_lists(file["prompts"]);
  GenerationOptions options;
  options.max_new_tokens = file["max_new_tokens"];
  options.eos_ids = file["eos_ids"].get<std::vector<int64_t>>();
  const Json& given = file["options"][key];
  options.min_new_tokens = given.value("min_new_tokens", int64_t{0});
  options.repetition_penalty = given.value("repetition_penalty", 1.0);
  options.no_repeat_ngram_size = given.value("no_repeat_ngram_size", int64_t{0});

  std::vector<Generated> out;
  const size_t batch = all_at_once ? prompts.size() : 1;
  for (size_t begin = 0; begin < prompts.size(); begin += batch) {
    Lengths lengths, ids;
    std::vector<std::vector<int64_t>> counted;
    for (size_t i = begin; i < begin + batch; ++i) {
      lengths.push_back(static_cast<int64_t>(prompts[i].size()));
      ids.insert(ids.end(), prompts[i].begin(), prompts[i].end());
      // transformers counts the decoder's start id too.
      counted.push_back(model.info().encoder_decoder() ? Lengths{*model.info().decoder_start_id} : prompts[i]);
    }
    const GenerationInput input{stream(lengths, model.embed(at::tensor(ids, at::kLong))), counted, {}};
    for (auto& answers : generate(model, input, options)) out.push_back(std::move(answers.front()));
  }
  return out;
}

inline void expect_greedy(const TextModel& model, const std::string& name) {
  const Json file = read_json(data(name + ".greedy.json"));
  const Lengths eos = file["eos_ids"].get<Lengths>();
  for (const auto& [key, expected_json] : file["continuations"].items()) {
    const auto expected = id_lists(expected_json);
    for (const bool all_at_once : {true, false}) {
      const auto actual = continuations(model, file, key, all_at_once);
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(actual[i].ids, expected[i]) << key << ", prompt " << i << (all_at_once ? " in the batch" : " alone");
        const bool stopped = std::find(eos.begin(), eos.end(), expected[i].back()) != eos.end();
        EXPECT_STREQ(finish_name(actual[i].finish), stopped ? "stop" : "length");
      }
    }
  }
}

/// (f(x + h v) - f(x - h v)) / 2h against <gradient, v> for f = sum(cotangent * logits), relative. fp64.
template <class Value>
double directional_error(const Value& value, const at::Tensor& x, const at::Tensor& gradient, unsigned seed) {
  const double h = 1e-6;
  const at::Tensor v = noise(x.sizes(), at::kDouble, seed);
  const double numeric = (value(x + h * v) - value(x - h * v)) / (2 * h), exact = (gradient * v).sum().template item<double>();
  return std::abs(numeric - exact) / std::abs(exact);
}

/// The quickstart's model, where its set-up has fetched it.
inline fs::path smollm2() {
  const fs::path folder = fs::path(DEPT_TEST_DATA) / "../.deps/models";
  if (!fs::is_directory(folder)) return {};
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with("SmolLM2-135M") && entry.path().extension() == ".gguf") return entry.path();
  }
  return {};
}

}  // namespace dept::parity
