#include "text/settings.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/tokenizer_class.h"
#include "text/vocabulary.h"

namespace dept {
namespace {

bool is_special_name(std::string_view key) {
  return std::find(std::begin(special_names), std::end(special_names), key) != std::end(special_names);
}

// An object {..}, empty where the file is not there; the file is kept for saving beside an adapter.
Json read_side_file(const fs::path& folder, const char* name, TokenizerSettings& settings) {
  const fs::path path = folder / name;
  if (!fs::exists(path)) return Json::object();
  settings.files.emplace_back(name, read_file(path, max_file_bytes));
  Json json = parse_json(settings.files.back().second, path.string());
  if (!json.is_object()) fail(Code::bad_input, path.string(), "an object", kind_of(json));
  return json;
}

int64_t read_id(std::string_view text, const std::string& where) {
  int64_t id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 0 || id > Vocabulary::max_id)
    fail(Code::bad_input, where, str("ids from 0 to ", Vocabulary::max_id), quote(text));
  return id;
}

// Of two tokens with the same id the later one holds, as in Python's dict.
class Listed {
 public:
  void put(int64_t id, Json token) {
    token["id"] = id;
    tokens_[id] = std::move(token);
  }
  Json take() {
    Json out = Json::array();
    for (auto& [id, token] : tokens_) out.push_back(std::move(token));
    return out;
  }

 private:
  std::map<int64_t, Json> tokens_;
};

// {"32000": {"content": "<new>", ..}, ..}
void list_added_tokens_decoder(const Json& json, const std::string& where, Listed& out) {
  if (!json.is_object()) fail(Code::bad_input, where, "an object of ids and tokens", kind_of(json));
  for (const auto& [id, token] : json.items()) {
    const std::string here = str(where, ": ", id);
    require<std::string>(token, "content", here);
    out.put(read_id(id, here), token);
  }
}

// {"<new>": 32000, ..}
void list_added_tokens_file(const Json& json, const std::string& where, const TokenizerSettings& settings, Listed& out) {
  for (const auto& entry : json.items()) {
    const std::string& content = entry.key();
    const auto number = require<int64_t>(json, content, where);
    const auto is_same = [&](const Json& token) { return content_of(token, settings.where) == content; };
    const bool special = std::any_of(std::begin(special_names), std::end(special_names),
                                     [&](const char* name) { return is_same(settings.config.value(name, Json())); }) ||
                         std::any_of(settings.extra.begin(), settings.extra.end(), is_same);
    out.put(read_id(std::to_string(number), str(where, ": ", quote(content))), {{"content", content}, {"special", special}});
  }
}

// [{"id": 32000, "content": "<new>", ..}, ..] of a tokenizer.json
void list_added_tokens(const Json& json, const std::string& where, Listed& out) {
  if (!json.is_null() && !json.is_array()) fail(Code::bad_input, where + ": added_tokens", "a list", kind_of(json));
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string here = str(where, ": added_tokens[", i, "]");
    require<std::string>(json[i], "content", here);
    out.put(read_id(std::to_string(require<int64_t>(json[i], "id", here)), here), json[i]);
  }
}

void require_tokens(const Json& json, const std::string& where) {
  if (!json.is_array()) fail(Code::bad_input, where, "a list of tokens", kind_of(json));
  for (const Json& token : json)
    if (content_of(token, where).empty()) fail(Code::bad_input, where, "tokens", kind_of(token));
}

// A side file with its keys in their order.
OrderedJson ordered(const TokenizerSettings& settings, std::string_view name) {
  const auto found =
      std::find_if(settings.files.begin(), settings.files.end(), [&](const auto& file) { return file.first == name; });
  return found == settings.files.end() ? OrderedJson::object() : OrderedJson::parse(found->second);
}

using Named = std::vector<std::pair<std::string, Json>>;

// Tokens under names of their own: keys that end in _token, and an object in place of the list of further tokens. They are
// numbered in the order of the file, which `ordered` has.
Named take_named(Json& config, const OrderedJson& ordered, const std::string& where) {
  Named out;
  for (const auto& [key, value] : ordered.items())
    if (key.ends_with("_token") && !is_special_name(key) &&
        (value.is_string() || (value.is_object() && value.contains("content"))))
      out.emplace_back(key, value);
  for (const char* key : {"model_specific_special_tokens", "extra_special_tokens", "additional_special_tokens"}) {
    const auto found = ordered.find(key);
    if (found == ordered.end() || !found->is_object()) continue;
    for (const auto& [name, token] : found->items()) out.emplace_back(name, token);
    config.erase(key);
  }
  for (const auto& [name, token] : out) {
    content_of(token, str(where, ": ", name));
    config.erase(name);
  }
  return out;
}

