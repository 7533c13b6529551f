// The frozen model, and what it is with each adapter: how text becomes a source in front of which the adapter's prompt stands.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/models/continuous.h"
#include "dept/models/generation.h"
#include "dept/serve/engine.h"
#include "dept/train/evaluate.h"
#include "dept/train/model_parts.h"

namespace dept::serve {

/// Throws RequestError with "[param] expected <expected>, received <received>".
[[noreturn]] void refuse(Refusal refusal, std::string_view param, std::string_view expected, std::string_view received);

/// What all adapters share.
struct Base {
  ModelOptions options;  ///< as placed on disk
  std::string name;
  std::shared_ptr<const Backbone> backbone;
  std::shared_ptr<const Tokenizer> tokenizer;
  GenerationOptions one_by_one, by_beams;  ///< what the model's files say of either search
  std::shared_ptr<const ChatForm> chat;    ///< null: none that is known, for the reason in no_chat
  std::string no_chat;

  const TextModel& text_model() const { return as_text_model(*backbone); }
  const ModelInfo& info() const { return backbone->info(); }
};

/// Throws usage for a model that writes no text, io or bad_input.
Base load_base(ModelOptions options);

/// The base or an adapter. Is not changed once it is made.
class ServedModel {
 public:
  /// The base.
  explicit ServedModel(const Base& base);
  /// An adapter, folded. Throws io or bad_input.
  ServedModel(const Base& base, const std::string& name, const fs::path& folder);

  const ModelEntry& entry() const { return entry_; }
  int64_t soft_prompt() const { return entry_.soft_prompt; }

  /// The ids of a prompt as `dept generate` takes it: no template, no suffix. Throws RequestError.
  Ids prompt_ids(const std::string& text) const;
  /// Throws RequestError for ids that are none, and for more than the adapter has rows or, with `behind` new ones, the model
  /// positions for.
  void check_prompt(const Ids& ids, int64_t behind) const;
  ContinuousSource source(const Ids& ids, int64_t example) const;

  /// Texts as `dept predict` takes them. Throws RequestError.
  std::vector<Example> examples(const std::vector<std::string>& texts) const;
  ContinuousSource source(const Example& example) const { return source_of(*scorer_, example); }
  bool by_head() const { return rules_.by == PredictBy::head; }
  const PredictRules& rules() const { return rules_; }
  const AdaptedModel& scorer() const { return *scorer_; }

 private:
  ContinuousSource source_of(const AdaptedModel& model, const Example& example) const;
  void complete_with(ModelParts parts);
  void keep_prompt(const AdaptedModel& model);

  std::shared_ptr<const Tokenizer> tokenizer_;
  ModelEntry entry_;
  std::optional<AdaptedModel> writing_;  ///< absent with a head
  std::optional<AdaptedModel> scorer_;   ///< of an adapter with labels
  PredictRules rules_;
  std::string source_template_;
  std::shared_ptr<const SoftPrompt> prompt_;  ///< a decoder's; null: none, or it stands in each source
  at::Tensor decoder_prompt_;                 ///< T5's own; undefined: none
};

}  // namespace dept::serve
