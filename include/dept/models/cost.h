// The arithmetic of a model: the products that it makes for each token.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dept/base/json.h"

namespace dept {

/// `count` matrices [out, in] that multiply each token.
struct LinearShape {
  int64_t in, out, count;
};

/// Layers of self-attention and feed-forward.
struct StackCost {
  std::vector<LinearShape> linears;
  int64_t layers = 0, width = 0;  ///< of queries: heads x head size
  bool causal = false;
};

struct ModelCost {
  StackCost source;                 ///< encoder, or decoder-only model
  StackCost target;                 ///< T5's decoder, its cross-attention's queries and outputs included
  std::vector<LinearShape> memory;  ///< keys and values of T5's cross-attention, of each source token
  LinearShape head{};               ///< the language-model head, at label tokens; an encoder has none
  bool shares_prompt = false;       ///< the prompt's own states are computed once a step
};

/// From a config.json. Throws bad_input.
ModelCost model_cost(const Json& config, const std::string& where);

}  // namespace dept
