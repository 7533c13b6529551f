#include "dept/tensor/tables.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/tensor/upload.h"

namespace dept {
namespace {

constexpr std::string_view where = "recorded step";
constexpr int64_t list_alignment = 64;  // of a list: enough for every load of a kernel

thread_local Tables* tables_of_thread = nullptr;

// Bytes are structs, whose gaps may hold anything: of these the number is compared.
bool same(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  return a.numel() == 0 || a.scalar_type() == at::kByte || std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()) == 0;
}

}  // namespace

const Ragged& StepBatch::of(BatchPart part) const {
  if (part == BatchPart::none) fail(Code::bug, where, "a list of the step's batches", "one of another batch");
  return part == BatchPart::source ? source : target;
}

Tables* Tables::current() {
  return tables_of_thread;
}

Tables::Use::Use(Tables& tables) : before_(std::exchange(tables_of_thread, &tables)) {
  tables.next_ = 0;
}
Tables::Use::~Use() {
  tables_of_thread = before_;
}

at::Tensor Tables::take(const at::Tensor& now, c10::Device device, TableRecipe again) {
  const auto bytes = static_cast<int64_t>(now.nbytes());
  if (!block_.defined()) {
    if (!again) fail(Code::bug, where, "lists that can be made of another batch", "one that cannot");
    if (!same(again(sample_).contiguous(), now)) fail(Code::bug, where, "a list that its recipe makes", "another");
    lists_.push_back({std::move(again), bytes_, bytes});
    bytes_ += (bytes + list_alignment - 1) / list_alignment * list_alignment;
    return transfer(now, device);
  }
  if (next_ == lists_.size() || lists_[next_].bytes != bytes) fail(Code::bug, where, "the lists of the first pass", "others");
  const int64_t first = lists_[next_++].first;
  return block_.narrow(0, first, bytes).view(now.scalar_type()).view(now.sizes());
}

void Tables::place(c10::Device device) {
  block_ = at::empty({std::max(bytes_, list_alignment)}, at::TensorOptions(at::kByte).device(device));
}

void Tables::refill(const StepBatch& now) {
  const at::Tensor here = room_for(block_.numel(), block_.device());
  auto* const bytes = static_cast<char*>(here.mutable_data_ptr());
  for (const List& list : lists_) {
    const at::Tensor made = list.again(now).contiguous();
    if (static_cast<int64_t>(made.nbytes()) != list.bytes)
      fail(Code::bug, where, str("a list of ", list.bytes, " bytes"), str(made.nbytes()));
    if (list.bytes > 0) std::memcpy(bytes + list.first, made.const_data_ptr(), made.nbytes());
  }
  block_.copy_(here, /*non_blocking=*/true);
}

}  // namespace dept
