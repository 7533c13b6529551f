// The one place that chooses among an operator's siblings, by the tensors' device.
#pragma once

#include <algorithm>
#include <cstddef>

#include "kernels/check.h"
#include "kernels/operators.h"

namespace dept::kernels {

template <size_t size>
struct OperatorName {
  char text[size];
  constexpr OperatorName(const char (&name)[size]) { std::copy_n(name, size, text); }  // NOLINT: a literal becomes a name
};

/// Stands for an operator of a backend that was not built.
template <class Operator>
struct Unbuilt;
template <class Result, class... Parameters>
struct Unbuilt<Result(Parameters...)> {
  template <OperatorName name>
  static Result call(Parameters...) {
    fail(Code::usage, name.text, "a build with CUDA kernels (scripts/build.sh cuda)", "one without");
  }
};

/// The CUDA kernel of an operator, in a build without them one that says so.
#ifdef DEPT_CUDA_KERNELS
#define DEPT_CUDA_KERNEL(name) cuda::name
#else
#define DEPT_CUDA_KERNEL(name) Unbuilt<decltype(cuda::name)>::call<#name>
#endif

/// The sibling for tensors on `device`: its own kernel, and where it has none, or `kernels` says so, the plain one. Throws bug
/// for tensors without memory.
template <class Operator>
Operator* choose(at::Device device, Kernels kernels, Operator* on_cpu, std::type_identity_t<Operator>* plain,
                 std::type_identity_t<Operator>* on_cuda = nullptr) {
  if (device.is_meta()) fail(Code::bug, "kernels", "tensors with memory", dept::str(device));
  if (kernels == Kernels::plain) return plain;
  if (device.is_cpu()) return on_cpu;
  return device.is_cuda() && on_cuda != nullptr ? on_cuda : plain;
}

}  // namespace dept::kernels
