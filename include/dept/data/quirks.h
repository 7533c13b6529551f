// What the original's code does where it errs or contradicts the paper, as questions that the rest of the code asks. Behind each
// question stands its row, or its part, of docs/parity.md.
#pragma once

namespace dept {

/// Whose form and rules an adapter's file has.
enum class Semantics { dept, original };

/// Made from a command's options; by default the answer to each question is no.
class Quirks {
 public:
  Quirks() = default;
  /// --original_quirks, or not.
  explicit Quirks(bool original_quirks) : run_(original_quirks), model_(original_quirks) {}
  /// An adapter of the original's is evaluated and used as its code does it; data and options keep their meaning.
  static Quirks of_adapter(Semantics semantics) {
    Quirks quirks;
    quirks.model_ = semantics == Semantics::original;
    return quirks;
  }

  // Data and tasks.
  bool draws_last_shot_of_any_class() const { return run_; }    ///< 12
  bool knows_classes_of_few_tasks() const { return run_; }      ///< 12
  bool computes_no_em_of_labels() const { return run_; }        ///< 23
  bool writes_original_texts() const { return run_; }           ///< 25: a task's `original` entries count
  bool refuses_to_train_on_some_tasks() const { return run_; }  ///< 25
  bool requires_max_train_rows() const { return run_; }         ///< 27: fewer end the run
  bool requires_test_split() const { return run_; }             ///< 27
  bool divides_given_files() const { return run_; }             ///< 30
  bool has_no_regression_head() const { return run_; }          ///< 31
  bool keeps_hidden_labels() const { return run_; }             ///< 31
  bool tokenizes_as_transformers_4() const { return run_; }     ///< docs/tokenizers.md

  // Options.
  bool ignores_optimizer_flags() const { return run_; }    ///< 2
  bool ignores_metric_flags() const { return run_; }       ///< 9
  bool smooths_heads_only() const { return run_; }         ///< 13
  bool groups_rates_by_peft_type() const { return run_; }  ///< 17
  bool trains_two_methods_only() const { return run_; }    ///< 17: PROMPT_TUNING_LORA and PROMPT_TUNING
  bool has_no_class_weights() const { return run_; }
  bool reads_peft_prompts_as_its_own() const { return run_; }  ///< the introduction: a PROMPT_TUNING file without `semantics`

  // Training.
  bool schedules_minus_one_steps() const { return run_; }        ///< 5
  bool acts_at_epoch_end_within_step() const { return model_; }  ///< 7
  bool drops_last_evaluation_batch() const { return run_; }      ///< 7
  bool replaces_loss_without_labels() const { return model_; }   ///< 19
  bool pads_to_max_length() const { return model_; }             ///< 10, and "Flags": total_flos
  bool counts_head_twice() const { return model_; }              ///< "Flags": total_flos
  bool limits_train_samples() const { return run_; }             ///< "Flags": train_samples

  // Model and adapter.
  bool keeps_idle_prompt() const { return model_; }                                       ///< 14
  bool never_applies_delta_to_encoders() const { return model_; }                         ///< 15
  Semantics file_form() const { return model_ ? Semantics::original : Semantics::dept; }  ///< 18
  bool names_model_as_given() const { return model_; }                                    ///< 18
  bool takes_models_num_labels() const { return model_; }                                 ///< 31
  bool takes_models_label_order() const { return model_; }                                ///< 31

  // Decoder-only models, generation, metrics.
  bool cuts_source_suffix_and_label_together() const { return model_; }  ///< 19
  bool ignores_position_limit() const { return model_; }                 ///< 19: rows are cut, not refused
  bool takes_places_as_positions() const { return model_; }              ///< 20
  bool evaluates_source_without_answer() const { return model_; }        ///< 21
  bool evaluates_targets_by_their_ids() const { return model_; }         ///< 22
  bool ends_and_ranks_as_transformers_4() const { return model_; }       ///< 22
  bool counts_every_answer_as_positive() const { return model_; }        ///< 23

 private:
  bool run_ = false, model_ = false;
};

}  // namespace dept
