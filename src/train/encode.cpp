#include "dept/train/encode.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <tuple>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensor/dropout_key.h"

namespace dept {
namespace {

// Cuts ids(source + suffix) to the limit without touching the suffix, whose ids are those that ids(source) does not share, or the
// <s> in front.
void truncate_source(Ids& ids, const Ids& text, std::optional<int64_t> bos, const EncodeRules& rules,
                     const TextExample& example) {
  const int64_t excess = static_cast<int64_t>(ids.size()) - rules.longest_source();
  if (excess <= 0) return;
  const int64_t head = bos && !ids.empty() && ids.front() == *bos ? 1 : 0;
  const int64_t shared = std::mismatch(ids.begin(), ids.end(), text.begin(), text.end()).first - ids.begin();
  if (shared < head + excess)
    fail(Code::bad_input, example.where_source(),
         str("max_seq_length above the ", ids.size() - shared + head, " tokens around the text"), str(rules.max_source));
  const auto first = ids.begin() + (rules.truncate_head ? head : shared - excess);
  ids.erase(first, first + excess);
}

std::vector<Ids> encode_causal_sources(const Tokenizer& tokenizer, const EncodeRules& rules,
                                       const std::vector<std::string>& sources, std::span<const TextExample> texts, int threads,
                                       Cuts& cuts) {
  std::vector<std::string> whole(sources);
  for (std::string& text : whole) text += rules.causal_suffix;
  std::vector<Ids> ids = tokenizer.encode_batch(whole, {}, threads);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (static_cast<int64_t>(ids[i].size()) <= rules.longest_source()) continue;
    ++cuts.sources;
    if (rules.quirks.cuts_source_suffix_and_label_together())
      ids[i].resize(rules.max_source);
    else
      truncate_source(ids[i], tokenizer.encode(sources[i]), tokenizer.bos_id, rules, texts[i]);
  }
  return ids;
}

// How many special tokens stand behind a text; none where the tokenizer does not say.
std::optional<size_t> ids_behind(const Tokenizer& tokenizer) {
  const Ids whole = tokenizer.encode("a"), text = tokenizer.encode("a", {.add_special_tokens = false});
  const auto found = std::search(whole.begin(), whole.end(), text.begin(), text.end());
  if (text.empty() || found == whole.end()) return std::nullopt;
  return static_cast<size_t>(whole.end() - found) - text.size();
}

// Texts cut to a number of tokens, counting those that are: each may have one token more, which is then taken out of it.
std::vector<Ids> encode_cut(const Tokenizer& tokenizer, std::span<const std::string> texts, int64_t most, int threads,
                            int64_t& cut) {
  const std::optional<size_t> behind = ids_behind(tokenizer);
  const auto specials = static_cast<int64_t>(tokenizer.encode("").size());
  if (most <= 0 || !behind || specials > most) return tokenizer.encode_batch(texts, {.max_length = most}, threads);
  std::vector<Ids> ids = tokenizer.encode_batch(texts, {.max_length = most + 1}, threads);
  for (Ids& one : ids) {
    if (static_cast<int64_t>(one.size()) <= most) continue;
    one.erase(one.end() - static_cast<std::ptrdiff_t>(*behind) - 1);
    ++cut;
  }
  return ids;
}

std::vector<Ids> encode_targets(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const std::string> targets,
                                int threads, int64_t& cut) {
  if (rules.encoder_decoder()) return encode_cut(tokenizer, targets, rules.max_target, threads, cut);
  if (rules.chat) {
    const ChatTurn& turn = rules.chat->assistant;
    std::vector<std::string> answers;
    for (const std::string& target : targets) answers.push_back(turn.lead + target + turn.close);
    return tokenizer.encode_batch(answers, {.add_special_tokens = false}, threads);
  }
  std::vector<Ids> ids = tokenizer.encode_batch(targets, {.add_special_tokens = !rules.bare_targets}, threads);
  for (Ids& target : ids) {
    if (rules.quirks.cuts_source_suffix_and_label_together() && static_cast<int64_t>(target.size()) > rules.max_source) {
      target.resize(rules.max_source);
      ++cut;
    }
    if (rules.end_id) target.push_back(*rules.end_id);
  }
  return ids;
}

// A conversation without its oldest turn and that one's answer; false where the last turn alone is left.
bool drop_oldest(std::vector<ChatMessage>& messages) {
  const auto first = messages.begin() + (messages.front().role == "system" ? 1 : 0);
  if (messages.end() - first < 3) return false;
  messages.erase(first, first + 2);
  return true;
}

ChatExample encode_chat(const Tokenizer& tokenizer, const EncodeRules& rules, const TextExample& text, Cuts& cuts) {
  std::vector<ChatMessage> messages = text.messages;
  if (messages.empty()) messages = {{"user", text.source}};
  const std::string where = text.where_source();
  for (bool cut = false;; cut = true) {
    ChatExample example{chat_prompt(tokenizer, *rules.chat, messages, where), {}};
    if (static_cast<int64_t>(example.prompt.size()) <= rules.longest_source()) {
      if (cut) ++cuts.sources;
      if (text.target.empty()) return example;
      messages.push_back({"assistant", text.target});
      return chat_example(tokenizer, *rules.chat, messages, where);
    }
    if (!drop_oldest(messages))
      fail(Code::bad_input, where,
           str("a conversation whose last turn has at most ", rules.longest_source(), " tokens (max_seq_length)"),
           str(example.prompt.size()));
  }
}

// Sources and targets.
std::pair<std::vector<Ids>, std::vector<Ids>> encode_chats(const Tokenizer& tokenizer, const EncodeRules& rules,
                                                           std::span<const TextExample> texts, Cuts& cuts) {
  std::vector<Ids> sources, targets;
  for (const TextExample& text : texts) {
    ChatExample example = encode_chat(tokenizer, rules, text, cuts);
    sources.push_back(std::move(example.prompt));
    targets.push_back(std::move(example.answer));
  }
  return {std::move(sources), std::move(targets)};
}

// The index of a label's word, or the number that a regression head is to give.
double head_value(const EncodeRules& rules, const TextExample& text) {
  if (text.target.empty()) return 0;
  if (!rules.label_words.empty()) {
    const auto found = std::find(rules.label_words.begin(), rules.label_words.end(), text.target);
    if (found == rules.label_words.end())
      fail(Code::bad_input, text.where_target(), str("one of ", join(rules.label_words, ", ")), quote(text.target));
    return static_cast<double>(found - rules.label_words.begin());
  }
  double value = 0;
  const char* end = text.target.data() + text.target.size();
  const auto [stop, error] = std::from_chars(text.target.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value))
    fail(Code::bad_input, text.where_target(), "a number", quote(text.target));
  return value;
}

