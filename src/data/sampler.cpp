#include "dept/data/sampler.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randperm.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

std::vector<int64_t> permutation(int64_t n, at::Generator& generator) {
  const at::Tensor drawn = at::randperm(n, generator, at::TensorOptions(at::kLong));
  const int64_t* data = drawn.const_data_ptr<int64_t>();
  return {data, data + n};
}

}  // namespace

EpochSampler::EpochSampler(int64_t examples, uint64_t generator_seed)
    : examples_(examples), generator_(at::detail::createCPUGenerator(generator_seed)) {
  if (examples < 1) fail(Code::bad_input, "training data", "at least one example", str(examples));
  draw();
}

uint64_t EpochSampler::generator_seed(uint64_t seed) {
  at::Tensor drawn = at::empty({}, at::kLong);
  drawn.random_(at::detail::createCPUGenerator(seed));
  return static_cast<uint64_t>(drawn.item<int64_t>());
}

void EpochSampler::draw() {
  state_before_ = [&] {
    const at::Tensor bytes = generator_.get_state();
    return std::string(static_cast<const char*>(bytes.const_data_ptr()), static_cast<size_t>(bytes.numel()));
  }();
  order_ = permutation(examples_, generator_);
}

void EpochSampler::next_epoch() {
  // HF's sampler ends each epoch with randperm(n)[:0]
  permutation(examples_, generator_);
  ++epoch_;
  draw();
}

std::string EpochSampler::state() const {
  return state_before_;
}

void EpochSampler::restore(const std::string& state, int64_t epoch) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(state.size())}, at::kByte);
  std::copy(state.begin(), state.end(), reinterpret_cast<char*>(bytes.mutable_data_ptr<uint8_t>()));
  try {
    generator_.set_state(bytes);
  } catch (const c10::Error& error) {
    fail(Code::bad_input, "generator state", "the state of torch's CPU generator", str(state.size(), " bytes that are none"));
  }
  epoch_ = epoch;
  draw();
}

std::vector<int64_t> seeded_permutation(int64_t n, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return permutation(n, generator);
}

std::vector<std::span<const int64_t>> batches(std::span<const int64_t> order, size_t size) {
  std::vector<std::span<const int64_t>> slices;
  for (size_t begin = 0; begin < order.size(); begin += size)
    slices.push_back(order.subspan(begin, std::min(size, order.size() - begin)));
  return slices;
}

}  // namespace dept
