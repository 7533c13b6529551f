#include "models/head.h"

#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

// GPT-NeoX's files have a name of their own.
std::string head_name(const ModelFiles& files) {
  const char* old = "embed_out.weight";
  return files.weights != nullptr && files.weights->find(old) != nullptr ? old : "lm_head.weight";
}

}  // namespace

kernels::FrozenMatrix load_head(const ModelFiles& files, const kernels::FrozenMatrix& embedding, at::ScalarType dtype,
                                bool said_tied, ModelInfo& info) {
  const std::string name = head_name(files);
  const bool stored = files.weights != nullptr ? files.weights->find(name) != nullptr : !info.tied;
  const int64_t counted_tied = info.tied;
  kernels::FrozenMatrix head = stored ? files.loader.matrix(name, {info.vocab, info.hidden}, dtype) : embedding;
  info.tied = !stored || head.dense().equal(embedding.dense());
  info.parameters += (counted_tied - int64_t{info.tied}) * info.vocab * info.hidden;
  if (info.tied) return embedding;
  if (said_tied && files.weights != nullptr)
    log::warn(str("[", files.where, ": tie_word_embeddings] true, but ", name,
                  " of the weights is another matrix than the "
                  "embedding: it is used as the head"));
  return head;
}

kernels::FrozenMatrix load_decoder_head(const ModelFiles& files, const kernels::FrozenMatrix& embedding, at::ScalarType dtype,
                                        ModelInfo& info) {
  return info.tied ? load_head(files, embedding, dtype, true, info)
                   : files.loader.matrix(head_name(files), {info.vocab, info.hidden}, dtype);
}

}  // namespace dept
