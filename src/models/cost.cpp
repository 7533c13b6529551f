#include "dept/models/cost.h"

#include "models/albert.h"
#include "models/bert_encoder.h"
#include "models/gpt2.h"
#include "models/gpt_neox.h"
#include "models/llama.h"
#include "models/t5.h"

namespace dept {
namespace {

StackCost bert_stack(const BertConfig& c) {
  return {{{c.hidden, 3 * c.hidden, c.layers},
           {c.hidden, c.hidden, c.layers},
           {c.hidden, c.intermediate, c.layers},
           {c.intermediate, c.hidden, c.layers}},
          c.layers,
          c.hidden,
          false};
}

ModelCost t5_cost(const T5Config& c) {
  const int64_t width = c.heads * c.head_dim, inner = (c.gated ? 2 : 1) * c.intermediate;
  const auto stack = [&](int64_t layers, bool causal) -> StackCost {
    return {
        {{c.hidden, 3 * width, layers}, {width, c.hidden, layers}, {c.hidden, inner, layers}, {c.intermediate, c.hidden, layers}},
        layers,
        width,
        causal};
  };
  ModelCost cost{stack(c.encoder_layers, false), stack(c.decoder_layers, true), {}, {c.hidden, c.vocab, 1}, false};
  cost.target.linears.push_back({c.hidden, width, c.decoder_layers});
  cost.target.linears.push_back({width, c.hidden, c.decoder_layers});
  cost.memory = {{c.hidden, 2 * width, c.decoder_layers}};
  return cost;
}

ModelCost llama_cost(const LlamaConfig& c) {
  const int64_t width = c.heads * c.head_dim;
  return {{{{c.hidden, width + 2 * c.kv_heads * c.head_dim, c.layers},
            {width, c.hidden, c.layers},
            {c.hidden, 2 * c.intermediate, c.layers},
            {c.intermediate, c.hidden, c.layers}},
           c.layers,
           width,
           true},
          {},
          {},
          {c.hidden, c.vocab, 1},
          true};
}

// Of GPT-2 and GPT-NeoX.
template <class Config>
ModelCost gpt_cost(const Config& c, double dropout) {
  return {{{{c.hidden, 3 * c.hidden, c.layers},
            {c.hidden, c.hidden, c.layers},
            {c.hidden, c.intermediate, c.layers},
            {c.intermediate, c.hidden, c.layers}},
           c.layers,
           c.hidden,
           true},
          {},
          {},
          {c.hidden, c.vocab, 1},
          dropout == 0};
}

}  // namespace

ModelCost model_cost(const Json& config, const std::string& where) {
  const auto type = require<std::string>(config, "model_type", where);
  if (type == "t5" || type == "mt5" || type == "umt5") return t5_cost(read_t5_config(config, where));
  if (type == "gpt2") return gpt_cost(read_gpt2_config(config, where), gpt2_info(config, where).dropout);
  if (type == "gpt_neox") return gpt_cost(read_gpt_neox_config(config, where), gpt_neox_info(config, where).dropout);
  if (type == "bert" || type == "roberta" || type == "xlm-roberta" || type == "mpnet")
    return {bert_stack(read_bert_config(config, where)), {}, {}, {}, false};
  if (type != "albert") return llama_cost(read_llama_config(config, where));
  ModelCost cost{bert_stack(read_bert_config(config, where)), {}, {}, {}, false};
  cost.source.linears.push_back({albert_info(config, where).input_width(), cost.source.width, 1});
  return cost;
}

}  // namespace dept
