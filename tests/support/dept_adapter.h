// DePT's three tensors by name, and adapters made of them.
#pragma once

#include <cmath>
#include <memory>

#include "dept/adapter/dept.h"
#include "dept/adapter/weights.h"

namespace dept {

struct DeptWeights {
  at::Tensor P;  ///< [K, M, D]
  at::Tensor A;  ///< [K, S, R]
  at::Tensor B;  ///< [K, R, D]
};

inline std::shared_ptr<const InputAdapter> dept_adapter(const DeptWeights& w, double alpha = 8, int64_t submodules = 1) {
  AdapterShape shape;
  shape.submodules = submodules;
  shape.prompt_tokens = w.P.size(1) / submodules;
  shape.width = w.P.size(2);
  shape.max_length = w.A.size(1);
  shape.rank = w.A.size(2);
  shape.alpha = alpha;
  return make_adapter(dept_method(), shape, {w.P, w.A, w.B});
}

inline AdapterWeights dept_alone(const DeptWeights& w, double alpha = 8) {
  return {dept_adapter(w, alpha), {}, {}};
}

inline DeptWeights dept_weights(const AdapterWeights& w) {
  const std::vector<Parameter>& parameters = w.input->parameters();
  return {parameters.at(0).value, parameters.at(1).value, parameters.at(2).value};
}

inline DeptWeights dept_weights(const Gradients& g) {
  return {g.at(0), g.at(1), g.at(2)};
}

}  // namespace dept
