#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>

#include "dept/adapter/init.h"
#include "dept/base/error.h"
#include "support/dept_adapter.h"

namespace dept {
namespace {

/// "abc" -> [1, 'a', 'b', 'c'], as if 1 were a start token.
class ByteTokenizer : public Tokenizer {
 public:
  Ids encode(std::string_view text, const EncodeOptions& options) const override {
    Ids ids;
    if (options.add_special_tokens && !text.empty()) ids.push_back(1);
    for (char c : text) ids.push_back(c);
    return ids;
  }
  Ids encode_pair(std::string_view text, std::string_view, const EncodeOptions& options) const override {
    return encode(text, options);
  }
  std::string decode(std::span<const int64_t>, bool) const override { return ""; }
  int64_t vocab_size() const override { return 128; }
  std::optional<int64_t> token_to_id(std::string_view) const override { return {}; }
  std::string id_to_token(int64_t) const override { return ""; }
  std::vector<std::pair<std::string, std::string>> files() const override { return {}; }
};

/// Embeds id i as [i, 2 i]; does nothing else.
class EmbeddingOnly : public Backbone {
 public:
  EmbeddingOnly() : Backbone({}) {}
  const ModelInfo& info() const override { return info_; }
  at::Tensor embed(const at::Tensor& ids) const override { return ids.unsqueeze(1) * (at::arange(2, at::kFloat) + 1); }
  at::Tensor forward(const Call&, const Stream&, const Stream*, std::unique_ptr<Saved>*) const override { return {}; }
  InputGradients backward(std::unique_ptr<Saved>, const at::Tensor&) const override { return {}; }

 private:
  ModelInfo info_;
};

TEST(InitText, RepeatsTheIdsWithTheirSpecialsAndCuts) {
  const at::Tensor prompt = init_prompt_text(EmbeddingOnly(), ByteTokenizer(), "ab", 7);
  const std::vector<float> ids{1, 'a', 'b', 1, 'a', 'b', 1};
  ASSERT_EQ(prompt.sizes(), (at::IntArrayRef{7, 2}));
  for (int64_t j = 0; j < 7; ++j) {
    EXPECT_EQ(prompt[j][0].item<float>(), ids[j]);
    EXPECT_EQ(prompt[j][1].item<float>(), 2 * ids[j]);
  }
  EXPECT_EQ(init_prompt_text(EmbeddingOnly(), ByteTokenizer(), "ab", 2)[1][0].item<float>(), 'a');
  EXPECT_THROW(init_prompt_text(EmbeddingOnly(), ByteTokenizer(), "", 2), Error);
}

AdapterWeights start(int64_t S, int64_t R, const at::Generator& generator) {
  const AdapterShape shape{.prompt_tokens = 3, .width = 4, .rank = R, .max_length = S};
  return {start_adapter(dept_method(), shape, {[] { return at::zeros({3, 4}); }, generator}), {}, {}};
}

TEST(StartDept, DrawsWithinTheBoundAndStartsAsNothing) {
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(1);
  const DeptWeights weights = dept_weights(start(500, 9, generator));
  EXPECT_LE(weights.A.abs().max().item<float>(), 1.0F / 3);
  EXPECT_GE(weights.A.abs().max().item<float>(), 0.33F);
  EXPECT_NEAR(weights.A.mean().item<float>(), 0, 0.02);
  EXPECT_EQ(weights.B.abs().sum().item<float>(), 0);
  EXPECT_EQ(dept_weights(start(5, 0, generator)).A.sizes(), (at::IntArrayRef{1, 5, 0}));
}

}  // namespace
}  // namespace dept
