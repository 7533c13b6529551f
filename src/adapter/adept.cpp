// Adaptive decomposed prompt tuning (ADePT, ICLR 2025): an offset of each word embedding that depends on the token.
//
//   X = concat(P, E + ReLU(E A + a) B + b)
//
// P [M, D], A [D, R], B [R, D], a [R] and b [D] train. In training the authors' code drops out E A + a before the ReLU; the paper
// has no dropout there.
#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "dept/adapter/method.h"
#include "dept/kernels/dropout.h"
#include "dept/tensor/upload.h"

namespace dept {
namespace {

using at::Tensor;

struct Offsets : AdapterSaved {
  Tensor units;                 // [N, R] behind the ReLU
  std::vector<Tensor> rows, E;  // [K] the source tokens of each configuration, int64 [n], and their embeddings [n, D]
  kernels::Dropout dropout;
  Kernels chosen = Kernels::own;
};

// The source tokens of each configuration, int64 on `device`. An answer behind a source (row -1) keeps its embeddings, as it does
// when it is written.
std::vector<Tensor> tokens_of_configs(const Ragged& text, int64_t configs, at::Device device) {
  std::vector<std::vector<int64_t>> tokens(configs);
  const int64_t* row = text.row.defined() ? text.row.const_data_ptr<int64_t>() : nullptr;
  for (int64_t b = 0; b < text.batch(); ++b)
    for (int64_t n = text.offsets[b]; n < text.offsets[b + 1]; ++n)
      if (row == nullptr || row[n] >= 0) tokens[text.config[b]].push_back(n);
  std::vector<Tensor> rows;
  for (const std::vector<int64_t>& mine : tokens) rows.push_back(upload(mine, device));
  return rows;
}

class Adept final : public InputAdapter {
 public:
  using InputAdapter::InputAdapter;

 protected:
  std::unique_ptr<AdapterSaved> new_saved() const override { return std::make_unique<Offsets>(); }
  Tensor prompt(AdapterSaved*) const override { return P; }

  Tensor change(const AdapterCall& how, const Ragged& text, const Tensor& E, AdapterSaved* saved) const override {
    Offsets& kept = static_cast<Offsets&>(*saved);
    kept.chosen = how.kernels;
    kept.rows = tokens_of_configs(text, configs(), E.device());
    kept.dropout = kernels::Dropout(how.call, text, shape().dropout, 0, Site::adapter_offset);
    Tensor inner = at::zeros({E.size(0), a.size(1)}, E.options());
    for (int64_t k = 0; k < configs(); ++k)
      inner.index_copy_(0, kept.rows[k], at::addmm(a[k], kept.E.emplace_back(E.index_select(0, kept.rows[k])), A[k]));
    kept.units = at::relu(kernels::apply_dropout(inner, kept.dropout, how.kernels));
    Tensor X = E.clone();
    for (int64_t k = 0; k < configs(); ++k) {
      const Tensor offset = at::addmm(b[k], kept.units.index_select(0, kept.rows[k]), B[k]);
      X.index_copy_(0, kept.rows[k], kept.E[k] + offset);
    }
    return X;
  }

  // With u the units: db = the sum of d, dB = u^T d, and for du = mask * dropout'(d B^T): da = the sum of du, dA = E^T du
  Gradients gradients(const AdapterSaved* saved, const Tensor& dP, const Tensor& d) const override {
    const Offsets& kept = static_cast<const Offsets&>(*saved);
    Tensor dA = at::zeros_like(A), dB = at::zeros_like(B), da = at::zeros_like(a), db = at::zeros_like(b);
    Tensor d_units = at::zeros_like(kept.units);
    for (int64_t k = 0; k < configs(); ++k)
      d_units.index_copy_(0, kept.rows[k], at::mm(d.index_select(0, kept.rows[k]), B[k].t()));
    const Tensor d_inner = kernels::apply_dropout(d_units * (kept.units > 0), kept.dropout, kept.chosen);
    for (int64_t k = 0; k < configs(); ++k) {
      const Tensor mine = d.index_select(0, kept.rows[k]), inner = d_inner.index_select(0, kept.rows[k]);
      dA[k].copy_(at::mm(kept.E[k].t(), inner));
      dB[k].copy_(at::mm(kept.units.index_select(0, kept.rows[k]).t(), mine));
      da[k].copy_(inner.sum(0));
      db[k].copy_(mine.sum(0));
    }
    return {dP, dA, dB, da, db};
  }

  void fold_change(const std::function<Tensor()>& all_words, FoldedAdapter& folded) const override {
    const Tensor words = all_words();
    folded.table = at::empty({configs(), words.size(0), words.size(1)}, words.options());
    for (int64_t k = 0; k < configs(); ++k)
      folded.table[k].copy_(words + at::addmm(b[k], at::relu(at::addmm(a[k], words, A[k])), B[k]));
  }

 private:
  const Tensor &P = value(0), &A = value(1), &B = value(2), &a = value(3), &b = value(4);
};

std::vector<AdapterTensor> adept_tensors(const AdapterShape& s) {
  return {{"prompt_embeddings", Group::prompt, {s.prompt_rows(), s.width}},
          {"prompt_encoder.lora_embedding_A", Group::delta, {s.width, s.rank}},
          {"prompt_encoder.lora_embedding_B", Group::delta, {s.rank, s.width}},
          {"prompt_encoder.lora_embedding_a", Group::delta, {s.rank}},
          {"prompt_encoder.lora_embedding_b", Group::delta, {s.width}}};
}

// A's fan-in is R, as torch.nn.init counts that of a matrix [D, R].
std::vector<Tensor> adept_start(const AdapterShape& s, const AdapterStart& from) {
  Tensor P = from.prompt();
  return {P, kaiming_uniform({s.width, s.rank}, s.rank, from.generator), at::zeros({s.rank, s.width}), at::zeros({s.rank}),
          at::zeros({s.width})};
}

}  // namespace

extern const Method adept;
const Method adept{
    .peft_type = "ADEPT",
    .title = "Adaptive decomposed prompt tuning (ADePT)",
    .fields = {.words = true, .rank = true, .dropout = true},
    .defaults = {.prompt_tokens = 60, .rank = 19, .dropout = 0.1},
    .tensors = adept_tensors,
    .start = adept_start,
    .make = make_adapter_of<Adept>,
};

}  // namespace dept