// `second` goes behind, but its tokens hold.
Named joined(Named first, const Named& second) {
  for (const auto& named : second) {
    const auto same = std::find_if(first.begin(), first.end(), [&](const auto& entry) { return entry.first == named.first; });
    if (same == first.end())
      first.push_back(named);
    else
      same->second = named.second;
  }
  return first;
}

// additional_special_tokens is the older name of extra_special_tokens.
void rename_extra(Json& config) {
  const auto old = config.find("additional_special_tokens");
  if (old == config.end()) return;
  if (!config.contains("extra_special_tokens")) config["extra_special_tokens"] = *old;
  config.erase("additional_special_tokens");
}

// What special_tokens_map.json says holds over tokenizer_config.json; of further tokens there are those of both.
void merge_special_tokens_map(Json map, Json& config, const std::string& where) {
  for (auto& [key, value] : map.items()) {
    if (value.is_object() && key != "extra_special_tokens") value["special"] = true;
    if (key == "extra_special_tokens" && value.is_array()) {
      require_tokens(value, str(where, ": ", key));
      Json all = config.value(key, Json::array());
      if (!all.is_array()) all = Json::array();
      for (Json& token : value) {
        if (token.is_object()) token["special"] = true;
        if (std::find(all.begin(), all.end(), token) == all.end()) all.push_back(std::move(token));
      }
      value = std::move(all);
    }
    config[key] = std::move(value);
  }
}

// Null where the key is absent.
Json take_list(Json& config, const char* key, const std::string& where) {
  const auto found = config.find(key);
  if (found == config.end()) return nullptr;
  Json list = found->is_null() ? Json::array() : std::move(*found);
  config.erase(found);
  require_tokens(list, str(where, ": ", key));
  return list;
}

// Settings that would need another program or another file.
void refuse_the_unknown(const Json& config, const std::string& where) {
  const Json files = config.value("fast_tokenizer_files", Json());
  for (const Json& name : files.is_array() ? files : Json::array())
    if (name != "tokenizer.json")
      fail(Code::bad_input, where + ": fast_tokenizer_files", "tokenizer.json alone",
           name.is_string() ? quote(name.get<std::string>()) : kind_of(name));
  if (!config.value("init_inputs", Json::array()).empty())
    fail(Code::bad_input, where + ": init_inputs", "none", kind_of(config["init_inputs"]));
}

}  // namespace

std::string content_of(const Json& token, const std::string& where) {
  if (token.is_null()) return "";
  if (token.is_string()) return token.get<std::string>();
  if (!token.is_object()) fail(Code::bad_input, where, "a token: a string, or an object with a field content", kind_of(token));
  return require<std::string>(token, "content", where);
}

TokenizerSettings read_settings(const fs::path& folder, const Json& tokenizer, TokenizerRules rules) {
  TokenizerSettings settings;
  settings.rules = rules;
  settings.where = (folder / "tokenizer_config.json").string();
  Json& config = settings.config = read_side_file(folder, "tokenizer_config.json", settings);
  refuse_the_unknown(config, settings.where);
  choose_class(folder, settings);
  if (!tokenizer.is_null()) {  // its post-processor says that
    config.erase("add_bos_token");
    config.erase("add_eos_token");
  }
  settings.named = take_named(config, ordered(settings, "tokenizer_config.json"), settings.where);
  rename_extra(config);
  Json map = read_side_file(folder, "special_tokens_map.json", settings);
  const Json added = read_side_file(folder, "added_tokens.json", settings);
  if (fs::exists(folder / "chat_template.jinja"))
    settings.files.emplace_back("chat_template.jinja", read_file(folder / "chat_template.jinja", max_file_bytes));
  Listed listed;
  if (config.contains("added_tokens_decoder")) {
    settings.where_listed = settings.where + ": added_tokens_decoder";
    list_added_tokens_decoder(config["added_tokens_decoder"], settings.where_listed, listed);
    settings.extra = take_list(config, "extra_special_tokens", settings.where);
  } else {
    const std::string where_map = (folder / "special_tokens_map.json").string();
    merge_special_tokens_map(std::move(map), config, where_map);
    settings.named = joined(take_named(config, ordered(settings, "special_tokens_map.json"), where_map), settings.named);
    settings.extra = take_list(config, "extra_special_tokens", settings.where);
    settings.where_listed = (folder / (added.empty() ? "tokenizer.json" : "added_tokens.json")).string();
    list_added_tokens_file(added, settings.where_listed, settings, listed);
    if (tokenizer.is_object())
      list_added_tokens(tokenizer.value("added_tokens", Json()), (folder / "tokenizer.json").string(), listed);
  }
  settings.additional = take_list(config, "additional_special_tokens", settings.where);
  settings.listed = listed.take();
  return settings;
}

}  // namespace dept
