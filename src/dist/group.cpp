#include "dept/dist/group.h"

#include <cstdlib>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dept/base/error.h"
#include "dept/base/text.h"

namespace dept {
namespace {

// Runs one operation with the other ranks; whatever goes wrong is a rank that is gone or late.
template <class Operation>
auto with_ranks(const RankInfo& info, std::string_view name, std::chrono::milliseconds timeout, Operation operation) {
  try {
    return operation();
  } catch (const std::exception& error) {
    const std::string_view what = error.what();
    fail(Code::io, dept::str("rank ", info.rank, " of ", info.size, ": ", name),
         dept::str("every rank to take part within ", static_cast<double>(timeout.count()) / 1000, " s"),
         quote(what.substr(0, what.find('\n')), 200));
  }
}

c10::intrusive_ptr<c10d::Store> meet(const RankInfo& info, std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = info.master_port;
  options.isServer = info.rank == 0 && !info.launcher_has_store;
  options.numWorkers = static_cast<size_t>(info.size);
  options.waitWorkers = !info.launcher_has_store;
  options.timeout = timeout;
  auto store = c10::make_intrusive<c10d::TCPStore>(info.master_address, options);
  return c10::make_intrusive<c10d::PrefixStore>(dept::str("dept/", info.attempt), std::move(store));
}

std::shared_ptr<gloo::transport::Device> network(const RankInfo& info) {
  if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME"); interface != nullptr && *interface != '\0')
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  if (info.master_address == "localhost" || info.master_address.rfind("127.", 0) == 0)
    return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

class GlooGroup : public Collective {
 public:
  GlooGroup(const RankInfo& info, std::chrono::milliseconds timeout) : info_(info), timeout_(timeout) {
    with_ranks(info_, "start", timeout_, [&] {
      auto options = c10d::ProcessGroupGloo::Options::create(timeout_);
      options->devices.push_back(network(info_));
      group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(meet(info_, timeout_), static_cast<int>(info_.rank),
                                                           static_cast<int>(info_.size), options);
    });
  }

  int64_t rank() const override { return info_.rank; }
  int64_t size() const override { return info_.size; }

  void all_reduce_sum(at::Tensor& tensor) override {
    check(tensor);
    if (tensor.scalar_type() != at::kFloat && tensor.scalar_type() != at::kDouble)
      fail(Code::bug, "all_reduce_sum", "an fp32 or fp64 tensor", c10::toString(tensor.scalar_type()));
    run(
        "all-reduce", [&](std::vector<at::Tensor>& tensors) { return group_->allreduce(tensors); }, tensor);
  }

  void broadcast(at::Tensor& tensor, int64_t root) override {
    check(tensor);
    c10d::BroadcastOptions options;
    options.rootRank = root;
    run(
        "broadcast", [&](std::vector<at::Tensor>& tensors) { return group_->broadcast(tensors, options); }, tensor);
  }

  void barrier() override {
    with_ranks(info_, "barrier", timeout_, [&] { group_->barrier()->wait(); });
  }

 private:
  static void check(const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_cpu() || !tensor.is_contiguous())
      fail(Code::bug, "Collective", "a contiguous CPU tensor", "another");
  }

  template <class Start>
  void run(std::string_view name, Start start, const at::Tensor& tensor) {
    std::vector<at::Tensor> tensors{tensor};  // shares its memory
    with_ranks(info_, name, timeout_, [&] { start(tensors)->wait(); });
  }

  RankInfo info_;
  std::chrono::milliseconds timeout_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

std::unique_ptr<Collective> join_group(const RankInfo& info, std::chrono::milliseconds timeout) {
  if (info.size == 1) return nullptr;
  return std::make_unique<GlooGroup>(info, timeout);
}

}  // namespace dept
