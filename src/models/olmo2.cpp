// OLMo 2 (Walsh et al., arXiv 2501.00656): norms behind the branches alone, and of queries and keys over their whole width.
#include "models/llama_families.h"

namespace dept {
namespace {

void read_olmo2(const Json&, const std::string&, LlamaConfig& c) {
  c.norms = {"", "post_attention_layernorm", "", "post_feedforward_layernorm"};
  c.query_key_norms = QueryKeyNorms::all_heads;
}

}  // namespace

const LlamaFamily olmo2_family = {"olmo2", {.eps = 1e-5, .own_heads = true}, read_olmo2};

}  // namespace dept
