// Granite 3 (IBM 2024): Llama with four factors.
#include "models/llama_families.h"

namespace dept {
namespace {

double factor(const Json& config, std::string_view key, const std::string& where) {
  const double value = read_positive(config, key, 1, where);
  if (value == 0) fail(Code::bad_input, str(where, ": ", key), "a positive number", "null");
  return value;
}

void read_granite(const Json& config, const std::string& where, LlamaConfig& c) {
  c.attention_scale = factor(config, "attention_multiplier", where);
  c.input_scale = factor(config, "embedding_multiplier", where);
  c.branch_factor = factor(config, "residual_multiplier", where);
  c.logit_scale = 1 / factor(config, "logits_scaling", where);
}

}  // namespace

const LlamaFamily granite_family = {"granite", {.own_heads = true}, read_granite};

}  // namespace dept