// The answers that each text may be trained on.
std::vector<std::vector<ScoredTarget>> encode_scored(const Tokenizer& tokenizer, const EncodeRules& rules,
                                                     std::span<const TextExample> texts, int threads, Cuts& cuts) {
  std::vector<std::vector<ScoredTarget>> scored(texts.size());
  std::vector<std::string> answers;
  for (const TextExample& text : texts)
    for (const ScoredAnswer& answer : text.scored) answers.push_back(answer.text);
  if (answers.empty() || rules.head || rules.chat) return scored;
  std::vector<Ids> ids = encode_targets(tokenizer, rules, answers, threads, cuts.targets);
  size_t next = 0;
  for (size_t i = 0; i < texts.size(); ++i)
    for (const ScoredAnswer& answer : texts[i].scored) scored[i].push_back({std::move(ids[next++]), answer.score});
  return scored;
}

// As check_ids; the row's place is put in words only when it is needed.
void check_row(const Tokenizer& tokenizer, const EncodeRules& rules, const Ids& ids, const TextExample& text,
               std::string (TextExample::*where)() const) {
  if (rules.vocab == 0 || std::none_of(ids.begin(), ids.end(), [&](int64_t id) { return id >= rules.vocab; })) return;
  check_ids(tokenizer, ids, rules.vocab, (text.*where)());
}

std::vector<Ids> encode_sources(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const TextExample> texts,
                                int threads, Cuts& cuts) {
  std::vector<std::string> sources;
  for (const TextExample& text : texts) sources.push_back(text.source);
  return rules.architecture == Architecture::decoder
             ? encode_causal_sources(tokenizer, rules, sources, texts, threads, cuts)
             : encode_cut(tokenizer, sources, rules.longest_source(), threads, cuts.sources);
}

// Positions hold prompt, source and answer, an answer to come too.
void check_room(const EncodeRules& rules, const TextExample& text, const Ids& source, const Ids& target) {
  if (!rules.room) return;
  const int64_t answer = std::max(rules.answer, static_cast<int64_t>(target.size()));
  const int64_t needed = static_cast<int64_t>(source.size()) + answer;
  if (needed > *rules.room)
    fail(Code::bad_input, text.where_source(),
         str("source and answer in the ", *rules.room,
             " positions that the model has behind the prompt (a smaller max_seq_length or "
             "--truncate cuts the source)"),
         str(source.size(), " and ", answer, " tokens"));
}

}  // namespace

std::vector<Ids> encode_targets(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const std::string> targets,
                                int threads) {
  int64_t cut = 0;
  return encode_targets(tokenizer, rules, targets, threads, cut);
}

