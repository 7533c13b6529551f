#include "support/sim_device.h"

#include <ATen/EmptyTensor.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty_strided.h>
#include <ATen/ops/view_native.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <sys/mman.h>
#include <torch/library.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace dept::sim {
namespace {

constexpr auto type = c10::DeviceType::PrivateUse1;

// What is recorded now; null: nothing is.
using Work = std::vector<std::function<void()>>;
Work* recorded = nullptr;

void refuse_while_recording(bool refused, const char* what) {
  TORCH_CHECK(recorded == nullptr || !refused, what, " is recorded");
}

c10::Device only_device() {
  return {type, 0};
}

// One range, so that opening it is one call. Freed blocks are taken again by tensors of the same number of pages.
class Memory : public c10::Allocator {
 public:
  Memory() : base_(static_cast<char*>(::mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    TORCH_CHECK(base_ != MAP_FAILED, "no addresses for the simulated device");
  }
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes == 0) return {nullptr, nullptr, &release, only_device()};
    const std::lock_guard lock(mutex_);
    char* data = place((bytes + page - 1) / page * page);
    return {data, data, &release, only_device()};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    const Open open;
    default_copy_data(to, from, bytes);
  }
  void open() {
    const std::lock_guard lock(mutex_);
    if (open_++ == 0) protect(base_, used_);
  }
  void close() {
    const std::lock_guard lock(mutex_);
    if (--open_ == 0) protect(base_, used_);
  }

  // Forgets what is free, as far as it is at the end: the less there is, the faster it opens.
  void shrink() {
    const std::lock_guard lock(mutex_);
    std::map<char*, size_t> places;
    for (const auto& [size, data] : spare_) places[data] = size;
    const size_t before = used_;
    for (auto last = places.rbegin(); last != places.rend() && last->first + last->second == base_ + used_; ++last)
      used_ -= last->second;
    std::erase_if(spare_, [&](const auto& block) { return block.second >= base_ + used_; });
    if (used_ == before) return;
    TORCH_CHECK(::madvise(base_ + used_, before - used_, MADV_DONTNEED) == 0, "madvise");
    TORCH_CHECK(::mprotect(base_ + used_, before - used_, PROT_NONE) == 0, "mprotect");
  }

 private:
  static constexpr size_t page = 4096, room = size_t{1} << 34;  // addresses; pages that are touched alone cost memory

  static void release(void* data);

  char* place(size_t size) {
    char* data = base_ + used_;
    if (const auto fit = spare_.find(size); fit != spare_.end()) {
      data = fit->second;
      spare_.erase(fit);
    } else {
      TORCH_CHECK(used_ + size <= room, "the simulated device is full");
      used_ += size;
      if (open_ > 0) protect(data, size);  // a block made while an operator runs is open at once
    }
    taken_[data] = size;
    return data;
  }
  void protect(char* data, size_t size) const {
    const int how = open_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE;
    TORCH_CHECK(size == 0 || ::mprotect(data, size, how) == 0, "mprotect");
  }

  std::mutex mutex_;
  char* base_;
  size_t used_ = 0;
  int open_ = 0;
  std::map<char*, size_t> taken_;
  std::multimap<size_t, char*> spare_;
};

Memory& memory() {
  static auto* const one = new Memory;  // outlives every tensor
  return *one;
}

void Memory::release(void* data) {
  if (data == nullptr) return;
  Memory& m = memory();
  const std::lock_guard lock(m.mutex_);
  const auto block = m.taken_.find(static_cast<char*>(data));
  m.spare_.emplace(block->second, block->first);
  m.taken_.erase(block);
}

// A tensor of the device as one of the CPU on the same memory, for use while Open. Its storage can be resized, as `out` arguments
// are; then it is on memory of the CPU (see give_back).
at::Tensor as_cpu(const at::Tensor& x) {
  void* data = x.mutable_data_ptr();
  const size_t skipped = static_cast<size_t>(x.storage_offset()) * x.element_size();
  c10::Storage storage(c10::Storage::use_byte_size_t(), x.storage().nbytes() - skipped, c10::DataPtr(data, c10::kCPU),
                       c10::GetAllocator(c10::kCPU), true);
  at::Tensor alias =
      at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), x.dtype());
  alias.unsafeGetTensorImpl()->set_sizes_and_strides(x.sizes(), x.strides());
  return alias;
}

