// Ultra-low-dimensional prompt tuning (arXiv 2502.04501): a prompt in r dimensions, lifted by a frozen random matrix.
//
//   P = s * (Z R) + t,   X = concat(P, E)
//
// Z [M, r], s [D] and t [D] train; R [r, D] is drawn from its seed whenever the adapter is made.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "dept/adapter/method.h"

namespace dept {
namespace {

using at::Tensor;

// Xavier's uniform values.
Tensor random_projection(const AdapterShape& s) {
  const double bound = std::sqrt(6.0 / static_cast<double>(s.rank + s.width));
  return at::empty({s.rank, s.width}, at::kFloat).uniform_(-bound, bound, at::detail::createCPUGenerator(s.seed));
}

struct Lifted : AdapterSaved {
  Tensor ZR;  // [K, M, D]
};

class Ulpt final : public InputAdapter {
 public:
  Ulpt(const AdapterShape& shape, std::vector<Parameter> parameters)
      : InputAdapter(shape, std::move(parameters)), R(random_projection(shape).to(Z.device(), dtype())) {}

 protected:
  std::unique_ptr<AdapterSaved> new_saved() const override { return std::make_unique<Lifted>(); }

  Tensor prompt(AdapterSaved* saved) const override {
    Tensor& ZR = static_cast<Lifted&>(*saved).ZR;
    ZR = at::matmul(Z, R);
    return s.unsqueeze(1) * ZR + t.unsqueeze(1);
  }

  // dZ = (s * dP) R^T,   ds = the rows' sum of dP * (Z R),   dt = the rows' sum of dP
  Gradients gradients(const AdapterSaved* saved, const Tensor& dP, const Tensor&) const override {
    return {at::matmul(s.unsqueeze(1) * dP, R.t().to(dP.options())), (dP * static_cast<const Lifted&>(*saved).ZR).sum(1),
            dP.sum(1)};
  }

 private:
  const Tensor &Z = value(0), &s = value(1), &t = value(2);
  Tensor R;
};

std::vector<AdapterTensor> ulpt_tensors(const AdapterShape& s) {
  return {{"prompt_embeddings", Group::prompt, {s.prompt_rows(), s.rank}},
          {"prompt_encoder.base_embedding.scale", Group::prompt, {s.width}},
          {"prompt_encoder.base_embedding.bias", Group::prompt, {s.width}}};
}

std::vector<Tensor> ulpt_start(const AdapterShape& s, const AdapterStart& from) {
  return {at::randn({s.prompt_rows(), s.rank}, from.generator, at::kFloat), at::ones({s.width}), at::zeros({s.width})};
}

}  // namespace

extern const Method ulpt;
const Method ulpt{
    .peft_type = "ULPT",
    .title = "Ultra-low-dimensional prompt tuning (ULPT)",
    .fields = {.rank = true, .seed = true},
    .defaults = {.prompt_tokens = 100, .rank = 2},
    .tensors = ulpt_tensors,
    .start = ulpt_start,
    .make = make_adapter_of<Ulpt>,
};

}  // namespace dept
