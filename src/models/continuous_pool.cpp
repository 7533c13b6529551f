#include "models/continuous_pool.h"

#include <algorithm>
#include <numeric>

#include "dept/base/error.h"

namespace dept {
namespace {

constexpr int64_t most_prompts = 4096;  // slots of prompts

// T5 gives sources half of the bytes.
PoolSize size_of(const PooledModel& model, int64_t sequences, int64_t bytes) {
  const int64_t token = model.token_bytes(), memory = model.memory_token_bytes();
  PoolSize size;
  size.slots = 2 * sequences + most_prompts;
  size.tokens = (memory > 0 ? bytes / 2 : bytes) / token;
  size.memory_tokens = memory > 0 ? bytes / 2 / memory : 0;
  return size;
}

}  // namespace

const PooledModel& as_pooled_model(const TextModel& model) {
  const auto* pooled = dynamic_cast<const PooledModel*>(&model);
  if (pooled == nullptr) fail(Code::bug, model.info().model_type, "a model whose caches can be pools", "another");
  return *pooled;
}

SequencePool::SequencePool(const TextModel& model, int64_t sequences, int64_t bytes)
    : model_(model),
      pooled_(as_pooled_model(model)),
      size_(size_of(pooled_, sequences, bytes)),
      cache_(pooled_.pool(size_)),
      free_(static_cast<size_t>(size_.slots)) {
  std::iota(free_.rbegin(), free_.rend(), int64_t{0});
}

std::optional<int64_t> SequencePool::take(int64_t tokens, int64_t memory_tokens) {
  if (free_.empty() || !pooled_.reserve(*cache_, free_.back(), tokens, memory_tokens)) return std::nullopt;
  const int64_t slot = free_.back();
  free_.pop_back();
  return slot;
}

void SequencePool::give_back(int64_t slot) {
  pooled_.release(*cache_, slot);
  free_.push_back(slot);
}

bool PromptStates::use(const std::shared_ptr<const SoftPrompt>& prompt, Use& use) {
  auto known = states_.find(prompt.get());
  if (known != states_.end() && known->second.prompt.expired()) {  // another prompt had the address
    states_.erase(known);
    known = states_.end();
  }
  if (known == states_.end()) {
    const int64_t length = prompt->rows.size(0);
    std::optional<int64_t> slot = pool_.take(length, 0);
    if (!slot && drop_unused()) slot = pool_.take(length, 0);
    if (!slot) return false;
    known = states_.try_emplace(prompt.get()).first;
    known->second.prompt = prompt;
    known->second.lease = SlotLease(pool_, *slot);
    known->second.length = length;
  }
  known->second.last_use = ++uses_;
  use = Use(*this, known->second);
  return true;
}

bool PromptStates::drop_unused() {
  return std::erase_if(states_, [](const auto& each) { return each.second.users == 0; }) > 0;
}

int64_t PromptStates::compute() {
  ContinuousStep step(pool_.model());
  std::vector<std::pair<State*, size_t>> computed;
  for (auto& [address, state] : states_) {
    const std::shared_ptr<const SoftPrompt> prompt = state.prompt.lock();
    if (prompt == nullptr || state.last_hidden.defined()) continue;
    SequencePiece piece;
    piece.slot = state.lease.slot();
    piece.embeds = prompt->rows;
    computed.emplace_back(&state, step.add(std::move(piece)));
  }
  if (computed.empty()) return 0;
  step.run(pool_.cache());
  for (const auto& [state, piece] : computed) state->last_hidden = step.hidden(piece).narrow(0, state->length - 1, 1).clone();
  return step.tokens();
}

void PromptStates::leave(State& state) {
  --state.users;
  drop_beyond(spare_bytes_);
}

// Prompts that are gone or were never computed first, then those that were used the longest time ago.
void PromptStates::drop_beyond(int64_t bytes) {
  std::erase_if(states_, [](const auto& each) {
    const State& state = each.second;
    return state.users == 0 && (state.prompt.expired() || !state.last_hidden.defined());
  });
  const auto size = [&](const State& state) { return state.length * pool_.pooled().token_bytes(); };
  std::vector<std::pair<uint64_t, const SoftPrompt*>> unused;
  int64_t held = 0;
  for (const auto& [address, state] : states_) {
    if (state.users > 0) continue;
    unused.emplace_back(state.last_use, address);
    held += size(state);
  }
  std::sort(unused.begin(), unused.end());
  for (size_t i = 0; i < unused.size() && held > bytes; ++i) {
    held -= size(states_.at(unused[i].second));
    states_.erase(unused[i].second);
  }
}

}  // namespace dept
