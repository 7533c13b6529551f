#include "dept/models/graphed.h"

#include <ATen/ops/zeros.h>

#include <map>

#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"
#include "dept/tensor/tables.h"
#include "models/bucket.h"

namespace dept {
namespace {

// A batch's rows in memory that stays, with zeros behind them.
void fill_rows(const at::Tensor& room, const at::Tensor& rows) {
  const int64_t count = rows.size(0);
  room.narrow(0, 0, count).copy_(rows);
  room.narrow(0, count, room.size(0) - count).zero_();
}

at::Tensor first_rows(const at::Tensor& x, int64_t count) {
  return x.narrow(0, 0, count).clone();  // the next replay writes x
}

}  // namespace

// One bucket's forward and backward, recorded one after the other.
class GraphedBackbone::StepGraph {
 public:
  StepGraph(const Backbone& model, const Bucket& bucket, const Call& call, const MakeRecorder& make)
      : bucket_(bucket), tables_(sample(bucket, call)), forward_(make()), backward_(make()) {
    const at::TensorOptions residual = at::TensorOptions(model.context().residual()).device(model.context().device);
    const auto room = [&](const Bucket::Part& part, int64_t width) { return at::zeros({part.tokens, width}, residual); };
    source_ = room(bucket.source, model.info().input_width());
    if (bucket.target) target_ = room(*bucket.target, model.info().input_width());
    d_hidden_ = room(bucket.target.value_or(bucket.source), model.info().hidden);
    record(model, call);
  }

  at::Tensor forward(const Call& call, const Stream& source, const Stream* target) {
    rows_of_source_ = source.embeds.size(0);
    rows_of_hidden_ = target != nullptr ? target->embeds.size(0) : rows_of_source_;
    StepBatch now{call, filled_up(source.tokens, bucket_.source, BatchPart::source), {}};
    if (target != nullptr) now.target = filled_up(target->tokens, *bucket_.target, BatchPart::target);
    tables_.refill(now);
    fill_rows(source_, source.embeds);
    if (target != nullptr) fill_rows(target_, target->embeds);
    forward_->replay();
    return first_rows(hidden_, rows_of_hidden_);
  }

  InputGradients backward(const at::Tensor& d_hidden) {
    fill_rows(d_hidden_, d_hidden);
    backward_->replay();
    InputGradients d{first_rows(gradients_.source, rows_of_source_), {}};
    if (gradients_.target.defined()) d.target = first_rows(gradients_.target, rows_of_hidden_);
    return d;
  }

  int64_t saved_bytes() const { return saved_bytes_; }

 private:
  static StepBatch sample(const Bucket& bucket, const Call& call) {
    StepBatch made{call, sample_of(bucket.source, BatchPart::source), {}};
    if (bucket.target) made.target = sample_of(*bucket.target, BatchPart::target);
    return made;
  }

  // The sample's step twice: the first pass collects the lists (and lets libraries make their own memory), the second is recorded
  // with the lists in their places.
  void record(const Backbone& model, const Call& call) {
    const StepBatch batch = sample(bucket_, call);
    const Stream source{batch.source, source_}, target{batch.target, target_};
    std::unique_ptr<Saved> saved;
    const auto forward = [&] {
      hidden_ = model.forward(call, source, bucket_.target ? &target : nullptr, &saved);
      saved_bytes_ = saved->bytes();
    };
    const auto backward = [&] { gradients_ = model.backward(std::move(saved), d_hidden_); };
    {
      const Tables::Use use(tables_);
      forward();
      backward();
    }
    tables_.place(source_.device());
    tables_.refill(batch);
    const Tables::Use use(tables_);
    forward_->record(forward);
    backward_->record(backward);
  }

  Bucket bucket_;
  Tables tables_;
  std::unique_ptr<Recorder> forward_, backward_;
  at::Tensor source_, target_, d_hidden_;  // what is read, in the residual's type
  at::Tensor hidden_;                      // what is written
  InputGradients gradients_;
  int64_t saved_bytes_ = 0, rows_of_source_ = 0, rows_of_hidden_ = 0;
};

struct GraphedBackbone::Graphs {
  // What is known of a bucket: nothing is recorded for its first batch, and nothing ever of one that cannot be.
  struct Known {
    std::unique_ptr<StepGraph> graph;
    bool refused = false;
  };

  MakeRecorder make;
  GraphOptions options;
  std::map<Bucket, Known> known;
  GraphCounts counts;
  bool busy = false;  // a forward has been replayed whose backward has not: its results stand in memory that all graphs share

  StepGraph* of(const Backbone& model, const Bucket& bucket, const Call& call) {
    const auto found = known.find(bucket);
    if (found == known.end()) {
      known.emplace(bucket, Known());
      return nullptr;
    }
    Known& it = found->second;
    if (!it.graph && !it.refused) record(model, bucket, call, it);
    return it.graph.get();
  }

  void record(const Backbone& model, const Bucket& bucket, const Call& call, Known& it) {
    it.refused = counts.recorded == options.most;
    if (it.refused) return;
    try {
      it.graph = std::make_unique<StepGraph>(model, bucket, call, make);
      ++counts.recorded;
    } catch (const std::exception& error) {  // whatever a device, its libraries or a family does not let be recorded
      it.refused = true;
      if (counts.why.empty()) log::warn(str("a step is not recorded as a CUDA graph, but runs without: ", error.what()));
      counts.why = error.what();
    }
  }
};

struct GraphedBackbone::Replayed : Saved {
  StepGraph* graph = nullptr;
  std::shared_ptr<void> busy;  // lets the graphs be used again
  int64_t bytes() const override { return graph->saved_bytes(); }
};

GraphedBackbone::GraphedBackbone(std::shared_ptr<const Backbone> model, MakeRecorder make, const GraphOptions& options)
    : Backbone(model->context()), model_(std::move(model)), graphs_(std::make_shared<Graphs>()) {
  graphs_->make = std::move(make);
  graphs_->options = options;
}

GraphedBackbone::~GraphedBackbone() = default;

const GraphCounts& GraphedBackbone::counts() const {
  return graphs_->counts;
}

at::Tensor GraphedBackbone::forward(const Call& call, const Stream& source, const Stream* target,
                                    std::unique_ptr<Saved>* saved) const {
  std::optional<Bucket> bucket;
  if (saved != nullptr && !graphs_->busy && !info().rotates_by_length)
    bucket = bucket_of(call, source.tokens, target != nullptr ? &target->tokens : nullptr, graphs_->options);
  StepGraph* const graph = bucket ? graphs_->of(*model_, *bucket, call) : nullptr;
  if (graph == nullptr) {
    graphs_->counts.eager += saved != nullptr;
    return model_->forward(call, source, target, saved);
  }
  ++graphs_->counts.replayed;
  at::Tensor hidden = graph->forward(call, source, target);
  auto replayed = std::make_unique<Replayed>();
  replayed->graph = graph;
  graphs_->busy = true;
  replayed->busy = std::shared_ptr<void>(nullptr, [graphs = graphs_](void*) { graphs->busy = false; });
  *saved = std::move(replayed);
  return hidden;
}

InputGradients GraphedBackbone::backward(std::unique_ptr<Saved> saved, const at::Tensor& d_hidden) const {
  auto* const replayed = dynamic_cast<Replayed*>(saved.get());
  return replayed != nullptr ? replayed->graph->backward(d_hidden) : model_->backward(std::move(saved), d_hidden);
}

}  // namespace dept
