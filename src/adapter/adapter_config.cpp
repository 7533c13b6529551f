#include "adapter/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "dept/base/error.h"
#include "dept/base/json.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* our_semantics = "dept-cpp";

template <class T>
struct Named {
  T value;
  const char* name;
};

constexpr Named<DeltaAlignment> alignments[] = {{DeltaAlignment::start, "start"}, {DeltaAlignment::end, "end"}};

template <class T>
T parse_name(const Named<T> (&known)[2], const char* field, std::string_view name) {
  for (const auto& [value, its_name] : known)
    if (name == its_name) return value;
  fail(Code::usage, field, str(known[0].name, " or ", known[1].name), quote(name));
}

template <class T>
std::string name_of(const Named<T> (&known)[2], T value) {
  return known[value == known[0].value ? 0 : 1].name;
}

int64_t size_field(const Json& json, std::string_view key, int64_t low, const std::string& where) {
  constexpr int64_t high = int64_t{1} << 24;  // products of two sizes stay far from overflow
  const auto size = require<int64_t>(json, key, where);
  if (size < low || size > high)
    fail(Code::bad_input, str(where, ": ", key), str("an integer from ", low, " to ", high), str(size));
  return size;
}

/// Parses a name found in a file: an unknown one is bad input there, not wrong usage.
template <class T>
T name_field(T (*parse)(std::string_view), const Json& json, std::string_view key, const std::string& where) {
  try {
    return parse(require<std::string>(json, key, where));
  } catch (const Error& error) {
    if (error.code() != Code::usage) throw;
    throw Error(Code::bad_input, str("[", where, ": ", error.what() + 1));
  }
}

int64_t count_or(const Json& json, std::string_view key, int64_t fallback, const std::string& where) {
  return json.contains(key) && !json[std::string(key)].is_null() ? size_field(json, key, 1, where) : fallback;
}

void check_choice(const std::string& value, std::initializer_list<const char*> known, const std::string& where) {
  if (std::find(known.begin(), known.end(), value) == known.end())
    fail(Code::bad_input, where, str("one of ", join({known.begin(), known.end()}, ", ")), quote(value));
}

AdapterTask task_from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(Code::bad_input, where, "an object", json.type_name());
  AdapterTask task;
  for (const auto& [key, field] : {std::pair{"source_template", &task.source_template},
                                   {"text_column", &task.text_column},
                                   {"text_pair_column", &task.text_pair_column},
                                   {"label_column", &task.label_column},
                                   {"image_column", &task.image_column},
                                   {"causal_suffix", &task.causal_suffix},
                                   {"target_start", &task.target_start},
                                   {"target_end", &task.target_end},
                                   {"predict_by", &task.predict_by},
                                   {"dtype", &task.dtype}})
    *field = value_or<std::string>(json, key, *field, where);
  check_choice(task.target_start, {"tokenizer", "none"}, where + ": target_start");
  check_choice(task.target_end, {"pad", "eos", "none"}, where + ": target_end");
  check_choice(task.predict_by, {"generate", "score"}, where + ": predict_by");
  check_choice(task.dtype, {"fp32", "bf16", "auto", "int8"}, where + ": dtype");
  task.truncate_head = value_or<bool>(json, "truncate_head", task.truncate_head, where);
  task.chat = value_or<bool>(json, "chat", task.chat, where);
  task.generation_max_length = count_or(json, "generation_max_length", task.generation_max_length, where);
  task.generation_num_beams = count_or(json, "generation_num_beams", task.generation_num_beams, where);
  if (const int64_t most = count_or(json, "max_new_tokens", 0, where); most > 0) task.max_new_tokens = most;
  task.labels = value_or<std::vector<std::string>>(json, "labels", {}, where);
  task.label_words = value_or<std::vector<std::string>>(json, "label_words", task.labels, where);
  if (task.label_words.size() != task.labels.size())
    fail(Code::bad_input, str(where, ": label_words"), str(task.labels.size(), " words, one a label"),
         str(task.label_words.size()));
  return task;
}

