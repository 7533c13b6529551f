#include "dept/models/continuous.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "models/continuous_tasks.h"
#include "models/generation_options.h"

namespace dept {
namespace {

// Sources end to end, as an encoder takes them.
Stream end_to_end(const std::vector<at::Tensor>& sources) {
  Stream stream;
  std::vector<at::Tensor> positions;
  for (const at::Tensor& source : sources) {
    stream.tokens.append(source.size(0), 0);
    positions.push_back(at::arange(source.size(0), at::kLong));
  }
  stream.tokens.position = at::cat(positions);
  stream.embeds = at::cat(sources);
  return stream;
}

}  // namespace

class ContinuousBatch::Impl {
 public:
  Impl(const TextModel& model, const ContinuousOptions& options)
      : model_(model),
        most_(options.max_sequences),
        pool_(model, options.max_sequences, options.cache_bytes),
        prompts_(pool_, options.prompt_bytes) {
    if (model.info().encoder_decoder() && !model.info().answer_start_id)
      fail(Code::bad_input, "config.json", "decoder_start_token_id", "none");
  }

  std::optional<TaskId> add(WriteTask task) {
    check_options(task.options, model_.info());
    return place(make_task(pool_, std::move(task)));
  }
  std::optional<TaskId> add(LabelTask task) { return place(make_task(pool_, std::move(task))); }

  void remove(TaskId task) { tasks_.erase(task); }
  bool empty() const { return tasks_.empty(); }

  int64_t sequences() const {
    int64_t all = 0;
    for (const auto& [id, task] : tasks_) all += task->sequences();
    return all;
  }

  Figures step() {
    Figures figures{sequences(), prompts_.compute() + encode()};
    ContinuousStep step(model_);
    each_task([&](Task& task) {
      task.plan(step);
      return false;
    });
    if (tasks_.empty()) return figures;
    step.run(pool_.cache());
    figures.tokens += step.tokens();
    each_task([&](Task& task) { return task.take(step); });
    return figures;
  }

 private:
  std::optional<TaskId> place(std::unique_ptr<Task> task) {
    const PlacedSource::Room room = task->room();
    if (room.width > most_)
      fail(Code::resource, "max_running", str("at least ", room.width, " sequences, those of one prompt"), str(most_));
    if (sequences() + room.width > most_ || !task->source().place(prompts_, room)) return std::nullopt;
    tasks_.emplace(++last_id_, std::move(task));
    return last_id_;
  }

  // T5: the texts that came since the last step. Returns their tokens.
  int64_t encode() {
    std::vector<at::Tensor> texts;
    IdList slots;
    for (auto& [id, task] : tasks_) {
      const at::Tensor* text = task->source().unencoded();
      if (text == nullptr) continue;
      texts.push_back(*text);
      slots.push_back(task->source().slot());
    }
    if (texts.empty()) return 0;
    const Stream source = end_to_end(texts);
    pool_.pooled().encode(pool_.cache(), source, slots);
    return source.tokens.tokens();
  }

  // A task leaves when `visit` says that it is through, or by its error.
  template <class Visit>
  void each_task(Visit visit) {
    for (auto each = tasks_.begin(); each != tasks_.end();) {
      bool through = true;
      try {
        through = visit(*each->second);
      } catch (const Error& error) {
        each->second->tell(error);
      }
      each = through ? tasks_.erase(each) : std::next(each);
    }
  }

  const TextModel& model_;
  int64_t most_;
  SequencePool pool_;
  PromptStates prompts_;
  std::map<TaskId, std::unique_ptr<Task>> tasks_;
  TaskId last_id_ = 0;
};

ContinuousBatch::ContinuousBatch(const TextModel& model, const ContinuousOptions& options)
    : impl_(std::make_unique<Impl>(model, options)) {}
ContinuousBatch::~ContinuousBatch() = default;

std::optional<ContinuousBatch::TaskId> ContinuousBatch::add(WriteTask task) {
  return impl_->add(std::move(task));
}
std::optional<ContinuousBatch::TaskId> ContinuousBatch::add(LabelTask task) {
  return impl_->add(std::move(task));
}
void ContinuousBatch::remove(TaskId task) {
  impl_->remove(task);
}
bool ContinuousBatch::empty() const {
  return impl_->empty();
}
int64_t ContinuousBatch::sequences() const {
  return impl_->sequences();
}
ContinuousBatch::Figures ContinuousBatch::step() {
  return impl_->step();
}

}  // namespace dept
