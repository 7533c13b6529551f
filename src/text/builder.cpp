// A tokenizer as a class of transformers 5.17 builds it on a vocabulary: most classes have their own normaliser, pre-tokenizer
// and decoder, whatever tokenizer.json says of these.
#include <algorithm>
#include <span>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"
#include "text/pattern.h"
#include "text/sources.h"
#include "text/token_lists.h"

namespace dept {
namespace {

using Names = std::initializer_list<std::pair<const char*, Json>>;

Json replace(const char* text, const char* content) {
  return {{"type", "Replace"}, {"pattern", {{"String", text}}}, {"content", content}};
}

Json metaspace(const char* scheme, bool split = true) {
  return {{"type", "Metaspace"}, {"replacement", blank_mark}, {"prepend_scheme", scheme}, {"split", split}};
}

Json byte_level(bool add_prefix_space, bool use_regex = true) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json sequence(const char* list, Json steps) {
  return {{"type", "Sequence"}, {list, std::move(steps)}};
}

// Special tokens and the texts "$A" and "$B", of the type 0 and, from the separator `second` on, 1. The ids of the special tokens
// are looked up when the tokenizer is made.
Json frame(const std::vector<std::string>& parts, size_t second, Json& specials) {
  Json out = Json::array();
  for (const std::string& part : parts) {
    const bool text = part == "$A" || part == "$B";
    const int type = out.size() < second ? 0 : 1;
    out.push_back({{text ? "Sequence" : "SpecialToken", {{"id", text ? part.substr(1) : part}, {"type_id", type}}}});
    if (!text) specials[part] = {{"id", part}, {"tokens", {part}}};
  }
  return out;
}

// `second`: the first part of the pair that belongs to the second text, by type; as many as there are parts: all are of type 0.
Json frames(const std::vector<std::string>& single, const std::vector<std::string>& pair, size_t second) {
  Json specials = Json::object();
  Json one = frame(single, single.size(), specials), two = frame(pair, second, specials);
  return {{"type", "TemplateProcessing"},
          {"single", std::move(one)},
          {"pair", std::move(two)},
          {"special_tokens", std::move(specials)}};
}

class Builder {
 public:
  Builder(TokenizerSettings settings, TokenizerParts parts) : settings_(std::move(settings)), parts_(std::move(parts)) {}

  void as_4_28_converts(bool albert);
  void t5(), albert(), xlm_roberta(), llama(), gemma(), gpt2(), gpt_neox(), roberta(), qwen2(), bert(), mpnet(), deberta(),
      byt5(), sentencepiece();
  TokenizerSource finish();

 private:
  void defaults(Names values) {
    for (const auto& [name, value] : values)
      if (!settings_.config.contains(name)) settings_.config[name] = value;
  }
  bool flag(const char* key, bool fallback) const { return value_or(settings_.config, key, fallback, settings_.where); }
  std::string special(const char* name) const {
    return content_of(settings_.config.value(name, Json()), str(settings_.where, ": ", name));
  }

  void unigram(int64_t unk_id, bool byte_fallback = false);
  void byte_pairs(const Json& options);
  void sentence_words(const char* scheme);
  void own_frame(Json frames) {
    if (parts_.post_processor.is_null()) parts_.post_processor = std::move(frames);
  }
  Json bos_eos_frame() const;
  Json charsmap() const { return {{"type", "Precompiled"}, {"precompiled_charsmap", parts_.charsmap}}; }

