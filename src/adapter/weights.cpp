#include "dept/adapter/weights.h"

#include <vector>

#include "dept/base/error.h"

namespace dept {
namespace {

std::vector<AdapterMember> with_head(std::vector<AdapterMember> head) {
  std::vector<AdapterMember> members{{"prompt_embeddings", &AdapterWeights::P},
                                     {"prompt_encoder.lora_embedding_A", &AdapterWeights::A},
                                     {"prompt_encoder.lora_embedding_B", &AdapterWeights::B}};
  members.insert(members.end(), head.begin(), head.end());
  return members;
}

}  // namespace

std::span<const AdapterMember> adapter_members(HeadForm form) {
  static const std::vector<AdapterMember> none = with_head({});
  static const std::vector<AdapterMember> score = with_head({{"base_model.score.weight", &AdapterWeights::out}});
  static const std::vector<AdapterMember> classifier = with_head(
      {{"base_model.classifier.weight", &AdapterWeights::out}, {"base_model.classifier.bias", &AdapterWeights::out_bias}});
  static const std::vector<AdapterMember> dense = with_head({{"base_model.classifier.dense.weight", &AdapterWeights::dense},
                                                             {"base_model.classifier.dense.bias", &AdapterWeights::dense_bias},
                                                             {"base_model.classifier.out_proj.weight", &AdapterWeights::out},
                                                             {"base_model.classifier.out_proj.bias", &AdapterWeights::out_bias}});
  switch (form) {
    case HeadForm::score:
      return score;
    case HeadForm::classifier:
      return classifier;
    case HeadForm::dense:
      return dense;
    case HeadForm::none:
      break;
  }
  return none;
}

std::string member_name(HeadForm form, at::Tensor AdapterWeights::*tensor) {
  for (const AdapterMember& member : adapter_members(form))
    if (member.tensor == tensor) return member.name;
  fail(Code::bug, "adapter", "a member of this form", "another");
}

}  // namespace dept
