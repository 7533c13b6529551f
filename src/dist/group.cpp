#include "dept/dist/group.h"

#include <c10/util/Logging.h>

#include <cstdlib>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dept/base/text.h"
#include "dist/meeting.h"
#include "dist/ring.h"

namespace dept {
namespace {

using std::chrono::milliseconds;
using Store = c10::intrusive_ptr<c10d::Store>;

std::string first_line(std::string_view text) {
  return quote(text.substr(0, text.find('\n')), 200);
}

std::string seconds(milliseconds time) {
  return str(static_cast<double>(time.count()) / 1000, " s");
}

// What c10d says of each attempt to connect is not for people who use this program.
void quiet_c10d() {
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
}

Store open_store(const RankInfo& info, milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = info.master_port;
  options.isServer = info.rank == 0 && !info.launcher_has_store;
  options.waitWorkers = false;
  options.timeout = timeout;
  try {
    auto store = c10::make_intrusive<c10d::TCPStore>(info.master_address, options);
    return c10::make_intrusive<c10d::PrefixStore>(meeting_prefix(info.attempt), std::move(store));
  } catch (const std::exception& error) {
    const std::string place = str(info.master_address, ":", info.master_port);
    if (options.isServer)
      fail(Code::io, "MASTER_PORT", str("a port that is free, for the ranks to meet at ", place), first_line(error.what()));
    fail(Code::io, "ranks", str("rank 0 within ", seconds(timeout), " at ", place), first_line(error.what()));
  }
}

std::vector<std::string> missing(const Store& store, int64_t size) {
  std::vector<std::string> ranks;
  for (int64_t rank = 0; rank < size; ++rank)
    if (!store->check({str("here/", rank)})) ranks.push_back(str(rank));
  return ranks;
}

// Waits until every rank is there. The first whose time is over tells the others who is missing.
void meet(const Store& store, const RankInfo& info, milliseconds timeout) {
  constexpr auto pause = milliseconds(50);
  const auto end = std::chrono::steady_clock::now() + timeout;
  store->set(str("here/", info.rank), std::string("here"));
  std::vector<std::string> all;
  for (int64_t rank = 0; rank < info.size; ++rank) all.push_back(str("here/", rank));
  const auto refuse = [&](const std::string& who) {
    fail(Code::io, "ranks", str("all ", info.size, " within ", seconds(timeout)), "none from " + who);
  };
  while (!store->check(all)) {
    if (store->check({missing_key})) refuse(store->get_to_str(missing_key));
    if (std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(pause);
      continue;
    }
    const std::vector<std::string> ranks = missing(store, info.size);
    if (ranks.empty()) return;
    const std::string who = (ranks.size() == 1 ? "rank " : "ranks ") + join(ranks, ", ");
    store->set(missing_key, who);
    if (info.rank == 0) std::this_thread::sleep_for(10 * pause);  // its store goes with it
    refuse(who);
  }
}

std::shared_ptr<gloo::transport::Device> network(const RankInfo& info) {
  if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME"); interface != nullptr && *interface != '\0')
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  const bool one_machine =
      info.local_size == info.size || info.master_address == "localhost" || info.master_address.starts_with("127.");
  return one_machine ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                     : c10d::ProcessGroupGloo::createDefaultDevice();
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> connect(const RankInfo& info, milliseconds timeout) {
  quiet_c10d();
  const Store store = open_store(info, timeout);
  try {
    meet(store, info, timeout);
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(network(info));
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, static_cast<int>(info.rank), static_cast<int>(info.size), options);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(Code::io, "ranks", str("all ", info.size, " to connect within ", seconds(timeout)), first_line(error.what()));
  }
}

class GlooGroup : public RankGroup {
 public:
  GlooGroup(const RankInfo& info, milliseconds timeout, RankHooks hooks)
      : info_(info), group_(connect(info, timeout)), ring_(*group_, info, timeout, std::move(hooks)) {}

  int64_t rank() const override { return info_.rank; }
  int64_t size() const override { return info_.size; }
  int64_t local_rank() const override { return info_.local_rank; }

  void all_reduce_sum(at::Tensor& tensor) override {
    check(tensor);
    if (tensor.scalar_type() != at::kFloat && tensor.scalar_type() != at::kDouble)
      dept::fail(Code::bug, "all_reduce_sum", "an fp32 or fp64 tensor", c10::toString(tensor.scalar_type()));
    std::vector<at::Tensor> tensors{tensor};  // shares its memory
    c10d::AllreduceOptions options;
    options.timeout = for_ever;
    operate("all-reduce", [&] { group_->allreduce(tensors, options)->wait(); });
  }

  void broadcast(at::Tensor& tensor, int64_t root) override {
    check(tensor);
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.timeout = for_ever;
    std::vector<at::Tensor> tensors{tensor};
    operate("broadcast", [&] { group_->broadcast(tensors, options)->wait(); });
  }

  void barrier() override {
    c10d::BarrierOptions options;
    options.timeout = for_ever;
    operate("barrier", [&] { group_->barrier(options)->wait(); });
  }

  void at_step(int64_t step) override { ring_.at_step(step); }
  void fail(const Error& error) override { ring_.fail(error); }

  void leave() override {
    barrier();
    ring_.leave();
  }

 private:
  static void check(const at::Tensor& tensor) {
    if (!tensor.defined() || !tensor.is_cpu() || !tensor.is_contiguous())
      dept::fail(Code::bug, "Collective", "a contiguous CPU tensor", "another");
  }

  // Runs one operation with the other ranks; whatever goes wrong is a rank that is gone.
  template <class Work>
  void operate(std::string_view name, Work work) {
    const Ring::Operation operation(ring_);
    ring_.require_all();
    try {
      work();
    } catch (const std::exception& error) {
      throw ring_.why(
          str("[ranks] expected all ", info_.size, " to take part (", name, "), received ", first_line(error.what())));
    }
  }

  const RankInfo info_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  Ring ring_;
};

}  // namespace

std::unique_ptr<RankGroup> join_group(const RankInfo& info, milliseconds timeout, RankHooks hooks) {
  if (info.size == 1) return nullptr;
  return std::make_unique<GlooGroup>(info, timeout, std::move(hooks));
}

}  // namespace dept