VisualConfig visual_from_json(const Json& json, const std::string& where) {
  if (!json.is_object()) fail(Code::bad_input, where, "an object", json.type_name());
  VisualConfig visual;
  visual.source = require<std::string>(json, "source", where);
  visual.form = name_field(parse_visual_form, json, "embedding", where);
  visual.tokens = size_field(json, "tokens", 1, where);
  visual.channels = size_field(json, "channels", 1, where);
  return visual;
}

// What PEFT and the original's fork of it write that is read here, or tells how the adapter was made and changes no answer.
constexpr std::string_view known_fields[] = {"adapter_dropout",
                                             "auto_mapping",
                                             "base_model_name_or_path",
                                             "bias",
                                             "delta_alignment",
                                             "encoder_dropout",
                                             "encoder_hidden_size",
                                             "encoder_num_layers",
                                             "encoder_reparameterization_type",
                                             "hidden_size",
                                             "inference_mode",
                                             "init_lora_weights",
                                             "load_lora_embedding_B",
                                             "load_lora_embeddings",
                                             "lora_alpha",
                                             "max_length",
                                             "modules_to_save",
                                             "num_attention_heads",
                                             "num_layers",
                                             "num_transformer_submodules",
                                             "num_virtual_tokens",
                                             "peft_type",
                                             "peft_version",
                                             "pooling",
                                             "projection_seed",
                                             "prompt_tuning_init",
                                             "prompt_tuning_init_text",
                                             "r",
                                             "revision",
                                             "runtime_config",
                                             "save_lora_embeddings",
                                             "semantics",
                                             "task",
                                             "task_type",
                                             "token_dim",
                                             "tokenizer_kwargs",
                                             "tokenizer_name_or_path",
                                             "visual"};

std::vector<std::string> unknown_fields(const Json& json) {
  std::vector<std::string> names;
  for (const auto& [key, value] : json.items())
    if (!value.is_null() && std::find(std::begin(known_fields), std::end(known_fields), key) == std::end(known_fields))
      names.push_back(key);
  return names;
}

// PEFT adds the names of heads by itself; modules of the model that are trained otherwise are no prompt.
void check_modules_to_save(const Json& json, bool classifies, const std::string& where) {
  for (const std::string& name : value_or<std::vector<std::string>>(json, "modules_to_save", {}, where))
    if (!classifies || (name != "classifier" && name != "score"))
      fail(Code::bad_input, where + ": modules_to_save", classifies ? "classifier and score alone" : "none", quote(name));
}

const Method* parse_method(std::string_view peft_type) {
  return &find_method(peft_type);
}

// What other methods than DePT have of their own.
void read_method_fields(const Json& json, const std::string& where, AdapterConfig& config) {
  if (config.decomposed()) return;
  const Method::Fields& fields = config.method->fields;
  if (fields.rank) config.r = size_field(json, "r", 1, where);
  if (fields.hidden) config.encoder_hidden_size = count_or(json, "encoder_hidden_size", 0, where);
  if (fields.seed) config.projection_seed = require<int64_t>(json, "projection_seed", where);
  if (!fields.dropout) return;
  config.adapter_dropout = require<double>(json, "adapter_dropout", where);
  if (!(config.adapter_dropout >= 0 && config.adapter_dropout < 1))
    fail(Code::bad_input, where + ": adapter_dropout", "a number from 0 to less than 1", str(config.adapter_dropout));
}

