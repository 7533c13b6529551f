// A model's generation_config.json under what is asked for: the options of a generation.

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/models/generation.h"
#include "models/generation_options.h"

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
                                              {"encoder_repetition_penalty", 1.0},
                                              {"encoder_no_repeat_ngram_size", 0},
                                              {"bad_words_ids", nullptr},
                                              {"force_words_ids", nullptr},
                                              {"constraints", nullptr},
                                              {"sequence_bias", nullptr},
                                              {"suppress_tokens", nullptr},
                                              {"begin_suppress_tokens", nullptr},
                                              {"exponential_decay_length_penalty", nullptr},
                                              {"guidance_scale", 1.0},
                                              {"renormalize_logits", false},
                                              {"stop_strings", nullptr},
                                              {"token_healing", false},
                                              {"max_time", nullptr},
                                              {"watermarking_config", nullptr},
                                              {"dola_layers", nullptr}};
  return fields;
}

/// The same of what only a draw looks at.
const std::vector<Neutral>& unsupported_of_draws() {
  static const std::vector<Neutral> fields = {
      {"typical_p", 1.0}, {"min_p", nullptr}, {"top_h", nullptr}, {"epsilon_cutoff", 0.0}, {"eta_cutoff", 0.0}};
  return fields;
}

/// Where a model says how it writes: generation_config.json, else keys that older versions of transformers put into config.json.
struct Said {
  Json config = Json::object();
  std::string where;
  bool own_file = false;  ///< generation_config.json is there

  /// The value at `key`, null where there is none.
  const Json& at(std::string_view key) const {
    static const Json none;
    const auto found = config.find(std::string(key));
    return found == config.end() ? none : *found;
  }
};

Said read_said(const fs::path& model) {
  Said said;
  if (!fs::is_directory(model)) return said;
  const fs::path own = model / "generation_config.json", config = model / "config.json";
  said.own_file = fs::exists(own);
  said.where = (said.own_file ? own : config).string();
  if (said.own_file || fs::exists(config)) said.config = read_json(said.where);
  if (!said.config.is_object()) fail(Code::bad_input, said.where, "a JSON object", quote(said.config.dump()));
  return said;
}

/// Fills options in one by one: with what is asked for, else with what the file says.
class Resolver {
 public:
  Resolver(const Said& said) : said_(said), file_{said.where, {}} {}

  template <class T>
  void take(const char* name, const std::optional<T>& asked, T& option) {
    if (asked) {
      option = *asked;
    } else if (!said_.at(name).is_null()) {
      option = value_or(said_.config, name, option, said_.where);
      file_.names.insert(name);
    }
  }

  void take(const char* name, const std::optional<EarlyStopping>& asked, EarlyStopping& option) {
    const Json& value = said_.at(name);
    if (asked || value.is_null()) {
      option = asked.value_or(option);
    } else if (value.is_boolean()) {
      option = value.get<bool>() ? EarlyStopping::yes : EarlyStopping::no;
    } else {
      if (value != "never") fail(Code::bad_input, str(said_.where, ": ", name), "true, false or \"never\"", quote(value.dump()));
      option = EarlyStopping::never;
    }
  }

  void take_ends(const std::vector<int64_t>& asked, const ModelInfo& info, std::vector<int64_t>& ends) {
    ends = asked.empty() ? info.eos_ids : asked;
    if (!asked.empty() || said_.at("eos_token_id").is_null()) return;
    file_.names.insert("eos_token_id");
  }

