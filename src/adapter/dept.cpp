// Decomposed prompt tuning, whole: DePT: Decomposed Prompt Tuning for Parameter-Efficient Fine-tuning, arXiv 2309.05173,
// section 2.2.
//
//   X = concat(P, E + scale * (A B)[row of each token]),   scale = alpha / sqrt(r)
//
// E [N, D] are the frozen word embeddings of the text; P [M, D], A [S, R] and B [R, D] are all that trains. K adapters of one
// shape are stacked, each sequence uses the one that its config names.
#include "dept/adapter/dept.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/kernels/row_sums.h"
#include "dept/tensor/upload.h"

namespace dept {
namespace {

using at::Tensor;

/// The rows of A that a batch uses, [first, first + count), and for each text token its row of the stacked [K * count] product,
/// -1 none.
struct UsedRows : AdapterSaved {
  int64_t first = 0, count = 0;
  std::vector<int64_t> index;
};

void find_used_rows(const Ragged& tokens, int64_t S, int64_t R, UsedRows& used) {
  const int64_t N = tokens.tokens();
  int64_t last = -1;
  std::vector<int64_t>& index = used.index;
  index.assign(N, -1);
  if (R > 0 && tokens.row.defined()) {
    std::copy_n(tokens.row.const_data_ptr<int64_t>(), N, index.begin());
    used.first = S;
    for (int64_t r : index) {
      if (r < -1 || r >= S) fail(Code::bad_input, "DePT", str("rows of A·B below ", S, " (max_length), or -1"), str(r));
      if (r >= 0) used.first = std::min(used.first, r);
      last = std::max(last, r);
    }
  }
  used.first = std::min(used.first, last + 1);
  used.count = last + 1 - used.first;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    for (int64_t n = tokens.offsets[b]; n < tokens.offsets[b + 1]; ++n)
      if (index[n] >= 0) index[n] += tokens.config[b] * used.count - used.first;
}

class Dept final : public InputAdapter {
 public:
  Dept(const AdapterShape& shape, std::vector<Parameter> parameters)
      : InputAdapter(shape, std::move(parameters)), scale_(delta_scale(shape.alpha, shape.rank)) {}

  int64_t max_text() const override { return A.size(2) > 0 ? A.size(1) : 0; }

 protected:
  std::unique_ptr<AdapterSaved> new_saved() const override { return std::make_unique<UsedRows>(); }
  Tensor prompt(AdapterSaved*) const override { return P; }

  Tensor change(const AdapterCall&, const Ragged& text, const Tensor& E, AdapterSaved* saved) const override {
    UsedRows& rows = static_cast<UsedRows&>(*saved);
    find_used_rows(text, A.size(1), A.size(2), rows);
    const Tensor AB = at::bmm(A.narrow(1, rows.first, rows.count), B).mul_(scale_).flatten(0, 1);
    const Tensor delta = at::cat({AB, at::zeros({1, P.size(2)}, AB.options())});
    std::vector<int64_t> index = rows.index;
    std::replace(index.begin(), index.end(), int64_t{-1}, AB.size(0));
    return E + delta.index_select(0, upload(index, E.device()));
  }

  // With d = d loss / d X and G[row] = the sum of d over the text tokens of that row:
  //   dP = the sum of d over the copies of P,   dA = scale * G B^T,   dB = scale * A^T G
  Gradients gradients(const AdapterSaved* saved, const Tensor& dP, const Tensor& d) const override {
    const UsedRows& rows = static_cast<const UsedRows&>(*saved);
    const int64_t K = P.size(0), D = P.size(2);
    const Tensor G = kernels::wide_row_sums(d, rows.index, K * rows.count).view({K, rows.count, D});
    const Tensor used_A = A.narrow(1, rows.first, rows.count).to(G.options());
    Tensor dA = at::zeros(A.sizes(), G.options());
    dA.narrow(1, rows.first, rows.count).copy_(at::bmm(G, B.to(G.options()).transpose(1, 2)).mul_(scale_));
    return {dP, dA, at::bmm(used_A.transpose(1, 2), G).mul_(scale_)};
  }

  void fold_change(const std::function<Tensor()>&, FoldedAdapter& folded) const override {
    folded.rows = at::bmm(A, B).mul_(scale_);
  }

 private:
  const Tensor &P = value(0), &A = value(1), &B = value(2);
  double scale_;
};

std::vector<AdapterTensor> dept_tensors(const AdapterShape& s) {
  return {{"prompt_embeddings", Group::prompt, {s.prompt_rows(), s.width}},
          {"prompt_encoder.lora_embedding_A", Group::delta, {s.max_length, s.rank}},
          {"prompt_encoder.lora_embedding_B", Group::delta, {s.rank, s.width}}};
}

// The prompt from words or noise, A uniform, B zero, so that A·B starts as nothing.
std::vector<Tensor> dept_start(const AdapterShape& s, const AdapterStart& from) {
  Tensor P = from.prompt();
  return {P, kaiming_uniform({s.max_length, s.rank}, s.rank, from.generator), at::zeros({s.rank, s.width})};
}

}  // namespace

double delta_scale(double alpha, int64_t rank) {
  return rank == 0 ? 0.0 : alpha / std::sqrt(static_cast<double>(rank));
}

extern const Method decomposed_prompt;
const Method decomposed_prompt{
    .peft_type = "PROMPT_TUNING_LORA",
    .title = "Decomposed prompt tuning (DePT)",
    .fields = {.words = true, .rank = true, .rows = true},
    .defaults = {},
    .tensors = dept_tensors,
    .start = dept_start,
    .make = make_adapter_of<Dept>,
};

}  // namespace dept
