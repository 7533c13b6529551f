// Llama against transformers, and against itself in other forms: ragged, shared prefix, cached, finite differences.
#include "support.h"

namespace dept::parity {
namespace {

class Llama : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<TextModel> load(c10::ScalarType dtype) { return load_text_model(data(GetParam()), context(dtype)); }

  /// The golden batch with embeddings and cotangent in `dtype`.
  Stream golden_stream(const TensorSource& file, c10::ScalarType dtype) {
    Stream out = stream(as_lengths(file.read("lengths")), file.read("embeds").to(dtype));
    out.tokens.position = file.read("position");
    return out;
  }
};

TEST_P(Llama, ConfigIsRead) {
  const ModelInfo info = read_model_info(data(GetParam()));
  EXPECT_EQ(info.model_type, "llama");
  EXPECT_FALSE(info.encoder_decoder());
  EXPECT_EQ(info.hidden, 32);
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.heads, 4);
  EXPECT_EQ(info.vocab, 96);
  EXPECT_EQ(info.max_positions, 128);
  EXPECT_EQ(info.tied, GetParam() == "llama-gqa-tied");
  EXPECT_EQ(info.bos_id, 1);
  EXPECT_EQ(info.pad_id, 0);
  EXPECT_EQ(info.eos_ids, (std::vector<int64_t>{2, 30, 31, 57}));
}

TEST_P(Llama, EmbedsIds) {
  const auto model = load(at::kFloat);
  const auto file = golden(GetParam());
  // The golden embeddings are the words' with noise of 0.2 a component.
  EXPECT_LT((model->embed(file->read("ids")) - file->read("embeds")).abs().max().item<double>(), 1.0);
  EXPECT_THROW(model->embed(at::tensor({int64_t{96}})), Error);
  EXPECT_THROW(model->embed(at::tensor({int64_t{-1}})), Error);
}

TEST_P(Llama, EqualsTransformersInFp32) {
  const auto file = golden(GetParam());
  const Pass pass = run({}, *load(at::kFloat), golden_stream(*file, at::kFloat), nullptr, file->read("cotangent"));
  EXPECT_LT(relative_error(pass.logits, file->read("logits.fp32")), 1e-5);
  EXPECT_LT(relative_error(pass.gradients.source, file->read("d_embeds.fp32")), 2e-5);
}

TEST_P(Llama, EqualsTransformersInFp64) {
  const auto file = golden(GetParam());
  const Pass pass = run({}, *load(at::kDouble), golden_stream(*file, at::kDouble), nullptr, file->read("cotangent"));
  EXPECT_LT(relative_error(pass.logits, file->read("logits.fp64")), 1e-11);
  EXPECT_LT(relative_error(pass.gradients.source, file->read("d_embeds.fp64")), 1e-11);
}

TEST_P(Llama, Bf16StaysNear) {
  const auto file = golden(GetParam());
  const Pass pass = run({}, *load(at::kBFloat16), golden_stream(*file, at::kFloat), nullptr, file->read("cotangent"));
  EXPECT_LT(relative_distance(pass.logits, file->read("logits.fp32")), 3e-2);
  EXPECT_LT(relative_distance(pass.gradients.source, file->read("d_embeds.fp32")), 3e-2);
}

TEST_P(Llama, RaggedEqualsOneAtATime) {
  const auto model = load(at::kDouble);
  const auto file = golden(GetParam());
  const Stream all = golden_stream(*file, at::kDouble);
  const Pass together = run({}, *model, all, nullptr, file->read("cotangent"));
  for (int64_t b = 0; b < all.tokens.batch(); ++b) {
    const Pass alone = run({}, *model, only(all, b), nullptr, rows(file->read("cotangent"), all.tokens, b));
    EXPECT_LT(relative_error(rows(together.logits, all.tokens, b), alone.logits), 1e-12) << "sequence " << b;
    if (alone.gradients.source.abs().max().item<double>() == 0) continue;
    EXPECT_LT(relative_error(rows(together.gradients.source, all.tokens, b), alone.gradients.source), 1e-12) << "sequence " << b;
  }
}

