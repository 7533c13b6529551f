// Prompt tuning: The Power of Scale for Parameter-Efficient Prompt Tuning, arXiv 2104.08691.
//
//   X = concat(P, E)
#include "dept/adapter/method.h"

namespace dept {
namespace {

using at::Tensor;

class PromptTuning final : public InputAdapter {
 public:
  using InputAdapter::InputAdapter;

 protected:
  Tensor prompt(AdapterSaved*) const override { return value(0); }
  Gradients gradients(const AdapterSaved*, const Tensor& dP, const Tensor&) const override { return {dP}; }
};

std::vector<AdapterTensor> prompt_tuning_tensors(const AdapterShape& s) {
  return {{"prompt_embeddings", Group::prompt, {s.prompt_rows(), s.width}}};
}

std::vector<Tensor> prompt_tuning_start(const AdapterShape&, const AdapterStart& from) {
  return {from.prompt()};
}

}  // namespace

extern const Method prompt_tuning;
const Method prompt_tuning{
    .peft_type = "PROMPT_TUNING",
    .title = "Vanilla prompt tuning",
    .fields = {.words = true},
    .defaults = {},
    .tensors = prompt_tuning_tensors,
    .start = prompt_tuning_start,
    .make = make_adapter_of<PromptTuning>,
};

}  // namespace dept
