// Post-processors: special tokens around one or two encoded texts, and cutting them to a length.
#pragma once

#include <string>
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

/// From a "post_processor"; null gives A, and A B. Throws bad_input naming `where`.
PostProcessor make_post_processor(const Json& json, const std::string& where);

/// Cuts `a` (and `b` when not null) so that they have at most `room` ids together, as the library does.
/// Throws usage when only one may be cut and that is not enough, or there is no second.
void truncate(Ids& a, Ids* b, int64_t room, Truncation how);

}  // namespace dept
