#include "text/token_lists.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"

namespace dept {
namespace {}  // namespace

std::vector<Json> named_tokens(const TokenizerSettings& settings) {
  std::vector<Json> out;
  const auto put = [&](const Json& token, const std::string& name) {
    if (!content_of(token, str(settings.where, ": ", name)).empty()) out.push_back(token);
  };
  for (const char* name : special_names) put(settings.config.value(name, Json()), name);
  for (const auto& [name, token] : settings.named) put(token, name);
  return out;
}

std::vector<TokenToAdd> tokens_to_add(const TokenizerSettings& settings, std::set<std::string> listed) {
  const std::vector<Json> named = named_tokens(settings);
  std::set<std::string> names;
  for (const Json& token : named) names.insert(content_of(token, settings.where));
  std::vector<TokenToAdd> out;
  const auto put = [&](Json token, const std::string& where) {
    if (token.is_string()) token = {{"content", token}, {"special", true}};
    if (names.contains(require<std::string>(token, "content", where))) token["special"] = true;
    out.push_back({std::move(token), where});
  };
  for (const Json& token : settings.listed) {
    listed.insert(content_of(token, settings.where_listed));
    put(token, settings.where_listed);
  }
  std::vector<Json> fresh;
  const auto offer = [&](const Json& token) {
    if (!listed.contains(content_of(token, settings.where)) && std::find(fresh.begin(), fresh.end(), token) == fresh.end())
      fresh.push_back(token);
  };
  std::for_each(named.begin(), named.end(), offer);
  std::for_each(settings.extra.begin(), settings.extra.end(), offer);
  for (Json& token : fresh) put(std::move(token), settings.where);
  return out;
}

void add_sentinels(TokenizerSettings& settings) {
  const std::string where = settings.where + ": extra_ids";
  const int64_t usual = settings.class_name == "ByT5Tokenizer" ? 125 : 100;
  const auto count = value_or<int64_t>(settings.config, "extra_ids", usual, settings.where);
  if (count < 0 || count > most_extra_ids) fail(Code::bad_input, where, str("0 to ", most_extra_ids), str(count));
  Json& tokens = settings.additional;
  const auto listed = std::count_if(tokens.begin(), tokens.end(), [&](const Json& token) {
    return content_of(token, where).find("<extra_id_") != std::string::npos;
  });
  if (listed > 0 && count > 0 && listed != count)
    fail(Code::bad_input, where, str(listed, ", as many as there are special tokens <extra_id_..>"), str(count));
  for (int64_t i = 0; listed == 0 && i < count; ++i) tokens.push_back(str("<extra_id_", i, ">"));
}

void take_rest(TokenizerSettings& settings, TokenizerSource& source) {
  source.config = std::move(settings.config);
  source.model = std::move(settings.model);
  source.where_config = settings.where;
  source.where_model = settings.where_model;
  source.rules = settings.rules;
}

Json padding_token(const Json& tokenizer) {
  const Json padding = tokenizer.value("padding", Json());
  return padding.is_object() ? padding.value("pad_token", Json()) : Json();
}

TokenizerSource take_tokenizer(TokenizerSettings settings, Json tokenizer, const std::string& where) {
  TokenizerSource source;
  Json added = tokenizer.value("added_tokens", Json());
  if (!added.is_null() && !added.is_array()) fail(Code::bad_input, where + ": added_tokens", "a list", kind_of(added));
  auto& first = source.batches.emplace_back();
  std::set<std::string> listed;
  for (size_t i = 0; i < added.size(); ++i) {
    first.push_back({std::move(added[i]), str(where, ": added_tokens[", i, "]")});
    listed.insert(require<std::string>(first.back().token, "content", first.back().where));
    require<int64_t>(first.back().token, "id", first.back().where);
  }
  if (settings.extra.is_null()) settings.extra = settings.additional;
  if (!settings.config.contains("pad_token")) settings.config["pad_token"] = padding_token(tokenizer);
  source.batches.push_back(tokens_to_add(settings, std::move(listed)));
  source.tokenizer = std::move(tokenizer);
  take_rest(settings, source);
  return source;
}

}  // namespace dept
