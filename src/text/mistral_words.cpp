#include "text/mistral_words.h"

#include <algorithm>
#include <regex>
#include <set>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* setting = "fix_mistral_regex";
constexpr size_t most_tokens_of_others = 100000;
constexpr std::string_view mistral_models[] = {"mistral", "mistral3", "voxtral", "ministral", "pixtral"};
constexpr std::string_view mistral_pattern = R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
                                             R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
                                             R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Whether the vocabulary has, with the tokens that are added to it, more than that many.
bool has_more_tokens(const TokenizerSource& source, size_t count) {
  const auto model = source.tokenizer.find("model");
  if (model == source.tokenizer.end() || !model->is_object()) return false;
  const auto vocabulary = model->find("vocab");
  if (vocabulary == model->end() || vocabulary->size() > count) return vocabulary != model->end();
  std::set<std::string> added;
  for (const auto& batch : source.batches)
    for (const TokenToAdd& one : batch) added.insert(content_of(one.token, one.where));
  if (vocabulary->size() + added.size() <= count) return false;
  for (const auto& entry : vocabulary->items()) {
    const Json& piece = entry.value();
    if (vocabulary->is_object()) added.erase(entry.key());
    if (piece.is_array() && !piece.empty() && piece[0].is_string()) added.erase(piece[0].get<std::string>());
  }
  return vocabulary->size() + added.size() > count;
}

// As versions are ordered (PEP 440): what comes before the release of 5.0.0 is older.
bool older_than_5(const std::string& version, const std::string& where) {
  static const std::regex any("[vV]?[0-9].*"), older("[vV]?0*([0-4]([^0-9].*)?|5(\\.0+)*[-._]?(a|b|c|rc|pre|dev).*)");
  constexpr size_t enough = 40;
  const std::string head = version.substr(0, enough);
  if (!std::regex_match(head, any)) fail(Code::bad_input, where, "a version of transformers", quote(version));
  return std::regex_match(head, older);
}

bool is_mistral(const std::string& model_type) {
  return std::find(std::begin(mistral_models), std::end(mistral_models), model_type) != std::end(mistral_models);
}

// As transformers evaluates a model by its config.json: without a version it may be one of Mistral's, whatever its type.
bool may_split_wrongly(const TokenizerSource& source, const std::string& model_type) {
  if (source.model.is_null()) return false;
  const auto version = value_or<std::string>(source.model, "transformers_version", "", source.where_model);
  if (version.empty()) return true;
  return older_than_5(version, source.where_model + ": transformers_version") && (model_type.empty() || is_mistral(model_type));
}

bool is_sequence(const Json& words) {
  return words.value("type", Json()) == "Sequence" && words.contains("pretokenizers") && words["pretokenizers"].is_array();
}

// The pre-tokenizer with Mistral's pattern first.
Json mended(const Json& words) {
  Json split = {{"type", "Split"}, {"pattern", {{"Regex", mistral_pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  if (is_sequence(words)) {
    Json out = words;
    out["pretokenizers"][0] = std::move(split);
    return out;
  }
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", {std::move(split), words.value("type", Json()) == "Metaspace" ? bytes : words}}};
}

}  // namespace

bool mend_mistral_words(TokenizerSource& source) {
  const auto words = source.tokenizer.find("pre_tokenizer");
  if (source.rules != TokenizerRules::transformers_5 || words == source.tokenizer.end() || !words->is_object() ||
      !has_more_tokens(source, most_tokens_of_others))
    return false;
  const auto model_type = value_or<std::string>(source.model, "model_type", "", source.where_model);
  if (!may_split_wrongly(source, model_type)) return false;
  const bool decided = !source.config.value(setting, Json()).is_null();
  if (!value_or(source.config, setting, false, source.where_config)) {
    if (!decided && is_mistral(model_type) && *words != mended(*words))
      log::warn(str("[", source.where_config, "] this tokenizer may split words otherwise than Mistral's own: \"", setting,
                    "\": true there puts Mistral's pattern in, false ends this line"));
    return false;
  }
  if (is_sequence(*words) && (*words)["pretokenizers"].empty())
    fail(Code::bad_input, str(source.where_config, ": ", setting), "a pre-tokenizer with a first step to replace",
         "an empty sequence");
  *words = mended(*words);
  return true;
}

}  // namespace dept