/// Two prompts of 3 tokens; five texts that take prompt 0 1 0 0 1, the last one empty.
struct PromptCase {
  Lengths texts{4, 1, 9, 2, 0};
  std::vector<int64_t> prompt_of{0, 1, 0, 0, 1};
  at::Tensor prompts = noise({2, 3, 32}, at::kDouble, 1) * 0.4;
  at::Tensor embeds = noise({16, 32}, at::kDouble, 2) * 0.4;

  Stream shared() const {
    Stream out;
    for (int64_t k = 0; k < 2; ++k) out.tokens.append(3, -1, k);
    std::vector<at::Tensor> positions{at::arange(3), at::arange(3)};
    for (size_t b = 0; b < texts.size(); ++b) {
      out.tokens.append(texts[b], static_cast<int64_t>(b), prompt_of[b], prompt_of[b]);
      positions.push_back(at::arange(3, 3 + texts[b]));
    }
    out.tokens.position = at::cat(positions).to(at::kLong);
    out.embeds = at::cat({prompts.reshape({6, 32}), embeds});
    return out;
  }

  Stream repeated() const {
    Lengths lengths;
    std::vector<at::Tensor> parts;
    int64_t at = 0;
    for (size_t b = 0; b < texts.size(); ++b) {
      lengths.push_back(3 + texts[b]);
      parts.push_back(prompts[prompt_of[b]]);
      parts.push_back(embeds.slice(0, at, at + texts[b]));
      at += texts[b];
    }
    return stream(lengths, at::cat(parts));
  }
};

TEST_P(Llama, SharedPrefixEqualsPromptInEachSequence) {
  const auto model = load(at::kDouble);
  const PromptCase test;
  const Stream shared = test.shared(), repeated = test.repeated();
  at::Tensor text_cotangent = noise({16, 96}, at::kDouble, 3), repeated_cotangent = at::zeros({31, 96}, at::kDouble);
  for (int64_t b = 0; b < 5; ++b) {
    rows(repeated_cotangent, repeated.tokens, b).slice(0, 3).copy_(rows(text_cotangent, stream(test.texts, {}).tokens, b));
  }
  const Pass a = run({}, *model, shared, nullptr, at::cat({at::zeros({6, 96}, at::kDouble), text_cotangent}));
  const Pass z = run({}, *model, repeated, nullptr, repeated_cotangent);
  at::Tensor d_prompts = at::zeros({2, 3, 32}, at::kDouble);
  for (int64_t b = 0; b < 5; ++b) {
    d_prompts[test.prompt_of[b]] += rows(z.gradients.source, repeated.tokens, b).slice(0, 0, 3);
    if (test.texts[b] == 0) continue;
    EXPECT_LT(relative_error(rows(a.logits, shared.tokens, 2 + b), rows(z.logits, repeated.tokens, b).slice(0, 3)), 1e-12) << b;
    EXPECT_LT(
        relative_error(rows(a.gradients.source, shared.tokens, 2 + b), rows(z.gradients.source, repeated.tokens, b).slice(0, 3)),
        1e-12)
        << b;
  }
  EXPECT_LT(relative_error(a.gradients.source.slice(0, 0, 6).reshape({2, 3, 32}), d_prompts), 1e-12);
}