  /// forced_bos_token_id and forced_eos_token_id: an id or a list of ids, of the model's vocabulary.
  std::vector<int64_t> forced(const char* name, int64_t vocab) const {
    const Json& value = said_.at(name);
    std::vector<int64_t> ids;
    for (const Json& id : value.is_array() || value.is_null() ? value : Json::array({value})) {
      if (!id.is_number_integer() || id < 0 || id >= vocab)
        fail(Code::bad_input, str(said_.where, ": ", name), str("ids from 0 to ", vocab - 1), quote(value.dump()));
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  }

  const FileOptions& file() const { return file_; }

 private:
  const Said& said_;
  FileOptions file_;
};

// In the file the lengths of an encoder-decoder's answers may stand with its start token counted.
void take_lengths(Resolver& resolver, const AskedGeneration& asked, bool encoder_decoder, GenerationOptions& o) {
  if (encoder_decoder) {
    int64_t longest = o.max_new_tokens + 1, shortest = o.min_new_tokens + 1;
    resolver.take("max_length", std::optional<int64_t>(), longest);
    resolver.take("min_length", std::optional<int64_t>(), shortest);
    o.max_new_tokens = std::max<int64_t>(1, longest - 1);
    o.min_new_tokens = std::max<int64_t>(0, shortest - 1);
  }
  resolver.take("max_new_tokens", asked.max_new_tokens, o.max_new_tokens);
  resolver.take("min_new_tokens", asked.min_new_tokens, o.min_new_tokens);
}

// The first token is counted without a decoder-only model's prompt, of which transformers asks that it be a single token.
void take_forced(const Resolver& resolver, const ModelInfo& info, GenerationOptions& o) {
  o.forced_eos_ids = resolver.forced("forced_eos_token_id", info.vocab);
  if (!info.encoder_decoder()) return;
  const std::vector<int64_t> first = resolver.forced("forced_bos_token_id", info.vocab);
  if (!first.empty()) o.forced_bos_id = first.front();
}

void take_draw(Resolver& resolver, const AskedGeneration& asked, GenerationOptions& o) {
  resolver.take("do_sample", asked.do_sample, o.do_sample);
  if (o.do_sample) {
    resolver.take("temperature", asked.temperature, o.temperature);
    resolver.take("top_k", asked.top_k, o.top_k);
    resolver.take("top_p", asked.top_p, o.top_p);
  }
}

// The lengths that count the prompt of a decoder-only model too matter where none counts the new tokens alone.
void add_whole_lengths(const Said& said, const AskedGeneration& asked, std::vector<Neutral>& fields) {
  if (!asked.max_new_tokens && said.at("max_new_tokens").is_null()) fields.push_back({"max_length", nullptr});
  if (!asked.min_new_tokens && said.at("min_new_tokens").is_null()) fields.push_back({"min_length", 0});
}

void warn_of(const Said& said, const std::vector<Neutral>& fields) {
  std::vector<std::string> names;
  for (const Neutral& field : fields) {
    const Json& value = said.at(field.key);
    const bool empty = value.is_null() || (value.is_structured() && value.empty());
    if (!empty && value != field.value) names.emplace_back(field.key);
  }
  if (!names.empty()) log::warn(str("[", said.where, "] no effect here: ", join(names, ", ")));
}

void warn_of_unsupported(const Said& said, const AskedGeneration& asked, bool draws, bool encoder_decoder) {
  std::vector<Neutral> fields = unsupported();
  if (draws) fields.insert(fields.end(), unsupported_of_draws().begin(), unsupported_of_draws().end());
  if (!encoder_decoder) {
    fields.push_back({"forced_bos_token_id", nullptr});
    add_whole_lengths(said, asked, fields);
  }
  warn_of(said, fields);
}

// transformers asks generation_config.json alone: where it names no end token, config.json's does not count.
void end_as_transformers(const Said& said, GenerationOptions& o) {
  if (!said.own_file || !said.at("eos_token_id").is_null() || o.eos_ids.empty()) return;
  std::vector<std::string> ids;
  for (const int64_t id : o.eos_ids) ids.push_back(str(id));
  log::warn(str("[", said.where, "] names no eos_token_id: answers go on to max_new_tokens, as in transformers (--eos_token_id ",
                join(ids, ","), ": the model's own end)"));
  o.eos_ids.clear();
}

/// What `dept generate` reads and an evaluation does not.
const std::vector<Neutral>& read_for_generation_alone() {
  static const std::vector<Neutral> fields = {
      {"do_sample", false},  {"repetition_penalty", 1.0}, {"no_repeat_ngram_size", 0},      {"num_beams", 1},
      {"min_new_tokens", 0}, {"min_length", 0},           {"forced_bos_token_id", nullptr}, {"forced_eos_token_id", nullptr}};
  return fields;
}

}  // namespace

void warn_of_unused_generation(const fs::path& model) {
  std::vector<Neutral> fields = read_for_generation_alone();
  fields.insert(fields.end(), unsupported().begin(), unsupported().end());
  warn_of(read_said(model), fields);
}

GenerationOptions generation_options(const fs::path& model, const ModelInfo& info, const AskedGeneration& asked) {
  const Said said = read_said(model);
  Resolver resolver(said);
  GenerationOptions o;
  take_lengths(resolver, asked, info.encoder_decoder(), o);
  resolver.take("repetition_penalty", asked.repetition_penalty, o.repetition_penalty);
  resolver.take("no_repeat_ngram_size", asked.no_repeat_ngram_size, o.no_repeat_ngram_size);
  resolver.take("num_beams", asked.num_beams, o.num_beams);
  if (o.num_beams > 1) {
    resolver.take("length_penalty", asked.length_penalty, o.length_penalty);
    resolver.take("early_stopping", asked.early_stopping, o.early_stopping);
  }
  resolver.take("num_return_sequences", asked.num_return_sequences, o.num_return_sequences);
  take_forced(resolver, info, o);
  take_draw(resolver, asked, o);
  resolver.take_ends(asked.eos_ids, info, o.eos_ids);
  check_options(o, info, resolver.file());
  if (asked.eos_ids.empty()) end_as_transformers(said, o);
  warn_of_unsupported(said, asked, o.do_sample, info.encoder_decoder());
  return o;
}

}  // namespace dept