void check_ids(const Tokenizer& tokenizer, std::span<const int64_t> ids, int64_t vocab, const std::string& where) {
  const auto unknown = std::find_if(ids.begin(), ids.end(), [&](int64_t id) { return id >= vocab; });
  if (unknown != ids.end())
    fail(Code::bad_input, where, str("tokens of the model's embedding (vocab_size ", vocab, ")"),
         str("the token ", quote(tokenizer.id_to_token(*unknown)), " with id ", *unknown));
}

std::vector<Example> encode_examples(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const TextExample> texts,
                                     int threads, Cuts* cuts) {
  Cuts counted;
  std::vector<Ids> source_ids, target_ids(texts.size());
  if (rules.chat)
    std::tie(source_ids, target_ids) = encode_chats(tokenizer, rules, texts, counted);
  else
    source_ids = encode_sources(tokenizer, rules, texts, threads, counted);
  if (!rules.head && !rules.chat) {
    std::vector<std::string> targets;
    for (const TextExample& text : texts) targets.push_back(text.target);
    target_ids = encode_targets(tokenizer, rules, targets, threads, counted.targets);
  }
  std::vector<Example> examples(texts.size());
  std::vector<std::vector<ScoredTarget>> scored = encode_scored(tokenizer, rules, texts, threads, counted);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (source_ids[i].empty())
      fail(Code::bad_input, texts[i].where_source(), "a text of at least one token", quote(texts[i].source));
    check_row(tokenizer, rules, source_ids[i], texts[i], &TextExample::where_source);
    check_row(tokenizer, rules, target_ids[i], texts[i], &TextExample::where_target);
    check_room(rules, texts[i], source_ids[i], target_ids[i]);
    examples[i] = {texts[i].index, std::move(source_ids[i]), std::move(target_ids[i]),
                   rules.head ? head_value(rules, texts[i]) : 0};
    examples[i].targets = std::move(scored[i]);
    if (rules.visual == nullptr) continue;
    examples[i].image = rules.visual->name_of(texts[i]);
    examples[i].visual = rules.visual->tokens();
  }
  if (cuts != nullptr) *cuts = counted;
  return examples;
}

namespace {

Batch collate_one(const EncodeRules& rules, std::span<const Example> examples, Purpose purpose) {
  const DeltaAlignment alignment = rules.architecture == Architecture::decoder ? rules.alignment : DeltaAlignment::start;
  if (rules.head) return collate_classified(examples, alignment, rules.max_source);
  if (rules.encoder_decoder()) return collate_encoder_decoder(examples, rules.decoder_start_id);
  if (rules.quirks.takes_places_as_positions() && purpose == Purpose::training)
    return collate_original_training(examples, rules.max_source);
  if (rules.quirks.evaluates_source_without_answer() && purpose == Purpose::evaluating)
    return collate_original_evaluating(examples, rules.max_source, rules.end_id.value_or(0));
  return collate_decoder_only(examples, alignment, rules.max_source, purpose == Purpose::answering);
}

// Which target a number of [0, 1) falls on, where each has its score's share.
const ScoredTarget& target_at(const std::vector<ScoredTarget>& targets, double number) {
  double sum = 0;
  for (const ScoredTarget& target : targets) sum += target.score;
  double left = number * sum;
  for (const ScoredTarget& target : targets)
    if ((left -= target.score) < 0) return target;
  return targets.back();
}

}  // namespace

std::span<const Example> draw_targets(std::span<const Example> examples, uint64_t seed, uint32_t micro_step,
                                      std::vector<Example>& drawn) {
  const auto has_several = [](const Example& example) { return !example.targets.empty(); };
  if (std::none_of(examples.begin(), examples.end(), has_several)) return examples;
  drawn.assign(examples.begin(), examples.end());
  for (Example& example : drawn) {
    if (example.targets.empty()) continue;
    const DropoutStream stream(seed, micro_step, example.index, 0, Site::target);
    const ScoredTarget& target = target_at(example.targets, stream.block(0)[0] * 0x1p-32);
    example.target = target.ids;
    example.score = target.score;
  }
  return drawn;
}

Batch collate(const EncodeRules& rules, std::span<const Example> examples, Purpose purpose, int64_t configs) {
  Batch batch = collate_one(rules, examples, purpose);
  if (batch.visual.any()) batch.visual.features = rules.visual->read(examples);
  for (Ragged* tokens : {&batch.source, &batch.target}) {
    const int64_t each = tokens->batch() / configs;
    if (each * configs != tokens->batch())
      fail(Code::bug, "collate", str("as many sequences for each of ", configs, " adapters"), str(tokens->batch()));
    for (int64_t b = 0; b < tokens->batch(); ++b) tokens->config[b] = b / each;
  }
  return batch;
}

}  // namespace dept
