// Adapter files: adapter_config.json and adapter_model.safetensors or adapter_model.bin, in the layout of the original's fork of
// PEFT.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dept/adapter/method.h"
#include "dept/adapter/weights.h"
#include "dept/base/file.h"
#include "dept/data/batch.h"
#include "dept/data/quirks.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {

/// "start" or "end", and back. Throws usage.
DeltaAlignment parse_delta_alignment(std::string_view name);
std::string to_string(DeltaAlignment alignment);

/// How text became model input when the adapter was trained, and how it answered: eval, predict and score go on so. Named as the
/// options of training are, with their defaults.
struct AdapterTask {
  std::string source_template = "{text}";
  std::string text_column = "text", text_pair_column, label_column = "label", image_column;
  std::string causal_suffix;                                   ///< behind the source of decoder-only models
  std::string target_start = "tokenizer", target_end = "pad";  ///< as DataOptions has them
  bool truncate_head = false;                                  ///< too long sources lose their head instead of their tail
  bool chat = false;                                           ///< trained on conversations: a text is what a user says
  std::vector<std::string> labels;                             ///< empty: free text, or numbers; a head's logits have this order
  std::vector<std::string> label_words;                        ///< as many as labels
  std::string predict_by = "generate";
  int64_t generation_max_length = 20, generation_num_beams = 1;
  std::optional<int64_t> max_new_tokens;
  std::string dtype = "fp32";
};

/// How an adapter sees images.
struct VisualConfig {
  std::string source;  ///< as --visual names it
  VisualForm form = VisualForm::linear;
  int64_t tokens = 0;    ///< T, of an image
  int64_t channels = 0;  ///< C, numbers of each
};

/// adapter_config.json.
struct AdapterConfig {
  const Method* method = &dept_method();
  int64_t r = 0;  ///< R
  double lora_alpha = 8;
  int64_t max_length = 0;           ///< S, the rows of A
  int64_t encoder_hidden_size = 0;  ///< H
  double adapter_dropout = 0;
  int64_t projection_seed = 0;
  int64_t num_virtual_tokens = 0;          ///< M
  int64_t num_transformer_submodules = 1;  ///< 2: as many rows again for the decoder's input
  int64_t token_dim = 0;                   ///< D
  std::string prompt_tuning_init = "TEXT";
  std::string prompt_tuning_init_text;
  std::string base_model_name_or_path;
  std::string revision;   ///< of a base model on the hub; empty means its main branch
  std::string task_type;  ///< "CAUSAL_LM", "SEQ_2_SEQ_LM" or "SEQ_CLS"; empty means not told
  std::string tokenizer_name_or_path;
  bool inference_mode = true;
  Semantics semantics = Semantics::dept;  ///< original: a file of the original code, without this field
  DeltaAlignment delta_alignment = DeltaAlignment::end;
  std::optional<Pooling> pooling;                   ///< with a head; absent in files of the original: default_pooling
  int64_t hidden_size = 768;                        ///< of the model; in files of the original always this one
  int64_t num_layers = 0, num_attention_heads = 0;  ///< of the model, in files of the original
  AdapterTask task;
  std::optional<VisualConfig> visual;                              ///< absent: it sees texts alone
  std::vector<std::string> unknown_fields;                         ///< of the file: named when the adapter is loaded
  bool load_lora_embeddings = true, load_lora_embedding_B = true;  ///< false: A and B, or B alone, start anew when it is loaded

  bool decomposed() const { return method == &dept_method(); }
  bool original() const { return semantics == Semantics::original; }
  /// A prompt alone without our fields runs as PEFT runs it, whoever wrote it.
  bool runs_as_peft() const { return original() && !decomposed(); }
  /// Prompts in use: the decoder's own is idle in files of the original.
  int64_t submodules() const { return original() ? 1 : num_transformer_submodules; }
  bool classifies() const { return task_type == "SEQ_CLS"; }
  int64_t prompt_rows() const { return num_virtual_tokens * num_transformer_submodules; }
};

/// The shape of the tensors of an adapter of this config.
AdapterShape shape_of(const AdapterConfig& config);

struct Adapter {
  AdapterConfig config;
  AdapterWeights weights;  ///< K = 1, fp32
};

/// What an adapter is loaded for: to answer with, or to train on. Of a method that keeps its prompt alone, training needs the
/// network too, which checkpoints have.
enum class AdapterUse { answers, training };

/// Reads and checks adapter_config.json alone. Throws io or bad_input, naming file and field.
AdapterConfig read_adapter_config(const fs::path& folder);

/// adapter_model.safetensors, else adapter_model.bin. Throws io or bad_input.
std::unique_ptr<TensorSource> open_adapter_weights(const fs::path& folder);

/// The labels of the head that an adapter's files hold, 0 without one. Throws io or bad_input.
int64_t head_rows(const fs::path& folder);

struct AdapterLoad {
  AdapterUse use = AdapterUse::answers;
  uint64_t seed = 42;                                     ///< of what starts anew
  std::optional<bool> embeddings = {}, embedding_B = {};  ///< whether A and B are taken from the file; absent: as its config says
};

/// What of an adapter is written, and how.
struct AdapterForm {
  bool safetensors = true;  ///< false: adapter_model.bin as torch.save writes it
  bool delta = true;        ///< false: without A and B
  bool network = false;     ///< with what makes the prompt, of a method that keeps its prompt alone, to train on
};

/// Reads both files and checks shapes against the config and the width against `hidden`, the backbone's D. A head is there
/// exactly when the task type is SEQ_CLS, a visual embedding exactly when the config has one. A file of DePT's prompt without A
/// and B is logged as a warning, and these start as for a new adapter, as do those that `load` or the config leaves out. The
/// second half of an original's prompt for two submodules is idle. Throws io or bad_input; an adapter of another model's width is
/// one of these.
Adapter load_adapter(const fs::path& folder, int64_t hidden, const AdapterLoad& load = {});

/// Writes configuration k of the stack `weights` into an existing folder, each file atomically. Throws io.
/// A PROMPT_TUNING adapter has no A and B and loads in upstream PEFT.
void save_adapter(const fs::path& folder, const AdapterConfig& config, const AdapterWeights& weights, int64_t k = 0,
                  const AdapterForm& form = {});

}  // namespace dept
