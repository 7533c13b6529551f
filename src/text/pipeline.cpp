#include "text/pipeline.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"

namespace dept {
namespace {

// Old files have no model.type: they are told apart by their fields.
std::unique_ptr<Model> make_model(const Json& json, bool byte_level, const std::string& where) {
  if (!json.is_object()) fail(Code::bad_input, where, "an object", kind_of(json));
  std::string type = value_or<std::string>(json, "type", "", where);
  if (type.empty()) {
    if (json.contains("merges"))
      type = "BPE";
    else if (json.contains("max_input_chars_per_word") || json.contains("continuing_subword_prefix"))
      type = "WordPiece";
    else if (json.contains("unk_id"))
      type = "Unigram";
  }
  if (type == "BPE") return make_bpe(json, byte_level, where);
  if (type == "Unigram") return make_unigram(json, where);
  if (type == "WordPiece") return make_wordpiece(json, where);
  fail(Code::bad_input, where + ": type", "BPE, Unigram or WordPiece", quote(type));
}

const Json& optional_member(const Json& json, const char* key) {
  static const Json null;
  const auto found = json.find(key);
  return found == json.end() ? null : *found;
}

bool truncates_start(const TokenizerSource& source) {
  const auto side = value_or<std::string>(source.config, "truncation_side", "right", source.where_config);
  if (side != "left" && side != "right")
    fail(Code::bad_input, source.where_config + ": truncation_side", "left or right", quote(side));
  return side == "left";
}

void require_utf8(std::string_view text) {
  const size_t broken = find_invalid_utf8(text);
  if (broken != std::string_view::npos) fail(Code::bad_input, "text", "valid UTF-8", str("a broken byte at offset ", broken));
}

}  // namespace

// Scratch space taken for a call and given back after it, so that encode() may run on many threads.
class TokenizerPipeline::Lease {
 public:
  explicit Lease(const TokenizerPipeline& owner) : owner_(owner) {
    const std::lock_guard lock(owner.mutex_);
    if (owner.idle_.empty()) return;
    scratch_ = std::move(owner.idle_.back());
    owner.idle_.pop_back();
  }
  ~Lease() {
    if (!scratch_) return;
    const std::lock_guard lock(owner_.mutex_);
    owner_.idle_.push_back(std::move(scratch_));
  }
  Scratch& operator*() {
    if (!scratch_) scratch_ = std::make_unique<Scratch>();
    return *scratch_;
  }

