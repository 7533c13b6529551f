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

EpochSampler::EpochSampler(int64_t examples, uint64_t generator_seed, int64_t draws)
    : examples_(examples), draws_(draws), generator_(at::detail::createCPUGenerator(generator_seed)) {
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
  // torch's RandomSampler ends each epoch with randperm(n)[:0]
  for (int64_t drawn = 1; drawn < draws_; ++drawn) permutation(examples_, generator_);
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

std::vector<int64_t> group_by_length(const std::vector<int64_t>& order, std::span<const int64_t> lengths, int64_t batch) {
  const auto count = static_cast<int64_t>(order.size());
  const int64_t stretch = batch * std::clamp<int64_t>(count / (batch * 4), 1, 50);
  const auto length_of = [&](int64_t example) { return lengths[static_cast<size_t>(example)]; };
  const auto longer = [&](int64_t a, int64_t b) { return length_of(a) > length_of(b); };
  std::vector<int64_t> grouped = order;
  auto longest = grouped.begin();
  for (int64_t begin = 0; begin < count; begin += stretch) {
    const auto first = grouped.begin() + begin;
    std::stable_sort(first, grouped.begin() + std::min(begin + stretch, count), longer);
    if (longer(*first, *longest)) longest = first;
  }
  std::swap(grouped.front(), *longest);  // what memory the longest needs is known at once
  return grouped;
}

std::vector<std::span<const int64_t>> batches(std::span<const int64_t> order, size_t size) {
  std::vector<std::span<const int64_t>> slices;
  for (size_t begin = 0; begin < order.size(); begin += size)
    slices.push_back(order.subspan(begin, std::min(size, order.size() - begin)));
  return slices;
}

}  // namespace dept
