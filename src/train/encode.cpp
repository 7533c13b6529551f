#include "dept/train/encode.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

// Cuts ids(source + suffix) to the limit without touching the suffix, whose ids are those that ids(source) does not share, or the
// <s> in front.
void truncate_source(Ids& ids, const Ids& text, std::optional<int64_t> bos, const EncodeRules& rules, int64_t index) {
  const int64_t excess = static_cast<int64_t>(ids.size()) - rules.longest_source();
  if (excess <= 0) return;
  const int64_t head = bos && !ids.empty() && ids.front() == *bos ? 1 : 0;
  const int64_t shared = std::mismatch(ids.begin(), ids.end(), text.begin(), text.end()).first - ids.begin();
  if (shared < head + excess)
    fail(Code::bad_input, str("row ", index),
         str("max_seq_length above the ", ids.size() - shared + head, " tokens around the text"), str(rules.max_source));
  const auto first = ids.begin() + (rules.truncate_head ? head : shared - excess);
  ids.erase(first, first + excess);
}

std::vector<Ids> encode_causal_sources(const Tokenizer& tokenizer, const EncodeRules& rules,
                                       const std::vector<std::string>& sources, std::span<const TextExample> texts, int threads) {
  std::vector<std::string> whole(sources);
  for (std::string& text : whole) text += rules.causal_suffix;
  std::vector<Ids> ids = tokenizer.encode_batch(whole, {}, threads);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (static_cast<int64_t>(ids[i].size()) <= rules.longest_source()) continue;
    if (rules.semantics == Semantics::original)
      ids[i].resize(rules.max_source);
    else
      truncate_source(ids[i], tokenizer.encode(sources[i]), tokenizer.bos_id, rules, texts[i].index);
  }
  return ids;
}

// The index of a label's word, or the number that a regression head is to give.
double head_value(const EncodeRules& rules, const TextExample& text) {
  if (text.target.empty()) return 0;
  if (!rules.label_words.empty()) {
    const auto found = std::find(rules.label_words.begin(), rules.label_words.end(), text.target);
    if (found == rules.label_words.end())
      fail(Code::bad_input, str("row ", text.index), str("one of ", join(rules.label_words, ", ")), quote(text.target));
    return static_cast<double>(found - rules.label_words.begin());
  }
  double value = 0;
  const char* end = text.target.data() + text.target.size();
  const auto [stop, error] = std::from_chars(text.target.data(), end, value);
  if (error != std::errc() || stop != end || !std::isfinite(value))
    fail(Code::bad_input, str("row ", text.index), "a number", quote(text.target));
  return value;
}

std::vector<Ids> encode_sources(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const TextExample> texts,
                                int threads) {
  std::vector<std::string> sources;
  for (const TextExample& text : texts) sources.push_back(text.source);
  return rules.architecture == Architecture::decoder
             ? encode_causal_sources(tokenizer, rules, sources, texts, threads)
             : tokenizer.encode_batch(sources, {.max_length = rules.longest_source()}, threads);
}

// Positions hold prompt, source and answer, an answer to come too.
void check_room(const EncodeRules& rules, const TextExample& text, const Ids& source, const Ids& target) {
  if (!rules.room) return;
  const int64_t answer = std::max(rules.answer, static_cast<int64_t>(target.size()));
  const int64_t needed = static_cast<int64_t>(source.size()) + answer;
  if (needed > *rules.room)
    fail(Code::bad_input, str("row ", text.index),
         str("source and answer in the ", *rules.room,
             " positions that the model has behind the prompt (a smaller max_seq_length or "
             "--truncate cuts the source)"),
         str(source.size(), " and ", answer, " tokens"));
}

}  // namespace

std::vector<Ids> encode_targets(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const std::string> targets,
                                int threads) {
  std::vector<Ids> ids = tokenizer.encode_batch(targets, {.max_length = rules.encoder_decoder() ? rules.max_target : 0}, threads);
  if (rules.encoder_decoder()) return ids;
  for (Ids& target : ids) {
    if (rules.semantics == Semantics::original && static_cast<int64_t>(target.size()) > rules.max_source)
      target.resize(rules.max_source);
    if (rules.end_id) target.push_back(*rules.end_id);
  }
  return ids;
}

std::vector<Example> encode_examples(const Tokenizer& tokenizer, const EncodeRules& rules, std::span<const TextExample> texts,
                                     int threads) {
  std::vector<Ids> source_ids = encode_sources(tokenizer, rules, texts, threads), target_ids(texts.size());
  if (!rules.head) {
    std::vector<std::string> targets;
    for (const TextExample& text : texts) targets.push_back(text.target);
    target_ids = encode_targets(tokenizer, rules, targets, threads);
  }
  std::vector<Example> examples(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    if (source_ids[i].empty())
      fail(Code::bad_input, str("row ", texts[i].index), "a text of at least one token", quote(texts[i].source));
    check_room(rules, texts[i], source_ids[i], target_ids[i]);
    examples[i] = {texts[i].index, std::move(source_ids[i]), std::move(target_ids[i]),
                   rules.head ? head_value(rules, texts[i]) : 0};
  }
  return examples;
}

Batch collate(const EncodeRules& rules, std::span<const Example> examples, Purpose purpose) {
  const DeltaAlignment alignment = rules.architecture == Architecture::decoder ? rules.alignment : DeltaAlignment::start;
  if (rules.head) return collate_classified(examples, alignment, rules.max_source);
  if (rules.encoder_decoder()) return collate_encoder_decoder(examples, rules.decoder_start_id);
  if (rules.semantics == Semantics::original && purpose == Purpose::training)
    return collate_original_training(examples, rules.max_source);
  if (rules.semantics == Semantics::original && purpose == Purpose::judging)
    return collate_original_judging(examples, rules.max_source, rules.end_id.value_or(0));
  return collate_decoder_only(examples, alignment, rules.max_source);
}

}  // namespace dept
