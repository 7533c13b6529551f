// Norms of a residual stream as products take them along (RowsDone): some rows at a time, while they are near. On CPUs with
// packed products, streams in fp32, branches in bf16, widths that are multiples of 16. Elsewhere a norm is a pass of its own
// (rms_norm.h, layer_norm.h).
#pragma once

#include <ATen/core/Tensor.h>

#include "dept/kernels/dropout.h"
#include "dept/kernels/norm_saved.h"
#include "dept/kernels/rows_done.h"

namespace dept::kernels {

/// Whether this CPU takes rows of norms beside branches of a type.
bool takes_norm_rows(at::ScalarType branch);

/// The same with n as numbers of a type, for a norm's own backward.
NormSaved opened(const NormSaved& saved, at::ScalarType dtype);

/// Of a LayerNorm, or without a bias of an RMSNorm.
struct NormWeights {
  at::Tensor weight, bias;  ///< [D] fp32
  double eps;
};

/// What becomes of the stream where a norm reads it.
enum class NormPlace {
  before,  ///< it goes on past the norm and the branch behind it (GPT-2, T5)
  behind,  ///< the norm's output goes on in its place (BERT)
};

/// y = norm(x), rows of a stream x fp32 [N, D] at a time.
class NormForward {
 public:
  /// keep: what backward needs is written, too, n in codes.
  NormForward(NormWeights norm, NormPlace place, int64_t rows, bool keep);
  /// Reads x's rows and, of a norm behind, writes y there.
  void operator()(const at::Tensor& x, int64_t first, int64_t count) const;

  at::Tensor y;  ///< bf16 [N, D]
  NormSaved saved;

 private:
  NormWeights norm_;
  NormPlace place_;
};

/// Backward of such a norm, then of the dropout at the end of the branch before it.
class NormBackward {
 public:
  /// dropout: of that branch, or null where there is none; n is bf16 or in codes. Throws bug for a dropout of other rows.
  NormBackward(const NormWeights& norm, const NormSaved& saved, const Dropout* dropout);
  /// Of a norm behind: d fp32 [N, D], the gradient of y, becomes that of x.
  void behind(const at::Tensor& d, int64_t first, int64_t count) const;
  /// Of a norm before: the gradient of x, from that of y, dy bf16 [N, D], is added to d.
  void before(const at::Tensor& dy, const at::Tensor& d, int64_t first, int64_t count) const;

  at::Tensor branch;  ///< bf16 [N, D]: d through the dropout

 private:
  template <class D>
  void rows(const at::Tensor& dy, const at::Tensor& d, bool add, int64_t first, int64_t count) const;

  NormWeights norm_;
  NormSaved saved_;
  const Dropout* dropout_;
};

}  // namespace dept::kernels
