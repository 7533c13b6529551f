// All that an adapter trains: the decomposed prompt and, for classification, a head.
#pragma once

#include <span>
#include <string>
#include <utility>

#include "dept/adapter/dept.h"
#include "dept/adapter/head.h"

namespace dept {

struct AdapterWeights : DeptWeights, HeadWeights {
  AdapterWeights() = default;
  AdapterWeights(DeptWeights prompt, HeadWeights head = {}) : DeptWeights(std::move(prompt)), HeadWeights(std::move(head)) {}

  at::Tensor idle;  ///< [K, M, D] rows behind P in files of the original that nothing uses or moves; else undefined
};

/// What trains and its name in files, there without the leading K.
struct AdapterMember {
  const char* name;
  at::Tensor AdapterWeights::*tensor;
};

/// P, A and B, then the tensors of a head of this form. The one list of what there is.
std::span<const AdapterMember> adapter_members(HeadForm form);
/// The name of one of them.
std::string member_name(HeadForm form, at::Tensor AdapterWeights::*tensor);

}  // namespace dept