// The operators of the device's own.

at::Tensor empty(c10::IntArrayRef size, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>,
                 std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   dtype.value_or(c10::kFloat), format);
}
at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<c10::ScalarType> dtype,
                         std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory(), c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           dtype.value_or(c10::kFloat));
}

// Every copy that has the device on a side ends here.
at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  counts().to_host += !to.is_privateuseone();
  counts().to_device += !from.is_privateuseone();
  refuse_while_recording(!to.is_privateuseone(), "a copy to the CPU");
  refuse_while_recording(!from.is_privateuseone(), "a copy from the CPU");
  const auto copy = [=] {
    const Open open;
    at::Tensor target = to.is_privateuseone() ? as_cpu(to) : to;
    target.copy_(from.is_privateuseone() ? as_cpu(from) : from, non_blocking);
  };
  copy();
  if (recorded != nullptr) recorded->emplace_back(copy);
  return to;
}
at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (to.sizes() != from.sizes()) const_cast<at::Tensor&>(to).resize_(from.sizes());
  return copy_from(from, to, false);
}
c10::Scalar local_scalar(const at::Tensor& x) {
  ++counts().to_host;
  refuse_while_recording(true, "a number that the CPU reads");
  const Open open;
  return as_cpu(x).item();
}
at::Tensor view(const at::Tensor& x, c10::IntArrayRef size) {
  return at::native::view(x, size);
}
at::Tensor reshape_alias(const at::Tensor& x, c10::IntArrayRef size, c10::IntArrayRef stride) {
  return at::native::_reshape_alias(x, size, stride);
}
at::Tensor as_strided(const at::Tensor& x, c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<int64_t> offset) {
  return at::native::as_strided_tensorimpl(x, size, stride, offset);
}
const at::Tensor& resize(const at::Tensor& x, c10::IntArrayRef size, std::optional<c10::MemoryFormat>) {
  const auto bytes = static_cast<size_t>(c10::multiply_integers(size)) * x.element_size();
  const c10::Storage& storage = x.storage();
  if (storage.nbytes() < bytes) {
    storage.set_data_ptr_noswap(memory().allocate(bytes));
    storage.set_nbytes(bytes);
  }
  x.unsafeGetTensorImpl()->set_sizes_contiguous(size);
  return x;
}

// All other operators: the CPU's on the same memory.
class Fallback {
 public:
  explicit Fallback(const c10::OperatorHandle& op) : op_(op) { ++counts().operators; }

  void run(torch::jit::Stack& stack) {
    const std::span<c10::IValue> arguments = last(stack, op_.schema().arguments().size());
    const torch::jit::Stack given(arguments.begin(), arguments.end());
    compute(stack);
    if (recorded == nullptr) return;
    const std::span<c10::IValue> returns = last(stack, op_.schema().returns().size());
    recorded->emplace_back([op = op_, given, made = torch::jit::Stack(returns.begin(), returns.end())] {
      torch::jit::Stack again = given;
      Fallback(op).compute(again);
      for (size_t i = 0; i < made.size(); ++i) put(made[i], again[i]);
    });
  }

 private:
  static std::span<c10::IValue> last(torch::jit::Stack& stack, size_t count) {
    return {stack.data() + stack.size() - count, count};
  }

