#include "models/bucket.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/max.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

namespace dept {
namespace {

int64_t up_to(int64_t value, int64_t step) {
  return (value + step - 1) / step * step;
}

// `total` tokens in `count` sequences of 1 to `most` each, the first ones as long as may be.
std::vector<int64_t> spread(int64_t total, int64_t count, int64_t most) {
  std::vector<int64_t> lengths(count, 1);
  int64_t left = total - count;
  for (int64_t& length : lengths) {
    const int64_t more = std::min(left, most - 1);
    length += more;
    left -= more;
  }
  return lengths;
}

std::vector<bool> prefixes_of(const std::vector<int64_t>& prefix) {
  std::vector<bool> named(prefix.size());
  for (const int64_t p : prefix)
    if (p >= 0) named[p] = true;
  return named;
}

bool takes(const Ragged& tokens) {
  const auto some = [](const auto& list) { return std::any_of(list.begin(), list.end(), [](int64_t x) { return x > 0; }); };
  if (tokens.batch() == 0 || some(tokens.outside) || some(tokens.unbiased)) return false;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    if (tokens.length(b) == 0) return false;
  return true;
}

// Texts behind a prefix, or none of them is; one length for all prefixes.
bool alike(const Ragged& tokens, const std::vector<bool>& named) {
  std::optional<int64_t> length;
  std::optional<bool> behind;
  for (int64_t b = 0; b < tokens.batch(); ++b) {
    if (named[b]) {
      if (length.value_or(tokens.length(b)) != tokens.length(b) || tokens.prefix[b] >= 0) return false;
      length = tokens.length(b);
    } else {
      if (behind.value_or(tokens.prefix[b] >= 0) != (tokens.prefix[b] >= 0)) return false;
      behind = tokens.prefix[b] >= 0;
    }
  }
  return behind.has_value();
}

// Its tokens are counted when it is known how many fillers there are.
std::optional<Bucket::Part> part_of(const Ragged& tokens, const GraphOptions& options) {
  if (!takes(tokens)) return std::nullopt;
  const std::vector<bool> named = prefixes_of(tokens.prefix);
  if (!alike(tokens, named)) return std::nullopt;
  Bucket::Part part;
  part.prefix = tokens.prefix;
  for (int64_t b = 0; b < tokens.batch(); ++b)
    if (named[b])
      part.prefix_length = tokens.length(b);
    else
      part.longest = std::max(part.longest, tokens.length(b));
  part.longest = up_to(part.longest, options.longest);
  part.reach = up_to(at::max(tokens.position).item<int64_t>() + 1, options.longest);
  part.fillers = up_to(options.tokens, part.longest) / part.longest + 2;
  return part;
}

// Room for the batch with its fillers, and for the sample. False where the fillers cannot take what is left.
bool count_tokens(const Ragged& tokens, const GraphOptions& options, Bucket::Part& part) {
  const std::vector<bool> named = prefixes_of(part.prefix);
  const int64_t prefixes = std::count(named.begin(), named.end(), true), texts = part.batch() - prefixes;
  const int64_t least = prefixes * part.prefix_length + part.longest + texts - 1;
  part.tokens = up_to(std::max(tokens.tokens(), least) + part.fillers, options.tokens);
  return part.tokens - tokens.tokens() <= part.fillers * part.longest;
}

}  // namespace

std::optional<Bucket> bucket_of(const Call& call, const Ragged& source, const Ragged* target, const GraphOptions& options) {
  std::optional<Bucket::Part> read = part_of(source, options), written;
  if (!read) return std::nullopt;
  if (target != nullptr) {
    written = part_of(*target, options);
    if (!written) return std::nullopt;
    read->fillers = written->fillers = std::max(read->fillers, written->fillers);  // sequence b reads sequence b
    if (!count_tokens(*target, options, *written)) return std::nullopt;
  }
  if (!count_tokens(source, options, *read)) return std::nullopt;
  return Bucket{call.training, *read, written};
}

Ragged filled_up(const Ragged& tokens, const Bucket::Part& part, BatchPart name) {
  Ragged full = tokens;
  full.outside.clear();  // of a batch of a bucket both say nothing
  full.unbiased.clear();
  const int64_t left = part.tokens - tokens.tokens();
  for (const int64_t length : spread(left, part.fillers, part.longest)) full.append(length, 0);
  full.position = at::cat({tokens.position, at::zeros({left}, tokens.position.options())});
  full.row.reset();
  full.part = name;
  return full;
}

Ragged sample_of(const Bucket::Part& part, BatchPart name) {
  const std::vector<bool> named = prefixes_of(part.prefix);
  const int64_t prefixes = std::count(named.begin(), named.end(), true), texts = part.batch() - prefixes + part.fillers;
  const std::vector<int64_t> lengths = spread(part.tokens - prefixes * part.prefix_length, texts, part.longest);
  Ragged sample;
  size_t text = 0;
  for (int64_t b = 0; b < part.batch(); ++b) sample.append(named[b] ? part.prefix_length : lengths[text++], 0, 0, part.prefix[b]);
  while (text < lengths.size()) sample.append(lengths[text++], 0);
  sample.position = at::full({part.tokens}, part.reach - 1, at::kLong);
  sample.part = name;
  return sample;
}

}  // namespace dept