TEST_P(Llama, CachedStepsEqualFullForward) {
  const auto model = load(at::kDouble);
  const Stream all = stream({8, 3, 11}, noise({22, 32}, at::kDouble, 4));
  const at::Tensor full = model->forward({}, all, nullptr, nullptr);
  const auto token = [&](int64_t b, int64_t from, int64_t to) {
    Stream part = only(all, b);
    Stream out = stream({to - from}, part.embeds.slice(0, from, to), from);
    return out;
  };
  const auto join = [](const std::vector<Stream>& parts) {
    Stream out;
    std::vector<at::Tensor> positions, embeds;
    for (const Stream& part : parts) {
      out.tokens.append(part.tokens.tokens(), part.tokens.example[0]);
      positions.push_back(part.tokens.position);
      embeds.push_back(part.embeds);
    }
    out.tokens.position = at::cat(positions);
    out.embeds = at::cat(embeds);
    return out;
  };
  const auto expected = [&](int64_t b, int64_t from, int64_t to) { return rows(full, all.tokens, b).slice(0, from, to); };

  const auto cache = model->start(all, 4, 11);
  // Prefill three rows into slots out of order, then steps of one and more tokens, rows left out in between.
  at::Tensor h = model->extend(*cache, join({token(0, 0, 5), token(1, 0, 1), token(2, 0, 6)}), {2, 0, 3});
  EXPECT_LT(relative_error(h, at::cat({expected(0, 0, 5), expected(1, 0, 1), expected(2, 0, 6)})), 1e-12);
  h = model->extend(*cache, join({token(2, 6, 7), token(1, 1, 2)}), {3, 0});
  EXPECT_LT(relative_error(h, at::cat({expected(2, 6, 7), expected(1, 1, 2)})), 1e-12);
  h = model->extend(*cache, join({token(0, 5, 8), token(2, 7, 11)}), {2, 3});
  EXPECT_LT(relative_error(h, at::cat({expected(0, 5, 8), expected(2, 7, 11)})), 1e-12);
  EXPECT_EQ(model->length(*cache, 2), 8);
  EXPECT_EQ(model->length(*cache, 0), 2);
  EXPECT_EQ(model->length(*cache, 1), 0);

  // A rewound slot takes the same tokens again with the same result.
  model->rewind(*cache, 2, 4);
  EXPECT_EQ(model->length(*cache, 2), 4);
  EXPECT_LT(relative_error(model->extend(*cache, token(0, 4, 8), {2}), expected(0, 4, 8)), 1e-12);

  // Copies happen as if all at once: slots 2 and 3 swap, 0 goes to 1.
  model->rewind(*cache, 2, 7);
  model->rewind(*cache, 3, 9);
  model->copy_slots(*cache, {3, 2, 0}, {2, 3, 1});
  EXPECT_EQ(model->length(*cache, 2), 9);
  EXPECT_EQ(model->length(*cache, 3), 7);
  EXPECT_EQ(model->length(*cache, 1), 2);
  h = model->extend(*cache, join({token(2, 9, 10), token(0, 7, 8), token(1, 2, 3)}), {2, 3, 1});
  EXPECT_LT(relative_error(h, at::cat({expected(2, 9, 10), expected(0, 7, 8), expected(1, 2, 3)})), 1e-12);
}

TEST_P(Llama, CachedSharedPrefixEqualsFullForward) {
  const auto model = load(at::kDouble);
  const PromptCase test;
  const Stream shared = test.shared(), repeated = test.repeated();
  const at::Tensor full = model->forward({}, repeated, nullptr, nullptr);
  const auto cache = model->start(shared, 7, 12);
  const at::Tensor h = model->extend(*cache, shared, {0, 1, 2, 3, 4, 5, 6});
  for (int64_t b = 0; b < 4; ++b) {
    EXPECT_LT(relative_error(rows(h, shared.tokens, 2 + b), rows(full, repeated.tokens, b).slice(0, 3)), 1e-12) << b;
  }
  EXPECT_EQ(model->length(*cache, 2), 4);

  // One token more for the texts 0 and 4 (the empty one), and for a copy of text 1.
  model->copy_slots(*cache, {3}, {5});
  const at::Tensor more = noise({3, 32}, at::kDouble, 5);
  Stream fresh = stream({1, 1, 1}, more);
  fresh.tokens.position = at::tensor({int64_t{7}, int64_t{3}, int64_t{4}});
  const at::Tensor next = model->extend(*cache, fresh, {2, 6, 5});
  const int64_t text_of[] = {0, 4, 1};
  for (int64_t i = 0; i < 3; ++i) {
    const Stream text = only(repeated, text_of[i]);
    const Stream longer = stream({text.tokens.tokens() + 1}, at::cat({text.embeds, more.slice(0, i, i + 1)}));
    EXPECT_LT(relative_error(next.slice(0, i, i + 1), model->forward({}, longer, nullptr, nullptr).slice(0, -1)), 1e-12) << i;
  }
}