  TokenizerSettings settings_;
  TokenizerParts parts_;
  Json out_ = {{"version", "1.0"}};
  bool repeats_specials_ = false;
};

void Builder::unigram(int64_t unk_id, bool byte_fallback) {
  out_["model"] = {{"type", "Unigram"}, {"unk_id", unk_id}, {"byte_fallback", byte_fallback}};
  out_["model"]["vocab"] = std::move(parts_.vocabulary);
}

void Builder::byte_pairs(const Json& options) {
  out_["model"] = {{"type", "BPE"}, {"fuse_unk", false}, {"byte_fallback", false}};
  out_["model"].update(options);
  out_["model"]["vocab"] = std::move(parts_.vocabulary);
  out_["model"]["merges"] = std::move(parts_.merges);
}

// Words at white space, each with SentencePiece's mark before it.
void Builder::sentence_words(const char* scheme) {
  out_["pre_tokenizer"] = sequence("pretokenizers", {{{"type", "WhitespaceSplit"}}, metaspace(scheme)});
  out_["decoder"] = metaspace(scheme);
}

// [bos] A [eos], where the settings ask for them.
Json Builder::bos_eos_frame() const {
  const std::string bos = flag("add_bos_token", false) ? special("bos_token") : "";
  const std::string eos = flag("add_eos_token", false) ? special("eos_token") : "";
  std::vector<std::string> pair, single;
  for (const char* text : {"$A", "$B"}) {
    if (!bos.empty()) pair.push_back(bos);
    pair.push_back(text);
    if (!eos.empty()) pair.push_back(eos);
    if (single.empty()) single = pair;
  }
  return frames(single, pair, single.size());
}

TokenizerSource Builder::finish() {
  if (settings_.extra.is_null()) settings_.extra = settings_.additional;
  out_["post_processor"] = std::move(parts_.post_processor);
  TokenizerSource source;
  source.tokenizer = std::move(out_);
  source.batches.push_back(tokens_to_add(settings_, {}));
  if (repeats_specials_) {
    auto& again = source.batches.emplace_back();
    std::vector<Json> tokens = named_tokens(settings_);
    tokens.insert(tokens.end(), settings_.extra.begin(), settings_.extra.end());
    for (const Json& token : tokens)
      again.push_back({{{"content", content_of(token, settings_.where)}, {"special", true}}, settings_.where});
  }
  take_rest(settings_, source);
  return source;
}

void Builder::t5() {
  unigram(2);
  if (!parts_.charsmap.empty()) out_["normalizer"] = charsmap();
  sentence_words("always");
  const std::string eos = special("eos_token");
  parts_.post_processor = frames({"$A", eos}, {"$A", eos, "$B", eos}, 4);
}

void Builder::albert() {
  unigram(1);
  Json steps = {replace("``", "\""), replace("''", "\"")};
  if (!flag("keep_accents", false)) steps.insert(steps.end(), {{{"type", "NFKD"}}, {{"type", "StripAccents"}}});
  if (flag("do_lower_case", true)) steps.push_back({{"type", "Lowercase"}});
  if (!parts_.charsmap.empty()) steps.push_back(charsmap());
  out_["normalizer"] = sequence("normalizers", std::move(steps));
  sentence_words(flag("add_prefix_space", true) ? "always" : "never");
  const std::string cls = special("cls_token"), sep = special("sep_token");
  own_frame(frames({cls, "$A", sep}, {cls, "$A", sep, "$B", sep}, 3));
}

void Builder::xlm_roberta() {
  if (parts_.pieces.is_array())
    fail(Code::bad_input, settings_.where_class, "a tokenizer.json beside this class", "a SentencePiece model alone");
  unigram(3);
  if (!parts_.charsmap.empty()) out_["normalizer"] = charsmap();
  sentence_words(flag("add_prefix_space", true) ? "always" : "never");
  const std::string bos = special("bos_token"), eos = special("eos_token");
  parts_.post_processor = frames({bos, "$A", eos}, {bos, "$A", eos, eos, "$B", eos}, 6);
}

void Builder::llama() {
  if (!parts_.pad_token.is_null()) defaults({{"pad_token", parts_.pad_token}});
  byte_pairs({{"fuse_unk", true}, {"byte_fallback", true}});
  const bool prefix = flag("add_prefix_space", true);
  out_["pre_tokenizer"] = metaspace(!prefix ? "never" : flag("legacy", false) ? "always" : "first", false);
  Json steps = {replace(blank_mark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (prefix) steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  out_["decoder"] = sequence("decoders", std::move(steps));
  own_frame(bos_eos_frame());
}

void Builder::gemma() {
  byte_pairs({{"unk_token", special("unk_token")}, {"fuse_unk", true}, {"byte_fallback", true}});
  out_["normalizer"] = replace(" ", blank_mark);
  out_["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}, {"invert", false}};
  out_["decoder"] = sequence("decoders", {replace(blank_mark, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  own_frame(bos_eos_frame());
}

void Builder::gpt2() {
  byte_pairs({{"continuing_subword_prefix", ""}, {"end_of_word_suffix", ""}});
  out_["pre_tokenizer"] = byte_level(flag("add_prefix_space", false));
  out_["decoder"] = byte_level(true);
  own_frame(bos_eos_frame());
}

void Builder::gpt_neox() {
  byte_pairs({{"continuing_subword_prefix", ""}, {"end_of_word_suffix", ""}});
  out_["normalizer"] = {{"type", "NFC"}};
  out_["pre_tokenizer"] = byte_level(flag("add_prefix_space", false));
  out_["decoder"] = byte_level(true);
  parts_.post_processor = bos_eos_frame();
}

void Builder::roberta() {
  byte_pairs({{"continuing_subword_prefix", ""}, {"end_of_word_suffix", ""}});
  out_["pre_tokenizer"] = byte_level(flag("add_prefix_space", false));
  out_["decoder"] = byte_level(true);
  const std::string cls = special("cls_token"), sep = special("sep_token");
  parts_.post_processor = frames({cls, "$A", sep}, {cls, "$A", sep, sep, "$B", sep}, 6);
}

void Builder::qwen2() {
  byte_pairs({{"continuing_subword_prefix", ""}, {"end_of_word_suffix", ""}});
  out_["normalizer"] = {{"type", "NFC"}};
  const Json words = {{"type", "Split"}, {"pattern", {{"Regex", qwen2_pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  out_["pre_tokenizer"] = sequence("pretokenizers", {words, byte_level(flag("add_prefix_space", false), false)});
  out_["decoder"] = byte_level(true);
  own_frame(bos_eos_frame());
  repeats_specials_ = true;
}

void Builder::bert() {
  out_["model"] = {{"type", "WordPiece"},
                   {"unk_token", special("unk_token")},
                   {"continuing_subword_prefix", "##"},
                   {"max_input_chars_per_word", 100}};
  out_["model"]["vocab"] = std::move(parts_.vocabulary);
  out_["normalizer"] = {{"type", "BertNormalizer"},
                        {"clean_text", true},
                        {"handle_chinese_chars", flag("tokenize_chinese_chars", true)},
                        {"strip_accents", settings_.config.value("strip_accents", Json())},
                        {"lowercase", flag("do_lower_case", true)}};
  out_["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  out_["decoder"] = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  const std::string cls = special("cls_token"), sep = special("sep_token");
  parts_.post_processor = frames({cls, "$A", sep}, {cls, "$A", sep, "$B", sep}, 3);
}

// BERT's words in RoBERTa's frame; special tokens are looked for in the text as BERT's normaliser leaves it, and the mask takes
// the blanks before it.
void Builder::mpnet() {
  for (const char* name : {"bos_token", "eos_token", "sep_token", "cls_token", "unk_token", "pad_token", "mask_token"}) {
    Json& token = settings_.config[name];
    if (token.is_string()) token = {{"content", token}, {"lstrip", name == std::string_view("mask_token")}, {"normalized", true}};
  }
  bert();
  const std::string cls = special("cls_token"), sep = special("sep_token");
  parts_.post_processor = frames({cls, "$A", sep}, {cls, "$A", sep, sep, "$B", sep}, 6);
}

// Runs of white space shortened, the blanks before and behind special tokens left; a SentencePiece model's character map unread.
void Builder::deberta() {
  const auto unknown = std::find(parts_.vocabulary.begin(), parts_.vocabulary.end(), Json::array({special("unk_token"), 0.0}));
  const auto named = value_or<int64_t>(settings_.config, "unk_id", 1, settings_.where);
  unigram(unknown == parts_.vocabulary.end() ? named : unknown - parts_.vocabulary.begin());
  Json steps = Json::array();
  if (flag("do_lower_case", false)) steps.push_back({{"type", "Lowercase"}});
  steps.push_back({{"type", "Replace"}, {"pattern", {{"Regex", R"(\s{2,}|[\n\r\t])"}}}, {"content", " "}});
  steps.push_back({{"type", "NFC"}});
  steps.push_back({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}});
  out_["normalizer"] = sequence("normalizers", std::move(steps));
  const char* scheme = flag("add_prefix_space", true) ? "always" : "first";
  Json words = Json::array();
  if (flag("split_by_punct", false)) words.push_back({{"type", "Punctuation"}, {"behavior", "Isolated"}});
  words.push_back(metaspace(scheme));
  out_["pre_tokenizer"] = sequence("pretokenizers", std::move(words));
  out_["decoder"] = metaspace(scheme);
  const std::string cls = special("cls_token"), sep = special("sep_token");
  parts_.post_processor = frames({cls, "$A", sep}, {cls, "$A", sep, "$B", sep}, 3);
}

// A token a byte. Its special tokens take the blanks around them.
void Builder::byt5() {
  for (const char* name : {"eos_token", "unk_token", "pad_token"}) {
    Json& token = settings_.config[name];
    if (token.is_string()) token = {{"content", token}, {"lstrip", true}, {"rstrip", true}, {"normalized", false}};
  }
  byte_pairs({{"continuing_subword_prefix", ""}, {"end_of_word_suffix", ""}});
  out_["pre_tokenizer"] = byte_level(false, false);
  out_["decoder"] = byte_level(true);
  const std::string eos = special("eos_token");
  parts_.post_processor = frames({"$A", eos}, {"$A", eos, "$B", eos}, 4);
}

// No class of its own: what the SentencePiece model says of itself.
void Builder::sentencepiece() {
  const SentencePieceTraining& training = parts_.training;
  for (const auto& [name, id, piece] : {std::tuple("bos_token", training.bos_id, training.bos_piece),
                                        {"eos_token", training.eos_id, training.eos_piece},
                                        {"unk_token", training.unk_id, training.unk_piece}})
    if (id >= 0) defaults({{name, piece}});
  Json marks = {replace(" ", blank_mark)}, steps = {replace(blank_mark, " ")};
  if (!parts_.charsmap.empty()) marks.insert(marks.begin(), charsmap());
  if (training.byte_fallback) steps.insert(steps.end(), {{{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (parts_.vocabulary.is_array())
    unigram(training.unk_id, training.byte_fallback);
  else
    byte_pairs({{"unk_token", training.unk_piece}, {"fuse_unk", true}, {"byte_fallback", training.byte_fallback}});
  out_["normalizer"] = sequence("normalizers", std::move(marks));
  out_["decoder"] = sequence("decoders", std::move(steps));
  parts_.post_processor = bos_eos_frame();
}

// How transformers 4.28 converts a SentencePiece model: only runs of blanks are shortened, and no white space separates words.
void Builder::as_4_28_converts(bool albert) {
  Json shorten = {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}};
  if (albert) {
    out_["normalizer"]["normalizers"].push_back(shorten);
  } else {
    Json steps = Json::array();
    if (!parts_.charsmap.empty()) steps.push_back(charsmap());
    steps.push_back(shorten);
    out_["normalizer"] = sequence("normalizers", std::move(steps));
  }
  out_["pre_tokenizer"] = metaspace("always");
  out_["decoder"] = metaspace("always");
  out_["model"]["unk_id"] = parts_.training.unk_id;
}

enum class Kind { unigram, byte_pairs, word_pieces };

// Special tokens that a class has unless a file says otherwise.
using Defaults = std::pair<const char*, const char*>;
constexpr Defaults t5_tokens[] = {{"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
constexpr Defaults albert_tokens[] = {{"bos_token", "[CLS]"},  {"eos_token", "[SEP]"}, {"unk_token", "<unk>"},
                                      {"sep_token", "[SEP]"},  {"pad_token", "<pad>"}, {"cls_token", "[CLS]"},
                                      {"mask_token", "[MASK]"}};
constexpr Defaults roberta_tokens[] = {{"bos_token", "<s>"},    {"eos_token", "</s>"},  {"unk_token", "<unk>"},
                                       {"sep_token", "</s>"},   {"pad_token", "<pad>"}, {"cls_token", "<s>"},
                                       {"mask_token", "<mask>"}};
constexpr Defaults llama_tokens[] = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
constexpr Defaults gemma_tokens[] = {
    {"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}, {"mask_token", "<mask>"}};
constexpr Defaults mpnet_tokens[] = {{"bos_token", "<s>"},    {"eos_token", "</s>"},  {"unk_token", "[UNK]"},
                                     {"sep_token", "</s>"},   {"pad_token", "<pad>"}, {"cls_token", "<s>"},
                                     {"mask_token", "<mask>"}};
constexpr Defaults deberta_tokens[] = {{"bos_token", "[CLS]"},  {"eos_token", "[SEP]"}, {"unk_token", "[UNK]"},
                                       {"sep_token", "[SEP]"},  {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"},
                                       {"mask_token", "[MASK]"}};
constexpr Defaults gpt2_tokens[] = {
    {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}};
constexpr Defaults gpt_neox_tokens[] = {
    {"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"unk_token", "<|endoftext|>"}, {"pad_token", "<|padding|>"}};
constexpr Defaults qwen2_tokens[] = {
    {"unk_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}, {"pad_token", "<|endoftext|>"}};
constexpr Defaults bert_tokens[] = {
    {"unk_token", "[UNK]"}, {"sep_token", "[SEP]"}, {"pad_token", "[PAD]"}, {"cls_token", "[CLS]"}, {"mask_token", "[MASK]"}};

struct Recipe {
  std::string_view class_name;
  Kind kind;
  std::span<const Defaults> tokens;
  void (Builder::*build)();

  void name_tokens(Json& config) const {
    for (const auto& [name, token] : tokens)
      if (!config.contains(name)) config[name] = token;
  }
};
constexpr Recipe recipes[] = {{"T5Tokenizer", Kind::unigram, t5_tokens, &Builder::t5},
                              {"AlbertTokenizer", Kind::unigram, albert_tokens, &Builder::albert},
                              {"ByT5Tokenizer", Kind::byte_pairs, t5_tokens, &Builder::byt5},
                              {"DebertaV2Tokenizer", Kind::unigram, deberta_tokens, &Builder::deberta},
                              {"XLMRobertaTokenizer", Kind::unigram, roberta_tokens, &Builder::xlm_roberta},
                              {"LlamaTokenizer", Kind::byte_pairs, llama_tokens, &Builder::llama},
                              {"GemmaTokenizer", Kind::byte_pairs, gemma_tokens, &Builder::gemma},
                              {"GPT2Tokenizer", Kind::byte_pairs, gpt2_tokens, &Builder::gpt2},
                              {"GPTNeoXTokenizer", Kind::byte_pairs, gpt_neox_tokens, &Builder::gpt_neox},
                              {"RobertaTokenizer", Kind::byte_pairs, roberta_tokens, &Builder::roberta},
                              {"Qwen2Tokenizer", Kind::byte_pairs, qwen2_tokens, &Builder::qwen2},
                              {"BertTokenizer", Kind::word_pieces, bert_tokens, &Builder::bert},
                              {"MPNetTokenizer", Kind::word_pieces, mpnet_tokens, &Builder::mpnet}};

const Recipe* find_recipe(std::string_view class_name) {
  const auto found =
      std::find_if(std::begin(recipes), std::end(recipes), [&](const Recipe& r) { return r.class_name == class_name; });
  return found == std::end(recipes) ? nullptr : &*found;
}

const Recipe& recipe_of(const TokenizerSettings& settings) {
  if (const Recipe* found = find_recipe(settings.class_name)) return *found;
  std::vector<std::string> names{"PreTrainedTokenizerFast"};
  for (const Recipe& recipe : recipes) names.emplace_back(recipe.class_name);
  fail(Code::bad_input, settings.where_class, "a tokenizer of the class " + join(names, ", "), quote(settings.class_name));
}

// A list of pieces and scores serves byte pairs and word pieces too, then without merges.
void fit_vocabulary(Kind kind, const TokenizerSettings& settings, Json& vocabulary) {
  if (kind == Kind::unigram && !vocabulary.is_array())
    fail(Code::bad_input, settings.where_class, "a class for the vocabulary beside it, which has no scores",
         quote(settings.class_name));
  if (kind == Kind::unigram || !vocabulary.is_array()) return;
  Json ids = Json::object();
  for (const Json& piece : vocabulary) {
    if (!piece.is_array() || piece.empty() || !piece[0].is_string())
      fail(Code::bad_input, settings.where_class, "a class for a vocabulary of pieces and scores", quote(settings.class_name));
    ids[piece[0].get<std::string>()] = ids.size();
  }
  vocabulary = std::move(ids);
}

// 4.28 keeps ALBERT's pieces of digits with a comma from being used, and lets the mask take the blanks before it.
void prepare_albert(TokenizerSettings& settings, Json& vocabulary) {
  for (Json& piece : vocabulary) {
    const std::string_view text = piece[0].get_ref<const std::string&>();
    if (text.size() > 1 && text.back() == ',' && text[text.size() - 2] >= '0' && text[text.size() - 2] <= '9')
      piece[1] = piece[1].get<double>() - 100;
  }
  Json& mask = settings.config["mask_token"];
  const std::string content = mask.is_null() ? "[MASK]" : content_of(mask, settings.where);
  if (!mask.is_object()) mask = {{"content", content}, {"lstrip", true}};
}

// The character map of the first normaliser that has one.
std::string charsmap_of(const Json& normalizer) {
  const Json none = Json::array();
  const bool sequence = normalizer.is_object() && normalizer.value("type", Json()) == "Sequence";
  const Json steps = sequence ? normalizer.value("normalizers", none) : Json::array({normalizer});
  for (const Json& step : steps.is_array() ? steps : none)
    if (step.is_object() && step.value("type", Json()) == "Precompiled" && step.contains("precompiled_charsmap"))
      return value_or<std::string>(step, "precompiled_charsmap", "", "normalizer");
  return "";
}

}  // namespace

void check_class(const TokenizerSettings& settings) {
  if (!settings.class_name.empty()) recipe_of(settings);
}

void adjust_as_4_28(TokenizerSettings& settings, Json& tokenizer) {
  if (const Recipe* recipe = find_recipe(settings.class_name)) recipe->name_tokens(settings.config);
  if (settings.class_name == "T5Tokenizer") add_sentinels(settings);
  const auto member_of = [&](const char* key, std::string_view type) -> Json* {
    const auto found = tokenizer.find(key);
    return found != tokenizer.end() && found->is_object() && found->value("type", Json()) == type ? &*found : nullptr;
  };
  const auto flag = [&](const char* key, bool fallback) { return value_or(settings.config, key, fallback, settings.where); };
  if (Json* normalizer = member_of("normalizer", "BertNormalizer"); normalizer && settings.class_name == "BertTokenizer") {
    (*normalizer)["lowercase"] = flag("do_lower_case", true);
    (*normalizer)["strip_accents"] = settings.config.value("strip_accents", Json());
    (*normalizer)["handle_chinese_chars"] = flag("tokenize_chinese_chars", true);
  }
  const bool byte_pairs = settings.class_name == "GPT2Tokenizer" || settings.class_name == "RobertaTokenizer";
  if (Json* words = member_of("pre_tokenizer", "ByteLevel"); words && byte_pairs)
    (*words)["add_prefix_space"] = flag("add_prefix_space", false);
}

TokenizerSource build_tokenizer(TokenizerSettings settings, TokenizerParts parts) {
  const bool old = settings.rules == TokenizerRules::transformers_4 && parts.pieces.is_array();
  if (parts.pieces.is_array() && !old) settings.additional = parts.pieces;
  if (settings.class_name.empty()) {
    Builder builder(std::move(settings), std::move(parts));
    builder.sentencepiece();
    return builder.finish();
  }
  const Recipe& recipe = recipe_of(settings);
  fit_vocabulary(recipe.kind, settings, parts.vocabulary);
  recipe.name_tokens(settings.config);
  if (recipe.class_name == "T5Tokenizer" || recipe.class_name == "ByT5Tokenizer") add_sentinels(settings);
  if (old && recipe.class_name == "AlbertTokenizer") prepare_albert(settings, parts.vocabulary);
  Builder builder(std::move(settings), std::move(parts));
  (builder.*recipe.build)();
  if (old && recipe.kind == Kind::unigram) builder.as_4_28_converts(recipe.class_name == "AlbertTokenizer");
  return builder.finish();
}

TokenizerParts parts_of(Json tokenizer, const std::string& where) {
  TokenizerParts parts;
  parts.charsmap = charsmap_of(tokenizer.value("normalizer", Json()));
  member(tokenizer, "model", where);
  Json& model = tokenizer["model"];
  member(model, "vocab", where + ": model");
  parts.vocabulary = std::move(model["vocab"]);
  if (model.contains("merges") && model["merges"].is_array()) parts.merges = std::move(model["merges"]);
  parts.post_processor = tokenizer.value("post_processor", Json());
  parts.pad_token = padding_token(tokenizer);
  return parts;
}

}  // namespace dept
