#include "dept/adapter/input_adapter.h"

#include <ATen/ops/cat.h>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

AdaptedText in_front(const at::Tensor& prompt, const Ragged& text, const at::Tensor& embeds, bool share_prompt) {
  PromptLayout layout = lay_out(text, prompt.size(1), prompt.size(0), share_prompt);
  return {{with_prompt(text, layout), put_in_front(layout, prompt, embeds)}, layout};
}

void check_embeds(const Stream& text, const at::Tensor& prompt) {
  const int64_t N = text.tokens.tokens(), D = prompt.size(2);
  if (text.embeds.sizes() == at::IntArrayRef({N, D}) && text.embeds.scalar_type() == prompt.scalar_type()) return;
  fail(Code::bug, "adapter", dept::str(prompt.scalar_type(), " embeddings [", N, ", ", D, "]"),
       dept::str(text.embeds.scalar_type(), " ", text.embeds.sizes()));
}

}  // namespace

const at::Tensor& InputAdapter::parameter(std::string_view name) const {
  for (const Parameter& parameter : parameters_)
    if (parameter.name == name) return parameter.value;
  fail(Code::bug, "adapter", "one of its parameters", quote(std::string(name)));
}

AdaptedBatch InputAdapter::apply(const AdapterCall& how, const Stream& source, const Stream* target) const {
  AdaptedBatch batch;
  batch.saved = new_saved();
  const at::Tensor rows = prompt(batch.saved.get());
  check_embeds(source, rows);
  const int64_t M = prompt_tokens();
  batch.source = in_front(rows.narrow(1, 0, M), source.tokens, change(how, source.tokens, source.embeds, batch.saved.get()),
                          how.share_prompt);
  if (target == nullptr) return batch;
  check_embeds(*target, rows);
  batch.target = in_front(rows.narrow(1, M, decoder_prompt_tokens()), target->tokens, target->embeds, false);
  return batch;
}

Gradients InputAdapter::backward(const AdaptedBatch& batch, const InputGradients& d) const {
  auto [d_prompt, d_text] = take_from_front(batch.source.layout, d.source);
  if (decoder_prompt_tokens() > 0) d_prompt = at::cat({d_prompt, take_from_front(batch.target->layout, d.target).P}, 1);
  return gradients(batch.saved.get(), d_prompt, d_text);
}

AdaptedText InputAdapter::apply_to_target(const Stream& target) const {
  const at::Tensor rows = decoder_prompt();
  check_embeds(target, rows);
  return in_front(rows, target.tokens, target.embeds, false);
}

at::Tensor InputAdapter::whole_prompt() const {
  const std::unique_ptr<AdapterSaved> unused = new_saved();
  return prompt(unused.get());
}

at::Tensor InputAdapter::decoder_prompt() const {
  return whole_prompt().narrow(1, prompt_tokens(), decoder_prompt_tokens());
}

FoldedAdapter InputAdapter::fold(const std::function<at::Tensor()>& words) const {
  FoldedAdapter folded;
  folded.prompt = whole_prompt();
  fold_change(words, folded);
  return folded;
}

}  // namespace dept
