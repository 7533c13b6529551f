// The numbers of dropout streams (dept/tensor/dropout_key.h) by whole-number operators of ATen: the same bits on any device.
#pragma once

#include "dept/kernels/dropout.h"
#include "dept/tensor/upload.h"

namespace dept::kernels::plain {

/// The keys of S streams, int64 [S] each, or views of them.
struct Streams {
  at::Tensor seed_low, seed_high, example, micro_step, layer_site;

  /// Filled in when `upload`, which keeps where these tensors are, is sent.
  void from(const std::vector<DropoutStream>& streams, Upload& upload);

  template <class F>
  Streams each(F&& f) const {
    Streams made;
    made.seed_low = f(seed_low);
    made.seed_high = f(seed_high);
    made.example = f(example);
    made.micro_step = f(micro_step);
    made.layer_site = f(layer_site);
    return made;
  }
};

/// first int64 [...] -> int64 [..., count]: numbers first .. first + count - 1 of streams [..., 1] (or what broadcasts to that).
at::Tensor numbers(const at::Tensor& first, int64_t count, const Streams& streams);

/// What a dropout does to a tensor, both in the arithmetic type.
struct Mask {
  at::Tensor kept;  ///< bool, shaped like what it is applied to; undefined: all
  double scale = 1;

  /// Rows [N, columns] of a batch.
  Mask(const Dropout& dropout, int64_t columns, at::Device device);
  Mask(at::Tensor kept, double scale) : kept(std::move(kept)), scale(scale) {}

  /// x * scale where kept, else 0
  at::Tensor operator()(const at::Tensor& x) const;
};

}  // namespace dept::kernels::plain
