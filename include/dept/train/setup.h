// What train, eval and predict do before their work: checks, an adapter's settings, model and tokenizer bound together.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dept/train/model_parts.h"
#include "dept/train/options.h"

namespace dept {

/// Of a regression head when none are asked for.
inline const std::vector<std::string> regression_metrics = {"pearson", "spearmanr"};

/// Runs all checks and throws what they found as one error with the first one's code.
void check_all(const std::vector<std::function<void()>>& checks);

/// From an adapter's config: base model, its revision and its tokenizer when the options name none, what it sees of images, and
/// max_seq_length (which a flag changes only where no A has rows for it).
void adopt_model(const AdapterConfig& config, ModelOptions& model, DataOptions& data, const OptionSet& set);

/// From an adapter's config: the compute type that it was trained in, where `set` says that none was given.
void adopt_dtype(const AdapterConfig& config, ModelOptions& model, const OptionSet& set);

/// From an adapter's config: how text becomes input and how it answers, where `set` says that it was not given. What an adapter
/// without our fields does not tell is as PEFT has it: the text as given, whole. Throws usage for labels that are not those of
/// the adapter's head.
void adopt_task(const AdapterConfig& config, DataOptions& data, EvaluationOptions& evaluation, const OptionSet& set);

/// Places the adapter that the options name on disk, adopts all of the above from its config, and returns that; a config of
/// nothing where they name none. Throws as these do, and as read_adapter_config.
AdapterConfig adopt_adapter(ModelOptions& model, DataOptions& data, EvaluationOptions& evaluation, const OptionSet& set);

/// The labels of a head without our fields, when none are given: the names that the base model on disk has for them, as in PEFT.
/// Throws usage where it has none for a head of several labels.
void adopt_label_names(const AdapterConfig& config, const ModelOptions& model, DataOptions& data);

/// Throws usage for a decoder's own prompt on a model that is no encoder-decoder.
void check_submodules(int64_t submodules, const ModelInfo& info);

/// The model that the options name, its tokenizer and the adapter's width, from their heads alone.
/// Throws usage for no model at all, io or bad_input.
ModelInfo check_model(const ModelOptions& options);

/// Whether the model is yet to be fetched; one on disk is ready for check_model.
bool is_on_hub(const ModelOptions& options);

/// Throws io in about a second for a model, tokenizer or vision model on the hub that cannot be had; as check_visual.
void check_source(const ModelOptions& options);

/// Brings an adapter that peft_model_id names on the hub (its main branch) to the disk, where peft_model_id is from then on.
/// Throws usage or io.
void place_adapter(ModelOptions& options);

/// Brings model, tokenizer and vision model to the disk; a model that is fetched is not checked. Throws usage or io.
void place_model(ModelOptions& options);

/// Throws io unless the folder, or the nearest one above it that is there, can be written in. Makes nothing.
void check_output_folder(const fs::path& folder);

/// Throws io unless the folder's disk has room for `bytes`.
void check_free_space(const fs::path& folder, double bytes);

TokenizerRules tokenizer_rules(Quirks quirks);

/// Reads the tokenizer of the model, or the one named besides.
std::shared_ptr<const Tokenizer> load_model_tokenizer(const ModelOptions& options, Quirks quirks);

/// The chat form of that tokenizer's files. Throws bad_input where they have none that is known, or for a model that is not
/// decoder-only.
std::shared_ptr<const ChatForm> load_model_chat_form(const ModelOptions& options, const Tokenizer& tokenizer,
                                                     Architecture architecture);

/// Of the original's code under --original_quirks; where nothing is trained also of a decomposed adapter that the original wrote.
Quirks quirks_for(const ModelOptions& model, const DataOptions& data, bool trains);

/// How text becomes ids for this model. The caller sets rules.head.
EncodeRules encode_rules(const ModelInfo& model, const Tokenizer& tokenizer, const DataOptions& data, DeltaAlignment alignment,
                         Quirks quirks);

/// Sets what the model's positions leave behind a prompt of `prompt` tokens, where a head, the longest of the rules' label words
/// or one token at least is to answer. Under the original's quirks nothing: its rows are cut as they are.
void limit_to_positions(EncodeRules& rules, const ModelInfo& model, const Tokenizer& tokenizer, int64_t prompt);

/// "SEQ_CLS", "SEQ_2_SEQ_LM" or "CAUSAL_LM": `wanted`, else what the model is for.
/// Throws usage for one that the model cannot do.
std::string task_type_for(const ModelInfo& model, const std::optional<std::string>& wanted);

/// Gives a model's parts the adapter's weights and settings, under the quirks of their rules; `info` is the model's. Throws
/// bad_input for a head that is not this model's or does not fit `labels`.
void attach_adapter(ModelParts& parts, const Adapter& adapter, const ModelInfo& info, const std::vector<std::string>& labels);

/// The images of parts whose adapter sees them; null: it sees texts alone. Throws usage, io or bad_input.
std::shared_ptr<const VisualInput> visual_of(const ModelParts& parts, const ModelOptions& options);

/// All of an AdaptedModel but the frozen model: tokenizer, rules and adapter, by which rows are read before the model is.
/// `tokenizer`: the model's, where it has been read. Throws bad_input for labels that have the same ids.
ModelParts read_parts(const ModelOptions& options, const DataOptions& data, ModelUse use = ModelUse::answering,
                      std::shared_ptr<const Tokenizer> tokenizer = nullptr);

/// The whole model of read_parts, to answer with: its adapter is folded. Throws io or bad_input.
AdaptedModel load_adapted_model(ModelParts parts, const ModelOptions& options, const ModelContext& context);

}  // namespace dept
