// Keys and values of past tokens, for generation: in slots that grow as they fill or, where sequences come and go, in slots that
// get their room beforehand and never move.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "dept/kernels/attention.h"
#include "dept/tensor/ragged.h"

namespace dept::nn {

/// Stretches of rows, in whole pages, out of a fixed number of rows: the smallest free stretch that fits, free neighbours joined.
class RowPool {
 public:
  static constexpr int64_t page = 16;  ///< rows

  explicit RowPool(int64_t rows = 0);
  /// The first row of a stretch of at least `rows`, absent where none is free.
  std::optional<int64_t> take(int64_t rows);
  /// `rows` as they were asked for.
  void give_back(int64_t begin, int64_t rows);

 private:
  std::map<int64_t, int64_t> free_;  // first row -> rows
};

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
  /// A pool: `rows` rows for all slots, of which a slot has those that it reserves; nothing ever moves. Memory is used as rows
  /// are written.
  static SlotCache pool(int64_t slots, int64_t layers, int64_t kv_heads, int64_t head_dim, const at::TensorOptions& options,
                        int64_t rows);

  /// Of a pool: gives a slot without room that for `tokens` tokens. False where the pool has none.
  bool reserve(int64_t slot, int64_t tokens);
  /// Of a pool: takes a slot's room, tokens and prefix.
  void release(int64_t slot);

  /// Makes room for the tokens of `fresh` behind slots[b] and takes over prefixes. Returns the cache row of each token, int64
  /// [N] on the device. Throws bug when a prefix is set on a slot that holds tokens, or for more than a pool's slot reserved.
  at::Tensor append(const Ragged& fresh, const std::vector<int64_t>& slots);
  /// Keys and values [N, Hkv, K], whose heads may be part of wider rows, to rows that append gave. Throws bug for another layer
  /// or number of rows.
  void store(size_t layer, const at::Tensor& rows, const at::Tensor& k, const at::Tensor& v);
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
  std::optional<RowPool> pool_;
};

}  // namespace dept::nn
