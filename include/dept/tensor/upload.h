// Lists that are made on the host and read on a device. To a GPU they go through pinned memory and nothing waits for them. In a
// step that is recorded (dept/tensor/tables.h) every list must say how it is made of another batch: `again`, a TableRecipe.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "dept/tensor/tables.h"

namespace dept {

/// A tensor of the CPU on `device`; itself where that is the CPU. Throws bug in a step that is recorded.
at::Tensor upload(const at::Tensor& x, c10::Device device);
/// A list as int64 [values.size()] on `device`. Throws bug in a step that is recorded.
at::Tensor upload(const std::vector<int64_t>& values, c10::Device device);

/// The same of a list that is made of the step's batch.
template <class Again>
at::Tensor upload(const at::Tensor& x, c10::Device device, Again&& again) {
  Tables* const tables = Tables::current();
  return tables == nullptr ? upload(x, device) : tables->take(x.contiguous(), device, std::forward<Again>(again));
}

/// Of a list that is the same for all batches of one shape.
at::Tensor upload_fixed(const at::Tensor& x, c10::Device device);
/// tokens.position + first, int64 [N].
at::Tensor upload_positions(const Ragged& tokens, c10::Device device, int64_t first = 0);

/// `x`, whoever records.
at::Tensor transfer(const at::Tensor& x, c10::Device device);
/// uint8 [bytes] on the CPU, from where `device` copies without a wait.
at::Tensor room_for(int64_t bytes, c10::Device device);

/// Several lists that go over in one copy.
class Upload {
 public:
  /// `to` becomes int64 [values.size()] when the lists are sent.
  void add(const std::vector<int64_t>& values, at::Tensor& to);
  /// Throws bug in a step that is recorded.
  void send(c10::Device device);
  /// again(const StepBatch&, Upload&) adds the same lists of another batch.
  template <class Again>
  void send(c10::Device device, Again again) {
    if (Tables::current() == nullptr) return send(device);
    share(upload(joined(), device, [again](const StepBatch& now) {
      Upload more;
      again(now, more);
      return more.joined();
    }));
  }

 private:
  at::Tensor joined() const;
  void share(const at::Tensor& all);

  std::vector<int64_t> values_;
  std::vector<std::pair<at::Tensor*, int64_t>> lists_;  // and how long each is
};

}  // namespace dept