AdapterConfig config_from_json(const Json& json, const std::string& where) {
  AdapterConfig config;
  config.method = name_field(parse_method, json, "peft_type", where);
  config.num_virtual_tokens = size_field(json, "num_virtual_tokens", 0, where);
  config.token_dim = size_field(json, "token_dim", 1, where);
  if (config.decomposed()) {
    config.r = size_field(json, "r", 0, where);
    config.max_length = size_field(json, "max_length", 0, where);
    config.lora_alpha = require<double>(json, "lora_alpha", where);
    if (!std::isfinite(config.lora_alpha))
      fail(Code::bad_input, where + ": lora_alpha", "a finite number", str(config.lora_alpha));
  } else if (json.contains("max_length")) {
    config.max_length = size_field(json, "max_length", 0, where);
  }
  read_method_fields(json, where, config);
  config.num_transformer_submodules = value_or<int64_t>(json, "num_transformer_submodules", 1, where);
  if (config.num_transformer_submodules != 1 && config.num_transformer_submodules != 2)
    fail(Code::bad_input, where + ": num_transformer_submodules", "1, or 2 for a prompt of the decoder's own",
         str(config.num_transformer_submodules));

  for (const auto& [key, field] : {std::pair{"prompt_tuning_init", &config.prompt_tuning_init},
                                   {"prompt_tuning_init_text", &config.prompt_tuning_init_text},
                                   {"base_model_name_or_path", &config.base_model_name_or_path},
                                   {"revision", &config.revision},
                                   {"task_type", &config.task_type},
                                   {"tokenizer_name_or_path", &config.tokenizer_name_or_path}})
    *field = value_or<std::string>(json, key, "", where);
  config.inference_mode = value_or<bool>(json, "inference_mode", false, where);
  config.unknown_fields = unknown_fields(json);
  check_modules_to_save(json, config.classifies(), where);

  for (const auto& [key, field] : {std::pair{"hidden_size", &config.hidden_size},
                                   {"num_layers", &config.num_layers},
                                   {"num_attention_heads", &config.num_attention_heads}})
    if (json.contains(key) && !json[key].is_null()) *field = size_field(json, key, 0, where);
  for (const auto& [key, field] : {std::pair{"load_lora_embeddings", &config.load_lora_embeddings},
                                   {"load_lora_embedding_B", &config.load_lora_embedding_B}})
    *field = value_or<bool>(json, key, true, where);

  const auto semantics = value_or<std::string>(json, "semantics", "", where);
  config.semantics = semantics.empty() ? Semantics::original : Semantics::dept;
  if (config.original()) return config;
  if (semantics != our_semantics) fail(Code::bad_input, where + ": semantics", quote(our_semantics), quote(semantics));
  if (config.decomposed()) config.delta_alignment = name_field(parse_delta_alignment, json, "delta_alignment", where);
  if (config.classifies()) config.pooling = name_field(parse_pooling, json, "pooling", where);
  if (json.contains("task")) config.task = task_from_json(json["task"], where + ": task");
  if (json.contains("visual") && !json["visual"].is_null()) config.visual = visual_from_json(json["visual"], where + ": visual");
  return config;
}

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

OrderedJson number(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15 ? OrderedJson(static_cast<int64_t>(value)) : OrderedJson(value);
}

// Keys and order of the fork's PeftConfig.save_pretrained.
Json original_json(const AdapterConfig& config, bool with_delta) {
  Json json = {{"base_model_name_or_path", text_or_null(config.base_model_name_or_path)},
               {"inference_mode", true},
               {"num_attention_heads", config.num_attention_heads},
               {"num_layers", config.num_layers},
               {"num_transformer_submodules", config.num_transformer_submodules},
               {"num_virtual_tokens", config.num_virtual_tokens},
               {"peft_type", config.method->peft_type},
               {"prompt_tuning_init", config.prompt_tuning_init},
               {"prompt_tuning_init_text", text_or_null(config.prompt_tuning_init_text)},
               {"revision", nullptr},
               {"task_type", text_or_null(config.task_type)},
               {"token_dim", config.token_dim},
               {"tokenizer_name_or_path", text_or_null(config.tokenizer_name_or_path)}};
  if (!config.decomposed()) return json;
  json.update({{"bias", "none"},
               {"hidden_size", config.hidden_size},
               {"init_lora_weights", true},
               {"load_lora_embedding_B", config.load_lora_embedding_B},
               {"load_lora_embeddings", config.load_lora_embeddings},
               {"lora_alpha", number(config.lora_alpha)},
               {"max_length", config.max_length},
               {"r", config.r},
               {"save_lora_embeddings", with_delta}});
  return json;
}