 private:
  const TokenizerPipeline& owner_;
  std::unique_ptr<Scratch> scratch_;
};

TokenizerPipeline::TokenizerPipeline(const TokenizerSource& source, const std::string& where) {
  const Json& json = source.tokenizer;
  if (!json.is_object()) fail(Code::bad_input, where, "an object", kind_of(json));
  normalizer_ = make_normalizer(optional_member(json, "normalizer"), where + ": normalizer");
  pre_tokenizers_ = make_pre_tokenizers(optional_member(json, "pre_tokenizer"), where + ": pre_tokenizer");
  const Json& model = member(json, "model", where);
  // A BPE model spells bytes itself, which spares writing them out.
  const bool byte_level = !pre_tokenizers_.empty() && pre_tokenizers_.back()->is_byte_level() && model.contains("merges");
  if (byte_level) pre_tokenizers_.pop_back();
  model_ = make_model(model, byte_level, where + ": model");
  added_ = std::make_unique<AddedTokens>(model_->vocabulary(), normalizer_.get());
  for (const auto& batch : source.batches) {
    added_->begin_batch();
    for (const TokenToAdd& token : batch) added_->add(token.token, token.where);
  }
  added_->finish(value_or(source.config, "split_special_tokens", false, source.where_config),
                 source.rules == TokenizerRules::transformers_4);
  const auto id_of = [this](std::string_view token) { return token_to_id(token); };
  post_processor_ = make_post_processor(optional_member(json, "post_processor"), id_of, where + ": post_processor");
  decoder_ = make_decoder(optional_member(json, "decoder"), where + ": decoder");
  unk_id = model_->unk_id();
  truncates_start_ = truncates_start(source);
  vocab_size_ = static_cast<int64_t>(model_->vocabulary().size());
  for (const AddedToken& token : added_->tokens()) vocab_size_ += model_->vocabulary().find(token.content) == Vocabulary::absent;
}

void TokenizerPipeline::encode_words(std::string_view text, bool at_start, Scratch& scratch, Ids& out) const {
  scratch.pieces.assign(1, {text, at_start});
  for (const auto& step : pre_tokenizers_) {
    scratch.next.clear();
    for (const Piece& piece : scratch.pieces) step->cut(piece, scratch.arena, scratch.next);
    scratch.pieces.swap(scratch.next);
  }
  for (const Piece& piece : scratch.pieces) {
    if (!WordCache::fits(piece.text)) {
      model_->encode(piece.text, out);
      continue;
    }
    WordCache::Entry& entry = scratch.cache.slot(piece.text);
    if (WordCache::holds(entry, piece.text)) {
      out.insert(out.end(), entry.ids, entry.ids + entry.count);
    } else {
      const size_t before = out.size();
      model_->encode(piece.text, out);
      WordCache::put(entry, piece.text, out.data() + before, out.size() - before);
    }
  }
}

void TokenizerPipeline::encode_text(std::string_view text, Scratch& scratch, Ids& out) const {
  require_utf8(text);
  scratch.raw.clear();
  added_->cut_raw(text, scratch.raw);
  for (const Segment& raw : scratch.raw) {
    if (raw.index >= 0) {
      out.push_back(added_->tokens()[raw.index].id);
      continue;
    }
    const bool changed = normalizer_ && normalizer_->apply(raw.text, scratch.text);
    scratch.normalized.clear();
    added_->cut_normalized(changed ? std::string_view(scratch.text) : raw.text, scratch.normalized);
    for (const Segment& segment : scratch.normalized) {
      if (segment.index >= 0) {
        out.push_back(added_->tokens()[segment.index].id);
        continue;
      }
      scratch.arena.clear();
      const bool at_start = raw.text.data() == text.data() && &segment == scratch.normalized.data();
      encode_words(segment.text, at_start, scratch, out);
    }
  }
}

Ids TokenizerPipeline::finish(Ids a, Ids* b, const EncodeOptions& options) const {
  const Template& frame = b ? post_processor_.pair : post_processor_.single;
  if (options.max_length < 0) fail(Code::usage, "max_length", "0 or more", str(options.max_length));
  if (options.max_length > 0) {
    const int64_t room = options.max_length - (options.add_special_tokens ? frame.specials() : 0);
    if (room < 0)
      fail(Code::usage, "max_length", str("at least ", frame.specials(), ", the number of special tokens"),
           str(options.max_length));
    truncate(a, b, room, options.truncation, truncates_start_);
  }
  return frame.fill(a, b ? *b : Ids(), options.add_special_tokens);
}

Ids TokenizerPipeline::encode(std::string_view text, const EncodeOptions& options) const {
  Lease lease(*this);
  Ids ids;
  encode_text(text, *lease, ids);
  return finish(std::move(ids), nullptr, options);
}

Ids TokenizerPipeline::encode_pair(std::string_view text, std::string_view pair, const EncodeOptions& options) const {
  Lease lease(*this);
  Ids first, second;
  encode_text(text, *lease, first);
  encode_text(pair, *lease, second);
  return finish(std::move(first), &second, options);
}

std::string TokenizerPipeline::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int64_t id : ids) {
    const bool added = added_->find(id) != nullptr;
    if (!contains(id)) fail(Code::bad_input, "decode", str("ids below ", vocab_size_), str(id));
    const std::string_view token = added ? added_->spelling(id) : model_->vocabulary().token(id);
    if (!(skip_special_tokens && added_->is_special(token))) tokens.emplace_back(token);
  }
  if (decoder_) decoder_->apply(tokens);
  std::string out;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0 && !decoder_) out += ' ';
    out += tokens[i];
  }
  return out;
}

std::optional<int64_t> TokenizerPipeline::token_to_id(std::string_view token) const {
  if (const AddedToken* added = added_->find(token)) return added->id;
  const int32_t id = model_->vocabulary().find(token);
  return id == Vocabulary::absent ? std::nullopt : std::optional<int64_t>(id);
}

bool TokenizerPipeline::contains(int64_t id) const {
  return added_->find(id) != nullptr || model_->vocabulary().contains(id);
}

Json TokenizerPipeline::added_tokens() const {
  Json out = Json::array();
  for (const AddedToken& token : added_->tokens())
    out.push_back({{"id", token.id},
                   {"content", token.content},
                   {"single_word", token.single_word},
                   {"lstrip", token.lstrip},
                   {"rstrip", token.rstrip},
                   {"normalized", token.normalized},
                   {"special", added_->is_special(token.content)}});
  std::sort(out.begin(), out.end(), [](const Json& a, const Json& b) { return a["id"] < b["id"]; });
  return out;
}

std::string TokenizerPipeline::id_to_token(int64_t id) const {
  if (const AddedToken* added = added_->find(id)) return added->content;
  if (!model_->vocabulary().contains(id)) fail(Code::bad_input, "id_to_token", str("ids below ", vocab_size_), str(id));
  return std::string(model_->vocabulary().token(id));
}

}  // namespace dept
