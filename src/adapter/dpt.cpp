// Decomposed prompt of low rank: Decomposed Prompt Tuning via Low-Rank Reparameterization, arXiv 2310.10094.
//
//   P = Z W^T,   X = concat(P, E)
//
// Z [M, R] and W [D, R] train: W is a linear layer without bias.
#include <ATen/ops/bmm.h>
#include <ATen/ops/randn.h>

#include "dept/adapter/method.h"

namespace dept {
namespace {

using at::Tensor;

class Dpt final : public InputAdapter {
 public:
  using InputAdapter::InputAdapter;

 protected:
  Tensor prompt(AdapterSaved*) const override { return at::bmm(Z, W.transpose(1, 2)); }

  // dZ = dP W,   dW = dP^T Z
  Gradients gradients(const AdapterSaved*, const Tensor& dP, const Tensor&) const override {
    return {at::bmm(dP, W.to(dP.options())), at::bmm(dP.transpose(1, 2), Z.to(dP.options()))};
  }

 private:
  const Tensor &Z = value(0), &W = value(1);
};

std::vector<AdapterTensor> dpt_tensors(const AdapterShape& s) {
  return {{"prompt_embeddings", Group::prompt, {s.prompt_rows(), s.rank}},
          {"prompt_encoder.base_embedding.weight", Group::prompt, {s.width, s.rank}}};
}

std::vector<Tensor> dpt_start(const AdapterShape& s, const AdapterStart& from) {
  Tensor Z = at::randn({s.prompt_rows(), s.rank}, from.generator, at::kFloat);
  return {Z, kaiming_uniform({s.width, s.rank}, s.rank, from.generator)};
}

}  // namespace

extern const Method dpt;
const Method dpt{
    .peft_type = "DPT",
    .title = "Prompt tuning by a prompt of low rank (DPT)",
    .fields = {.rank = true},
    .defaults = {.rank = 10},
    .tensors = dpt_tensors,
    .start = dpt_start,
    .make = make_adapter_of<Dpt>,
};

}  // namespace dept
