// The slots of a pool, and the prompts that are kept in some of them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dept/models/continuous.h"
#include "models/continuous_step.h"

namespace dept {

class SequencePool {
 public:
  /// As many slots as `sequences` at once, their sources and their prompts can need.
  SequencePool(const TextModel& model, int64_t sequences, int64_t bytes);

  KvCache& cache() { return *cache_; }
  const TextModel& model() const { return model_; }
  const PooledModel& pooled() const { return pooled_; }

  /// A slot with room, absent where the pool has none now.
  std::optional<int64_t> take(int64_t tokens, int64_t memory_tokens);
  void give_back(int64_t slot);
  /// Whether the empty pool would have room. T5's sources have rows of their own.
  bool could_hold(int64_t tokens, int64_t memory_tokens) const {
    return tokens <= size_.tokens && memory_tokens <= size_.memory_tokens;
  }

 private:
  const TextModel& model_;
  const PooledModel& pooled_;
  PoolSize size_;
  std::unique_ptr<KvCache> cache_;
  IdList free_;
};

/// A slot of a pool for as long as this lives.
class SlotLease {
 public:
  SlotLease() = default;
  SlotLease(SequencePool& pool, int64_t slot) : pool_(&pool), slot_(slot) {}
  SlotLease(SlotLease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), slot_(other.slot_) {}
  SlotLease& operator=(SlotLease&& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(slot_, other.slot_);
    return *this;
  }
  ~SlotLease() { release(); }

  explicit operator bool() const { return pool_ != nullptr; }
  int64_t slot() const { return slot_; }
  void release() {
    if (pool_ != nullptr) std::exchange(pool_, nullptr)->give_back(slot_);
  }

 private:
  SequencePool* pool_ = nullptr;
  int64_t slot_ = 0;
};

/// The keys and values of prompts: computed when one is first used, kept while it is used and, the latest of the others, up to a
/// number of bytes.
class PromptStates {
 public:
  PromptStates(SequencePool& pool, int64_t spare_bytes) : pool_(pool), spare_bytes_(spare_bytes) {}

  struct State {
    std::weak_ptr<const SoftPrompt> prompt;
    SlotLease lease;
    int64_t length = 0, users = 0;
    uint64_t last_use = 0;
    at::Tensor last_hidden;  ///< [1, D]; undefined: yet to be computed
  };
  /// One use of a prompt, for as long as this lives.
  class Use {
   public:
    Use() = default;
    Use(PromptStates& owner, State& state) : owner_(&owner), state_(&state) { ++state.users; }
    Use(Use&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)), state_(other.state_) {}
    Use& operator=(Use&& other) noexcept {
      std::swap(owner_, other.owner_);
      std::swap(state_, other.state_);
      return *this;
    }
    ~Use() {
      if (owner_ != nullptr) owner_->leave(*state_);
    }
    explicit operator bool() const { return owner_ != nullptr; }
    const State& state() const { return *state_; }

   private:
    PromptStates* owner_ = nullptr;
    State* state_ = nullptr;
  };

  /// False where the pool has no room for the prompt now.
  bool use(const std::shared_ptr<const SoftPrompt>& prompt, Use& use);
  /// Gives the room of all prompts that nobody uses back. False where there was none.
  bool drop_unused();
  /// Runs the prompts that are yet to be computed. Returns their tokens.
  int64_t compute();

 private:
  void leave(State& state);
  void drop_beyond(int64_t bytes);

  SequencePool& pool_;
  int64_t spare_bytes_;
  uint64_t uses_ = 0;
  std::map<const SoftPrompt*, State> states_;
};

}  // namespace dept
