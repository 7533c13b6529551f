#include "dept/models/cost.h"

#include "models/albert.h"
#include "models/bart.h"
#include "models/bert_encoder.h"
#include "models/deberta.h"
#include "models/distilbert.h"
#include "models/electra.h"
#include "models/gpt2.h"
#include "models/gpt_neox.h"
#include "models/llama.h"
#include "models/modernbert.h"
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

StackCost modernbert_stack(const ModernBertConfig& c) {
  return {{{c.hidden, 3 * c.hidden, c.layers},
           {c.hidden, c.hidden, c.layers},
           {c.hidden, 2 * c.intermediate, c.layers},
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

ModelCost bart_cost(const BartConfig& c) {
  const auto stack = [&](const BartConfig::Stack& s, bool causal) -> StackCost {
    return {{{c.hidden, 3 * c.hidden, s.layers},
             {c.hidden, c.hidden, s.layers},
             {c.hidden, s.intermediate, s.layers},
             {s.intermediate, c.hidden, s.layers}},
            s.layers,
            c.hidden,
            causal};
  };
  ModelCost cost{stack(c.encoder, false), stack(c.decoder, true), {}, {c.hidden, c.vocab, 1}, false};
  cost.target.linears.push_back({c.hidden, c.hidden, 2 * c.decoder.layers});
  cost.memory = {{c.hidden, 2 * c.hidden, c.decoder.layers}};
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
  if (type == "bart") return bart_cost(read_bart_config(config, where));
  if (type == "gpt2") return gpt_cost(read_gpt2_config(config, where), gpt2_info(config, where).dropout);
  if (type == "gpt_neox") return gpt_cost(read_gpt_neox_config(config, where), gpt_neox_info(config, where).dropout);
  if (type == "bert" || type == "roberta" || type == "xlm-roberta" || type == "mpnet")
    return {bert_stack(read_bert_config(config, where)), {}, {}, {}, false};
  if (type == "modernbert") return {modernbert_stack(read_modernbert_config(config, where)), {}, {}, {}, false};
  if (type == "deberta-v2") return {bert_stack(read_deberta_bert(config, where)), {}, {}, {}, false};
  if (type == "distilbert") return {bert_stack(read_distilbert_config(config, where)), {}, {}, {}, false};
  if (type != "albert" && type != "electra") return llama_cost(read_llama_config(config, where));
  ModelCost cost{bert_stack(read_bert_config(config, where)), {}, {}, {}, false};
  const int64_t width = (type == "albert" ? albert_info : electra_info)(config, where).input_width();
  if (type == "albert" || width != cost.source.width) cost.source.linears.push_back({width, cost.source.width, 1});
  return cost;
}

}  // namespace dept
