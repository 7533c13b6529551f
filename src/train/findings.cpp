#include "dept/train/findings.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <sys/resource.h>

#include <algorithm>
#include <vector>

#include "dept/adapter/dept.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr int64_t nearest_words = 5;

int64_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

// Rows of length 1, those of length 0 as they are.
at::Tensor directions(const at::Tensor& rows) {
  return rows.div(rows.norm(2, -1, true).clamp_min(1e-30));
}

// The ids and cosines of the embeddings nearest to each row of `prompt`: [M, nearest_words] both. The vocabulary is taken in
// parts, which memory does not notice.
std::pair<at::Tensor, at::Tensor> nearest(const Backbone& backbone, const at::Tensor& prompt) {
  constexpr int64_t part = 2048;
  const at::Tensor wanted = directions(prompt);
  const int64_t vocab = backbone.info().vocab;
  at::Tensor ids, cosines;
  for (int64_t first = 0; first < vocab; first += part) {
    const at::Tensor some = at::arange(first, std::min(first + part, vocab), at::kLong);
    at::Tensor found = wanted.matmul(directions(backbone.embed(some)).t()).cpu();
    at::Tensor found_ids = some.expand({wanted.size(0), some.size(0)});
    if (ids.defined()) {
      found = at::cat({cosines, found}, 1);
      found_ids = at::cat({ids, found_ids}, 1);
    }
    at::Tensor places;
    std::tie(cosines, places) = found.topk(std::min(nearest_words, found.size(1)), 1);
    ids = found_ids.gather(1, places);
  }
  return {ids, cosines};
}

// A token as people read it; what is no text by itself (a part of a character) as the vocabulary has it.
std::string word_of(const Tokenizer& tokenizer, int64_t id) {
  if (!tokenizer.contains(id)) return str("id ", id);
  const Ids ids = {id};
  const std::string text = tokenizer.decode(ids, false);
  const bool readable = !strip(text).empty() && text.find("\xEF\xBF\xBD") == std::string::npos;
  return readable ? std::string(strip(text)) : tokenizer.id_to_token(id);
}

OrderedJson prompt_words(const AdaptedModel& model, const at::Tensor& prompt) {
  OrderedJson list = OrderedJson::array();
  const auto [ids, cosines] = nearest(model.backbone(), prompt);
  const at::Tensor norms = prompt.norm(2, 1);
  const int64_t own = model.adapter().prompt_tokens();
  for (int64_t i = 0; i < prompt.size(0); ++i) {
    OrderedJson words = OrderedJson::array();
    for (int64_t k = 0; k < ids.size(1); ++k)
      words.push_back(
          {{"word", word_of(model.tokenizer(), ids[i][k].item<int64_t>())}, {"cosine", cosines[i][k].item<double>()}});
    list.push_back({{"vector", str(i < own ? "" : "decoder ", i % own)}, {"norm", norms[i].item<double>()}, {"nearest", words}});
  }
  return list;
}

// Norms of what each row adds to an embedding, some rows at a time.
std::vector<double> row_norms(const at::Tensor& a, const at::Tensor& b, double scale) {
  constexpr int64_t part = 1024;
  std::vector<double> norms;
  for (int64_t first = 0; first < a.size(0); first += part) {
    const int64_t count = std::min(part, a.size(0) - first);
    const at::Tensor some = a.narrow(0, first, count).matmul(b).mul(scale).norm(2, 1);
    for (int64_t i = 0; i < count; ++i) norms.push_back(some[i].item<double>());
  }
  return norms;
}

}  // namespace

OrderedJson training_findings(const AdaptedModel& model, int64_t parameters, int64_t visual_parameters) {
  OrderedJson json = {{"parameters", parameters}};
  if (visual_parameters > 0) json["visual_parameters"] = visual_parameters;
  json["peak_memory_bytes"] = peak_memory();
  const InputAdapter& adapter = *model.weights().input;
  if (adapter.prompt_tokens() > 0) json["prompt"] = prompt_words(model, adapter.whole_prompt()[0]);
  if (adapter.max_text() > 0) {  // DePT's A and B
    const std::vector<Parameter>& parameters = adapter.parameters();
    const double scale = delta_scale(adapter.shape().alpha, adapter.shape().rank);
    json["delta_norms"] = row_norms(parameters[1].value[0], parameters[2].value[0], scale);
  }
  return json;
}

}  // namespace dept
