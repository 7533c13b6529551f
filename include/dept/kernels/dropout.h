// Dropout whose bits are a function of where an element stands (tensor/dropout_key.h): recomputed in backward, never saved.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "dept/tensor/context.h"
#include "dept/tensor/dropout_key.h"
#include "dept/tensor/ragged.h"

namespace dept::kernels {

/// The dropout of one site of one layer over a ragged batch. p = 0 (and any p outside training) does nothing.
struct Dropout {
  double p = 0;
  std::vector<DropoutStream> streams;  ///< [B], empty when p = 0
  std::vector<int64_t> first_token;    ///< [B] offsets of the batch, then N
  std::vector<int64_t> skipped;        ///< [B] as Ragged has it
  BatchPart part = BatchPart::none;    ///< the batch's

  Dropout() = default;
  Dropout(const Call& call, const Ragged& tokens, double p, int64_t layer, Site site);
  explicit operator bool() const { return p > 0; }

  /// Which token of its sequence, before any was taken out, stands in row n, one of sequence b.
  int64_t token(size_t b, int64_t n) const { return n - first_token[b] + (skipped.empty() ? 0 : skipped[b]); }
};

/// x + dropout(branch): x fp32 or fp64 [N, D], branch [N, D] in any compute type -> new [N, D] of x's dtype.
/// Element (t, c) of an example is number t * D + c of its stream.
at::Tensor add_dropout(const at::Tensor& x, const at::Tensor& branch, const Dropout& dropout, Kernels kernels = Kernels::own);

/// d [N, D] -> the gradient of the branch in `dtype`: d * mask * scale.
at::Tensor add_dropout_backward(const at::Tensor& d, const Dropout& dropout, at::ScalarType dtype,
                                Kernels kernels = Kernels::own);

/// dropout(x) as a new tensor of x's dtype. Its own gradient function.
at::Tensor apply_dropout(const at::Tensor& x, const Dropout& dropout, Kernels kernels = Kernels::own);

/// Numbers first .. first + count - 1 of a stream.
void dropout_numbers(const DropoutStream& stream, uint64_t first, int64_t count, uint16_t* out);

/// The numbers of a [N, columns] tensor in the pieces that a product's tiles take.
class DropoutRows {
 public:
  static constexpr int64_t piece = 128;

  /// columns: a multiple of 8. `dropout` must outlive this.
  DropoutRows(const Dropout& dropout, int64_t columns);
  /// out [2, piece]: numbers of rows `row` and row + 1 from `column`, a multiple of 8, on. Of a last row alone the second half is
  /// anything.
  void two_pieces(int64_t row, int64_t column, uint16_t* out);

 private:
  const Dropout& dropout_;
  int64_t columns_, sequence_ = 0;
};

}  // namespace dept::kernels
