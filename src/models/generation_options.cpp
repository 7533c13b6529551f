#include "models/generation_options.h"

#include <cmath>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/generation_beams.h"

namespace dept {
namespace {

class Checks {
 public:
  explicit Checks(const FileOptions& file) : file_(file) {}

  template <class T>
  void require(bool good, std::string_view name, std::string_view expected, const T& received) const {
    if (good) return;
    if (file_.names.contains(name)) fail(Code::bad_input, str(file_.path, ": ", name), expected, str(received));
    fail(Code::usage, name, expected, str(received));
  }

 private:
  const FileOptions& file_;
};

void check_search(const GenerationOptions& o, const ModelInfo& info, const Checks& checks) {
  checks.require(o.max_new_tokens >= 0, "max_new_tokens", "0 or more", o.max_new_tokens);
  checks.require(o.min_new_tokens >= 0, "min_new_tokens", "0 or more", o.min_new_tokens);
  checks.require(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty), "repetition_penalty", "a number above 0",
                 o.repetition_penalty);
  checks.require(o.no_repeat_ngram_size >= 0, "no_repeat_ngram_size", "0 or more", o.no_repeat_ngram_size);
  for (const int64_t id : o.eos_ids)
    checks.require(id >= 0 && id < info.vocab, "eos_token_id", str("ids from 0 to ", info.vocab - 1), id);
  checks.require(o.num_beams >= 1 && (o.num_beams == 1 || BeamSearch::candidates(o) <= info.vocab), "num_beams",
                 "1 or more, with fewer candidates than the vocabulary has tokens", o.num_beams);
  checks.require(o.num_return_sequences >= 1 && (o.do_sample || o.num_return_sequences <= o.num_beams) &&
                     (o.num_beams == 1 || o.num_return_sequences <= o.num_beams),
                 "num_return_sequences", "1 or more, at most num_beams unless do_sample draws without beams",
                 o.num_return_sequences);
}

void check_draw(const GenerationOptions& o, const Checks& checks) {
  checks.require(o.temperature > 0 && std::isfinite(o.temperature), "temperature", "a number above 0, as tokens are drawn",
                 o.temperature);
  checks.require(o.top_k >= 0, "top_k", "0 or more", o.top_k);
  checks.require(o.top_p >= 0 && o.top_p <= 1, "top_p", "0 to 1", o.top_p);
}

}  // namespace

void check_options(const GenerationOptions& options, const ModelInfo& info, const FileOptions& file) {
  const Checks checks(file);
  check_search(options, info, checks);
  if (options.do_sample) check_draw(options, checks);
}

}  // namespace dept