TEST_P(Llama, BackwardEqualsFiniteDifferences) {
  const auto model = load(at::kDouble);
  const PromptCase test;
  Stream x = test.shared();
  const at::Tensor cotangent = noise({x.tokens.tokens(), 96}, at::kDouble, 6);
  const Pass pass = run({}, *model, x, nullptr, cotangent);
  const auto value = [&](const at::Tensor& embeds) {
    return (model->logits(model->forward({}, {x.tokens, embeds}, nullptr, nullptr)) * cotangent).sum().item<double>();
  };
  for (unsigned seed = 10; seed < 14; ++seed) EXPECT_LT(directional_error(value, x.embeds, pass.gradients.source, seed), 1e-6);
}

TEST_P(Llama, GreedyEqualsTransformers) {
  expect_greedy(*load(at::kFloat), GetParam());
}

TEST_P(Llama, GreedyFromSharedPromptEqualsPromptInEachRow) {
  const auto model = load(at::kFloat);
  const PromptCase test;
  GenerationOptions options;
  options.max_new_tokens = 8;
  const auto as_float = [](Stream stream) {
    stream.embeds = stream.embeds.to(at::kFloat);
    return stream;
  };
  const auto a = generate(*model, {as_float(test.shared()), {}, {}}, options);
  const auto z = generate(*model, {as_float(test.repeated()), {}, {}}, options);
  ASSERT_EQ(a.size(), 5u);
  for (size_t b = 0; b < 5; ++b) EXPECT_EQ(a[b][0].ids, z[b][0].ids) << b;
}

TEST_P(Llama, SinkEndsRows) {
  const auto model = load(at::kFloat);
  GenerationOptions options;
  options.max_new_tokens = 6;
  const Stream source = stream({2, 3}, noise({5, 32}, at::kFloat, 7));
  const auto whole = generate(*model, {source, {}, {}}, options);
  std::vector<std::vector<int64_t>> told(2);
  const auto cut = generate(*model, {source, {}, {}}, options, [&](size_t row, std::span<const int64_t> ids) {
    told[row].assign(ids.begin(), ids.end());
    return row == 1 && ids.size() == 2;
  });
  EXPECT_EQ(cut[0][0].ids, whole[0][0].ids);
  EXPECT_EQ(cut[0][0].finish, Generated::Finish::length);
  EXPECT_EQ(cut[1][0].ids, std::vector<int64_t>(whole[1][0].ids.begin(), whole[1][0].ids.begin() + 2));
  EXPECT_EQ(cut[1][0].finish, Generated::Finish::stop);
  EXPECT_EQ(told[0], cut[0][0].ids);
  EXPECT_EQ(told[1], cut[1][0].ids);
}

INSTANTIATE_TEST_SUITE_P(Tiny, Llama, testing::Values("llama-gqa-tied", "llama-untied"),
                         [](const auto& test) { return test.param == "llama-untied" ? "untied" : "tied"; });

TEST(SmolLM2, GreedyEqualsTransformers) {
  const fs::path path = smollm2();
  if (path.empty()) GTEST_SKIP() << "no SmolLM2-135M in .deps/models: scripts/quickstart.sh fetches it";
  const auto model = load_text_model(path, context(at::kFloat));
  const Json cases = read_json(data("smollm2_greedy.json"));
  Lengths lengths, ids;
  for (const Json& one : cases) {
    const auto prompt = one["ids"].get<Lengths>();
    lengths.push_back(static_cast<int64_t>(prompt.size()));
    ids.insert(ids.end(), prompt.begin(), prompt.end());
  }
  GenerationOptions options;
  options.max_new_tokens = 32;
  const auto answers = generate(*model, {stream(lengths, model->embed(at::tensor(ids, at::kLong))), {}, {}}, options);
  size_t compared = 0;
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto expected = cases[i]["continuation"].get<Lengths>();
    const auto gap = cases[i]["gap"].get<std::vector<double>>();
    for (size_t t = 0; t < expected.size() && gap[t] >= 0.01; ++t, ++compared)
      ASSERT_EQ(answers[i][0].ids[t], expected[t]) << cases[i]["text"] << ", step " << t;
  }
  EXPECT_GT(compared, 150u);
}

}  // namespace
}  // namespace dept::parity
