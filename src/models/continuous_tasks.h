// What each asker of a ContinuousBatch has in it: a source in a slot of the pool, and what goes on behind it.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "models/continuous_pool.h"
#include "models/generation_choice.h"

namespace dept {

/// A source in the pool: a decoder's text behind its prompt, or the answer's start behind an encoded text.
class PlacedSource {
 public:
  /// How much room what follows needs: `width` rows of up to `behind` tokens each, which share the source when there are several.
  struct Room {
    int64_t width = 1, behind = 0;
    bool start = true;  ///< T5: the decoder's start token stands in front of what follows
  };
  PlacedSource(SequencePool& pool, ContinuousSource source) : pool_(pool), source_(std::move(source)) {}

  /// Takes slots. False where there is no room now; nothing is held then. Throws resource where there never is.
  bool place(PromptStates& prompts, const Room& room);
  /// New tokens that its first step will have.
  int64_t tokens() const;
  int64_t example() const { return source_.example; }

  /// T5: the text to be encoded, once; else null.
  const at::Tensor* unencoded();
  /// Adds the source's own tokens to a step, and returns the number of the piece whose last logits are those behind the source;
  /// absent: nothing has been run (T5 without a start or a prompt). Called once, when prompt and encoder have run.
  std::optional<size_t> start(ContinuousStep& step);

  /// The slot of each row and what is to stand in front of its first token.
  struct Row {
    SlotLease lease;
    int64_t slot = 0, prefix = -1, position = 0;
  };
  std::vector<Row>& rows() { return rows_; }
  /// A row's next tokens.
  SequencePiece next(Row& row, IdList ids, int64_t wanted);
  int64_t slot() const { return lease_.slot(); }
  /// Slots to[i] become copies of slots from[i].
  void copy(const IdList& from, const IdList& to) { pool_.model().copy_slots(pool_.cache(), from, to); }
  /// Tokens in the source's slot, and all but the first of them forgotten.
  int64_t length() const { return pool_.model().length(pool_.cache(), lease_.slot()); }
  void rewind(int64_t length) { pool_.model().rewind(pool_.cache(), lease_.slot(), length); }
  Kernels kernels() const { return pool_.model().context().kernels; }

 private:
  bool take(const Room& room);
  int64_t prompt_length() const { return source_.prompt ? source_.prompt->rows.size(0) : 0; }
  int64_t decoder_prompt_length() const { return source_.decoder_prompt.defined() ? source_.decoder_prompt.size(0) : 0; }
  bool encodes() const { return pool_.model().info().encoder_decoder(); }

  SequencePool& pool_;
  ContinuousSource source_;
  Room room_;
  PromptStates::Use prompt_;
  SlotLease lease_;
  std::vector<Row> rows_;
  bool encoded_ = false;
};

class Task {
 public:
  explicit Task(SequencePool& pool, ContinuousSource source) : source_(pool, std::move(source)) {}
  virtual ~Task() = default;

  virtual PlacedSource::Room room() const = 0;
  /// Sequences that it has in a step.
  virtual int64_t sequences() const = 0;
  /// Adds the next tokens to a step.
  virtual void plan(ContinuousStep& step) = 0;
  /// Goes on with what the step found; true when there is no more to do.
  virtual bool take(ContinuousStep& step) = 0;
  virtual void tell(const Error& error) = 0;

  PlacedSource& source() { return source_; }

 protected:
  PlacedSource source_;
};

std::unique_ptr<Task> make_task(SequencePool& pool, WriteTask task);
std::unique_ptr<Task> make_task(SequencePool& pool, LabelTask task);

}  // namespace dept
