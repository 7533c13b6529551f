// generation_config.json as the defaults of a generation.

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/models/generation.h"

namespace dept {
namespace {

/// A field that has no effect here, and the value that has none in transformers either.
struct Neutral {
  std::string_view key;
  Json value;
};

const std::vector<Neutral>& unsupported() {
  static const std::vector<Neutral> fields = {{"num_beam_groups", 1},
                                              {"diversity_penalty", 0.0},
                                              {"penalty_alpha", 0.0},
                                              {"typical_p", 1.0},
                                              {"min_p", nullptr},
                                              {"top_h", nullptr},
                                              {"epsilon_cutoff", 0.0},
                                              {"eta_cutoff", 0.0},
                                              {"encoder_repetition_penalty", 1.0},
                                              {"encoder_no_repeat_ngram_size", 0},
                                              {"bad_words_ids", nullptr},
                                              {"force_words_ids", nullptr},
                                              {"constraints", nullptr},
                                              {"sequence_bias", nullptr},
                                              {"forced_bos_token_id", nullptr},
                                              {"forced_eos_token_id", nullptr},
                                              {"suppress_tokens", nullptr},
                                              {"begin_suppress_tokens", nullptr},
                                              {"exponential_decay_length_penalty", nullptr},
                                              {"guidance_scale", 1.0},
                                              {"renormalize_logits", false},
                                              {"stop_strings", nullptr},
                                              {"watermarking_config", nullptr},
                                              {"dola_layers", nullptr}};
  return fields;
}

void warn_of_unsupported(const Json& config, bool encoder_decoder, const std::string& where) {
  std::vector<Neutral> fields = unsupported();
  if (!encoder_decoder) fields.insert(fields.end(), {{"max_length", 20}, {"min_length", 0}});  // they count the prompt
  std::vector<std::string> names;
  for (const Neutral& field : fields) {
    const auto found = config.find(std::string(field.key));
    if (found != config.end() && !found->is_null() && *found != field.value) names.emplace_back(field.key);
  }
  if (!names.empty()) log::warn(str("[", where, "] no effect here: ", join(names, ", ")));
}

EarlyStopping early_stopping_of(const Json& config, const std::string& where) {
  const auto found = config.find("early_stopping");
  if (found == config.end() || found->is_null()) return EarlyStopping::no;
  if (found->is_boolean()) return found->get<bool>() ? EarlyStopping::yes : EarlyStopping::no;
  if (*found != "never") fail(Code::bad_input, where + ": early_stopping", "true, false or \"never\"", quote(found->dump()));
  return EarlyStopping::never;
}

}  // namespace

GenerationOptions generation_defaults(const fs::path& model, const ModelInfo& info) {
  GenerationOptions o;
  o.eos_ids = info.eos_ids;
  const fs::path path = model / "generation_config.json";
  if (!fs::is_directory(model) || !fs::exists(path)) return o;
  const Json config = read_json(path);
  const std::string where = path.string();
  if (!config.is_object()) fail(Code::bad_input, where, "a JSON object", quote(config.dump()));
  const auto read = [&](std::string_view key, auto& field) { field = value_or(config, key, field, where); };
  if (info.encoder_decoder()) {
    o.max_new_tokens = std::max<int64_t>(1, value_or<int64_t>(config, "max_length", 1 + o.max_new_tokens, where) - 1);
    o.min_new_tokens = std::max<int64_t>(0, value_or<int64_t>(config, "min_length", 0, where) - 1);
  }
  read("max_new_tokens", o.max_new_tokens);
  read("min_new_tokens", o.min_new_tokens);
  read("repetition_penalty", o.repetition_penalty);
  read("no_repeat_ngram_size", o.no_repeat_ngram_size);
  read("num_beams", o.num_beams);
  read("length_penalty", o.length_penalty);
  read("num_return_sequences", o.num_return_sequences);
  read("do_sample", o.do_sample);
  read("temperature", o.temperature);
  read("top_k", o.top_k);
  read("top_p", o.top_p);
  o.early_stopping = early_stopping_of(config, where);
  warn_of_unsupported(config, info.encoder_decoder(), where);
  return o;
}

}  // namespace dept