// Of how it answers only what is not the default.
OrderedJson task_json(const AdapterTask& task) {
  const AdapterTask standard;
  OrderedJson json = {{"source_template", task.source_template},
                      {"causal_suffix", task.causal_suffix},
                      {"labels", task.labels},
                      {"label_words", task.label_words}};
  const auto tell = [&](const char* name, const auto& value, const auto& default_value) {
    if (value != default_value) json[name] = value;
  };
  tell("text_column", task.text_column, standard.text_column);
  tell("text_pair_column", task.text_pair_column, standard.text_pair_column);
  tell("label_column", task.label_column, standard.label_column);
  tell("image_column", task.image_column, standard.image_column);
  tell("target_start", task.target_start, standard.target_start);
  tell("target_end", task.target_end, standard.target_end);
  tell("truncate_head", task.truncate_head, standard.truncate_head);
  tell("chat", task.chat, standard.chat);
  tell("predict_by", task.predict_by, standard.predict_by);
  tell("generation_max_length", task.generation_max_length, standard.generation_max_length);
  tell("generation_num_beams", task.generation_num_beams, standard.generation_num_beams);
  if (task.max_new_tokens) json["max_new_tokens"] = *task.max_new_tokens;
  tell("dtype", task.dtype, standard.dtype);
  return json;
}

OrderedJson to_json(const AdapterConfig& config) {
  OrderedJson json;
  json["peft_type"] = config.method->peft_type;
  json["task_type"] = text_or_null(config.task_type);
  json["base_model_name_or_path"] = text_or_null(config.base_model_name_or_path);
  if (!config.revision.empty()) json["revision"] = config.revision;
  json["tokenizer_name_or_path"] = text_or_null(config.tokenizer_name_or_path);
  json["inference_mode"] = config.inference_mode;
  json["num_virtual_tokens"] = config.num_virtual_tokens;
  json["num_transformer_submodules"] = config.num_transformer_submodules;
  json["token_dim"] = config.token_dim;
  if (config.decomposed()) json["hidden_size"] = config.hidden_size;
  json["prompt_tuning_init"] = config.prompt_tuning_init;
  json["prompt_tuning_init_text"] = text_or_null(config.prompt_tuning_init_text);
  json["max_length"] = config.max_length;
  if (config.decomposed()) {
    json["r"] = config.r;
    json["lora_alpha"] = number(config.lora_alpha);
    json["delta_alignment"] = to_string(config.delta_alignment);
  } else {
    const Method::Fields& fields = config.method->fields;
    if (fields.rank) json["r"] = config.r;
    if (fields.hidden) json["encoder_hidden_size"] = config.encoder_hidden_size;
    if (fields.dropout) json["adapter_dropout"] = config.adapter_dropout;
    if (fields.seed) json["projection_seed"] = config.projection_seed;
  }
  if (config.pooling) json["pooling"] = to_string(*config.pooling);
  json["semantics"] = our_semantics;
  json["task"] = task_json(config.task);
  if (config.visual)
    json["visual"] = {{"source", config.visual->source},
                      {"embedding", to_string(config.visual->form)},
                      {"tokens", config.visual->tokens},
                      {"channels", config.visual->channels}};
  return json;
}

}  // namespace

AdapterShape shape_of(const AdapterConfig& config) {
  AdapterShape shape;
  shape.prompt_tokens = config.num_virtual_tokens;
  shape.submodules = config.submodules();
  shape.width = config.token_dim;
  const Method::Fields& fields = config.method->fields;
  if (fields.rank) shape.rank = config.r;
  if (fields.rows) shape.max_length = config.max_length, shape.alpha = config.lora_alpha;
  if (fields.hidden) shape.hidden = config.encoder_hidden_size;
  if (fields.dropout) shape.dropout = config.adapter_dropout;
  if (fields.seed) shape.seed = static_cast<uint64_t>(config.projection_seed);
  return shape;
}

DeltaAlignment parse_delta_alignment(std::string_view name) {
  return parse_name(alignments, "delta_alignment", name);
}

std::string to_string(DeltaAlignment alignment) {
  return name_of(alignments, alignment);
}

std::string adapter_config_text(const AdapterConfig& config, bool with_delta) {
  if (config.original()) return original_json(config, with_delta).dump(2, ' ', false, Json::error_handler_t::replace);
  return to_json(config).dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

AdapterConfig read_adapter_config(const fs::path& folder) {
  const fs::path path = folder / adapter_config_name;
  return config_from_json(read_json(path, uint64_t{1} << 24), path.string());
}

}  // namespace dept
