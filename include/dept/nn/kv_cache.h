// Keys and values of past tokens in slots that grow as they fill, for generation.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "dept/kernels/attention.h"
#include "dept/tensor/ragged.h"

namespace dept::nn {

struct SlotCache {
  struct Layer {
    at::Tensor k, v;  ///< [rows, Hkv, K]
  };
  std::vector<int64_t> length;  ///< [slots] tokens held
  std::vector<int64_t> prefix;  ///< [slots] slot in front, -1 none
  std::vector<Layer> layers;

  SlotCache() = default;
  /// options: type and device of keys and values. expected: tokens that a slot is to get behind its first ones, for which room is
  /// kept; more may come.
  SlotCache(int64_t slots, int64_t layers, int64_t kv_heads, int64_t head_dim, const at::TensorOptions& options,
            int64_t expected);

  /// Makes room for the tokens of `fresh` behind slots[b] and takes over prefixes. Returns the cache row of each token, int64
  /// [N] on the device. Throws bug when a prefix is set on a slot that holds tokens.
  at::Tensor append(const Ragged& fresh, const std::vector<int64_t>& slots);
  /// Spans of the fresh tokens over all that their slots now hold.
  std::vector<kernels::AttentionSpan> spans(const Ragged& fresh, const std::vector<int64_t>& slots) const;

  void rewind(int64_t slot, int64_t kept);
  void copy(const std::vector<int64_t>& from, const std::vector<int64_t>& to);
  int64_t longest() const;  ///< keys of the fullest slot, its prefix counted

 private:
  int64_t spare_rows(int64_t held) const;
  void lay_out(const std::vector<int64_t>& rooms);

  at::Tensor index(const std::vector<int64_t>& rows) const;

  int64_t expected_ = 0;
  at::Device device_ = at::kCPU;
  std::vector<int64_t> begin_, room_;  // [slots] first row and number of rows
};

}  // namespace dept::nn