  void compute(torch::jit::Stack& stack) {
    const Open open;
    for (c10::IValue& value : last(stack, op_.schema().arguments().size())) lend_value(value);
    op_.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &stack);
    for (c10::IValue& value : last(stack, op_.schema().returns().size())) give_back_value(value);
  }

  // What was made anew goes where it was made when it was recorded.
  static void put(const at::Tensor& there, const at::Tensor& x) {
    if (!x.defined() || there.unsafeGetTensorImpl() == x.unsafeGetTensorImpl()) return;
    const Open open;
    as_cpu(there).copy_(as_cpu(x));
  }
  static void put(const c10::IValue& there, const c10::IValue& value) {
    if (value.isTensor()) put(there.toTensor(), value.toTensor());
    if (!value.isTensorList()) return;
    for (size_t i = 0; i < value.toTensorVector().size(); ++i) put(there.toTensorVector()[i], value.toTensorVector()[i]);
  }

  at::Tensor lend(const at::Tensor& x) {
    if (!x.defined() || !x.is_privateuseone()) {
      // A GPU takes scalars of the CPU, and such indices in index_put_ alone.
      TORCH_CHECK(!x.defined() || x.dim() == 0 || op_.schema().name() == "aten::index_put_", op_.schema().name(),
                  ": a tensor on ", x.device(), " beside ", only_device());
      refuse_while_recording(op_.schema().name() == "aten::where", "a number for `where`, which is copied,");
      return x;
    }
    lent_.emplace_back(as_cpu(x), x);
    return lent_.back().first;
  }
  void lend_value(c10::IValue& value) {
    if (value.isTensor()) {
      value = lend(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> list;
      for (const at::Tensor& x : value.toTensorVector()) list.push_back(lend(x));
      value = c10::List<at::Tensor>(list);
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& x : value.toOptionalTensorVector())
        list.push_back(x.has_value() ? std::optional<at::Tensor>(lend(*x)) : x);
      value = list;
    } else if (value.isDevice()) {
      value = c10::Device(c10::kCPU);
    }
  }

  // What an operator returns of its arguments stays that very tensor; what it makes anew moves to the device.
  at::Tensor give_back(const at::Tensor& x) const {
    if (!x.defined()) return x;
    for (const auto& [alias, original] : lent_) {
      if (alias.unsafeGetTensorImpl() != x.unsafeGetTensorImpl()) continue;
      if (x.const_data_ptr() != original.const_data_ptr()) {  // an `out` that was resized
        resize(original, x.sizes(), std::nullopt);
        as_cpu(original).copy_(x);
      }
      return original;
    }
    at::Tensor moved = at::empty_strided(x.sizes(), x.strides(), x.options().device(only_device()));
    as_cpu(moved).copy_(x);
    return moved;
  }
  void give_back_value(c10::IValue& value) const {
    if (value.isTensor()) {
      value = give_back(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> list;
      for (const at::Tensor& x : value.toTensorVector()) list.push_back(give_back(x));
      value = c10::List<at::Tensor>(list);
    }
  }

  const c10::OperatorHandle op_;
  std::vector<std::pair<at::Tensor, at::Tensor>> lent_;  // alias on the CPU, tensor of the device
};

void on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Fallback(op).run(*stack);
}

// The memory of what was recorded stays as long as this does.
class Recording : public Recorder {
 public:
  ~Recording() override {
    work_.clear();
    memory().shrink();
  }
  void record(const std::function<void()>& work) override {
    const Open open;  // all along: the more memory there is, the longer it takes
    recorded = &work_;
    try {
      work();
    } catch (...) {
      recorded = nullptr;
      throw;
    }
    recorded = nullptr;
  }
  void replay() override {
    const Open open;
    for (const std::function<void()>& step : work_) step();
  }

 private:
  Work work_;
};

struct Guard : c10::impl::NoOpDeviceGuardImpl<type> {
  c10::Device exchangeDevice(c10::Device) const override { return only_device(); }
  c10::Device getDevice() const override { return only_device(); }
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, only_device()); }
  c10::Stream getNewStream(c10::Device, int) const override { return c10::Stream(c10::Stream::DEFAULT, only_device()); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, only_device()); }
};

struct Hooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::kCPU); }
};

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("as_strided", &as_strided);
  library.impl("view", &view);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("resize_", &resize);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("_local_scalar_dense", &local_scalar);
}
TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_cpu>());
}
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

}  // namespace

c10::Device device() {
  static const bool registered = [] {
    c10::register_privateuse1_backend("sim");
    c10::SetAllocator(type, &memory());
    at::RegisterPrivateUse1HooksInterface(new Hooks);
    return true;
  }();
  TORCH_CHECK(registered);
  return only_device();
}

Counts& counts() {
  static Counts all;
  return all;
}

MakeRecorder recorders() {
  return [] { return std::make_unique<Recording>(); };
}

Open::Open() {
  memory().open();
}
Open::~Open() {
  memory().close();
}

}  // namespace dept::sim
