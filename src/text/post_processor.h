// Post-processors: special tokens around one or two encoded texts, and cutting them to a length.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dept/base/json.h"
#include "dept/text/tokenizer.h"

namespace dept {

/// A template: special tokens and the places of the texts A and B.
class Template {
 public:
  void add_text(bool second) { parts_.push_back({second ? text_b : text_a, 0}); }
  void add_special(int64_t id) {
    parts_.push_back({special, id});
    ++specials_;
  }
  int64_t specials() const { return specials_; }
  bool uses_second() const;
  Ids fill(const Ids& a, const Ids& b, bool with_specials) const;

 private:
  enum Kind { text_a, text_b, special };
  struct Part {
    Kind kind;
    int64_t id;
  };
  std::vector<Part> parts_;
  int64_t specials_ = 0;
};

struct PostProcessor {
  Template single, pair;
};

/// From a "post_processor"; null gives A, and A B. `id_of` gives the ids of special tokens that the template names without.
/// Throws bad_input naming `where`.
using IdOfToken = std::function<std::optional<int64_t>(std::string_view)>;
PostProcessor make_post_processor(const Json& json, const IdOfToken& id_of, const std::string& where);

/// Cuts `a` (and `b` when not null) at the end, or at the start, so that they have at most `room` ids together, as the library
/// does. Throws usage when only one may be cut and that is not enough, or there is no second.
void truncate(Ids& a, Ids* b, int64_t room, Truncation how, bool at_start);

}  // namespace dept
