#include "text/written.h"

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

void set_missing(Json& json, std::initializer_list<std::pair<const char*, Json>> fields) {
  for (const auto& [name, value] : fields)
    if (!json.contains(name)) json[name] = value;
}

// The ids of the special tokens that the template names.
void fill_template(Json& processor, const TokenizerPipeline& tokenizer) {
  if (!processor.is_object()) return;
  for (Json& special : processor["special_tokens"]) {
    const auto token = special["id"].get<std::string>();
    const auto id = tokenizer.token_to_id(token);
    if (!id) fail(Code::bug, "post_processor", "tokens of the vocabulary", quote(token));
    special["ids"] = {*id};
  }
}

void fill_model(Json& model) {
  if (model["type"] != std::string("BPE")) return;  // g++ 14 warns wrongly of a comparison with characters
  set_missing(model, {{"dropout", nullptr},
                      {"unk_token", nullptr},
                      {"continuing_subword_prefix", nullptr},
                      {"end_of_word_suffix", nullptr},
                      {"fuse_unk", false},
                      {"byte_fallback", false},
                      {"ignore_merges", false}});
}

Json config_of(TokenizerSource source, const TokenizerPipeline& tokenizer) {
  Json& config = source.config;
  for (const char* name : special_names)
    if (config.contains(name) && config[name].is_object()) config[name] = config[name]["content"];
  for (const char* key : {"added_tokens_decoder", "add_bos_token", "add_eos_token"}) config.erase(key);
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  if (!tokenizer.cleans_up) config["clean_up_tokenization_spaces"] = false;  // as the class that is no longer named had it
  return config;
}

}  // namespace

TokenizerPipeline::Files written_files(TokenizerSource source, const TokenizerPipeline& tokenizer) {
  Json& json = source.tokenizer;
  json["added_tokens"] = tokenizer.added_tokens();
  set_missing(json, {{"truncation", nullptr},
                     {"padding", nullptr},
                     {"normalizer", nullptr},
                     {"pre_tokenizer", nullptr},
                     {"post_processor", nullptr},
                     {"decoder", nullptr}});
  fill_template(json["post_processor"], tokenizer);
  fill_model(json["model"]);
  const std::string text = json.dump();
  return {{"tokenizer.json", text}, {"tokenizer_config.json", config_of(std::move(source), tokenizer).dump()}};
}

}  // namespace dept
