#include "text/post_processor.h"

#include <algorithm>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "text/json_fields.h"

namespace dept {
namespace {

PostProcessor plain() {
  PostProcessor out;
  out.single.add_text(false);
  out.pair.add_text(false);
  out.pair.add_text(true);
  return out;
}

// ["</s>", 2]
int64_t read_token_id(const Json& json, const char* key, const std::string& where) {
  const Json& token = member(json, key, where);
  if (!token.is_array() || token.size() != 2 || !token[1].is_number_unsigned() || token[1].get<uint64_t>() > INT32_MAX)
    fail(Code::bad_input, str(where, ": ", key), "[token, id]", token.is_array() ? quote(token.dump()) : kind_of(token));
  return token[1].get<int64_t>();
}

// BERT: [CLS] A [SEP] B [SEP]; RoBERTa: <s> A </s> </s> B </s>.
PostProcessor read_fixed(const Json& json, bool roberta, const std::string& where) {
  const int64_t cls = read_token_id(json, "cls", where), sep = read_token_id(json, "sep", where);
  PostProcessor out;
  for (Template* made : {&out.single, &out.pair}) {
    made->add_special(cls);
    made->add_text(false);
    made->add_special(sep);
  }
  if (roberta) out.pair.add_special(sep);
  out.pair.add_text(true);
  out.pair.add_special(sep);
  return out;
}

// {"id": "</s>", "ids": [1], "tokens": ["</s>"]}
std::vector<int64_t> read_special(const Json& json, const IdOfToken& id_of, const std::string& where) {
  if (!json.is_object() || json.contains("ids")) return require<std::vector<int64_t>>(json, "ids", where);
  const auto token = require<std::string>(json, "id", where);
  const auto id = id_of(token);
  if (!id) fail(Code::bad_input, where, str("the token ", quote(token), " in the vocabulary"), "none");
  return {*id};
}

Template read_template(const Json& json, const char* key, const Json& specials, const IdOfToken& id_of,
                       const std::string& where) {
  const Json& parts = member(json, key, where);
  const std::string here = str(where, ": ", key);
  constexpr size_t most_parts = 64;
  constexpr int64_t most_ids = 1024;
  if (!parts.is_array() || parts.size() > most_parts)
    fail(Code::bad_input, here, str("a list of at most ", most_parts), kind_of(parts));
  Template out;
  for (const Json& part : parts) {
    if (part.is_object() && part.contains("Sequence")) {
      const auto id = require<std::string>(part["Sequence"], "id", here);
      if (id != "A" && id != "B") fail(Code::bad_input, here, "the sequence A or B", quote(id));
      out.add_text(id == "B");
    } else if (part.is_object() && part.contains("SpecialToken")) {
      const auto id = require<std::string>(part["SpecialToken"], "id", here);
      if (!specials.contains(id)) fail(Code::bad_input, here, "tokens that special_tokens lists", quote(id));
      for (const int64_t token : read_special(specials[id], id_of, str(where, ": special_tokens: ", quote(id)))) {
        if (token < 0 || token > INT32_MAX)
          fail(Code::bad_input, str(where, ": special_tokens: ", quote(id)), "token ids", str(token));
        if (out.specials() == most_ids) fail(Code::bad_input, here, str("at most ", most_ids, " ids"), "more");
        out.add_special(token);
      }
    } else {
      fail(Code::bad_input, here, R"({"Sequence": ..} or {"SpecialToken": ..})", kind_of(part));
    }
  }
  return out;
}

PostProcessor read_templates(const Json& json, const IdOfToken& id_of, const std::string& where) {
  const Json& specials = member(json, "special_tokens", where);
  if (!specials.is_object()) fail(Code::bad_input, where + ": special_tokens", "an object", kind_of(specials));
  PostProcessor out{read_template(json, "single", specials, id_of, where), read_template(json, "pair", specials, id_of, where)};
  if (out.single.uses_second()) fail(Code::bad_input, where + ": single", "only the sequence A", "B");
  return out;
}

bool adds_nothing(const Json& json) {
  return json.is_object() && json.value("type", "") == "ByteLevel";
}

}  // namespace

bool Template::uses_second() const {
  return std::any_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.kind == text_b; });
}

Ids Template::fill(const Ids& a, const Ids& b, bool with_specials) const {
  Ids out;
  out.reserve(a.size() + b.size() + static_cast<size_t>(specials_));
  for (const Part& part : parts_) {
    if (part.kind == text_a)
      out.insert(out.end(), a.begin(), a.end());
    else if (part.kind == text_b)
      out.insert(out.end(), b.begin(), b.end());
    else if (with_specials)
      out.push_back(part.id);
  }
  return out;
}

PostProcessor make_post_processor(const Json& json, const IdOfToken& id_of, const std::string& where) {
  if (json.is_null()) return plain();
  const auto type = require<std::string>(json, "type", where);
  if (type == "ByteLevel") return plain();  // it only trims offsets
  if (type == "RobertaProcessing") return read_fixed(json, true, where);
  if (type == "BertProcessing") return read_fixed(json, false, where);
  if (type == "TemplateProcessing") return read_templates(json, id_of, where);
  if (type == "Sequence") {
    const Json& list = member(json, "processors", where);
    if (!list.is_array()) fail(Code::bad_input, where + ": processors", "a list", kind_of(list));
    const auto adds =
        static_cast<size_t>(std::count_if(list.begin(), list.end(), [](const Json& step) { return !adds_nothing(step); }));
    if (adds > 1) fail(Code::bad_input, where + ": processors", "at most one that adds tokens", str(adds));
    const auto found = std::find_if(list.begin(), list.end(), [](const Json& step) { return !adds_nothing(step); });
    return found == list.end() ? plain() : make_post_processor(*found, id_of, where + ": processors");
  }
  fail(Code::bad_input, where + ": type", "a post-processor that is known here", quote(type));
}

void truncate(Ids& a, Ids* b, int64_t room, Truncation how, bool at_start) {
  const auto size = [](const Ids& ids) { return static_cast<int64_t>(ids.size()); };
  const auto cut = [at_start](Ids& ids, int64_t length) {
    const auto kept = std::min<int64_t>(length, static_cast<int64_t>(ids.size()));
    ids.erase(at_start ? ids.begin() : ids.begin() + kept, at_start ? ids.end() - kept : ids.end());
  };
  const int64_t excess = size(a) + (b ? size(*b) : 0) - room;
  if (how == Truncation::none || excess <= 0) return;
  if (how == Truncation::longest_first) {
    if (!b || room == 0) {
      cut(a, room);
      if (b) cut(*b, 0);
      return;
    }
    // The shorter keeps what it has while there is room for it; else both get half, the longer one the odd id.
    const bool swapped = size(a) > size(*b);
    int64_t shorter = std::min(size(a), size(*b));
    int64_t longer = shorter > room ? shorter : std::max(shorter, room - shorter);
    if (shorter + longer > room) {
      shorter = room / 2;
      longer = shorter + room % 2;
    }
    cut(a, swapped ? longer : shorter);
    cut(*b, swapped ? shorter : longer);
    return;
  }
  if (how == Truncation::only_second && !b) fail(Code::usage, "truncation", "a pair of texts for only_second", "one text");
  Ids& target = how == Truncation::only_second ? *b : a;
  if (room == 0) return cut(a, 0), b ? cut(*b, 0) : void();
  if (size(target) <= excess)
    fail(Code::usage, "truncation", str("a text of more than ", excess, " ids to cut"), str(size(target)));
  cut(target, size(target) - excess);
}

}  // namespace dept
