#include "serve/job.h"

#include <algorithm>

#include "dept/base/text.h"
#include "dept/train/label_run.h"

namespace dept::serve {

bool Job::place(Work& work) {
  const std::optional<ContinuousBatch::TaskId> task = add(work, placed_);
  if (!task) return false;
  if (*task != 0) tasks_.push_back(*task);
  ++placed_;
  ++open_;
  return true;
}

void Job::remove_from(Work& work) {
  for (const ContinuousBatch::TaskId task : tasks_) work.batch.remove(task);
  std::erase_if(work.heads, [&](const HeadText& text) { return text.request == id; });
}

namespace {

class ClassifyJob final : public Job {
 public:
  ClassifyJob(std::shared_ptr<const ServedModel> served, const ClassifyRequest& request, ClassifyHandlers handlers)
      : Job(std::move(served), false), handlers_(std::move(handlers)), examples_(model().examples(request.texts)) {
    result_.labels = model().rules().labels;
    result_.predictions.resize(examples_.size());
    for (const Example& example : examples_) result_.usage.prompt_tokens += static_cast<int64_t>(example.source.size());
    result_.usage.soft_prompt = model().soft_prompt() * static_cast<int64_t>(examples_.size());
    figures.usage = result_.usage;
  }

  size_t parts() const override { return examples_.size(); }
  int64_t width(size_t) const override { return model().by_head() ? 0 : 1; }
  int64_t tokens(size_t part) const override {
    return static_cast<int64_t>(examples_[part].source.size()) + model().soft_prompt();
  }

  void finish() override {
    if (!cancelled && handlers_.on_done) handlers_.on_done(std::move(result_));
  }
  void fail(const Error& failure) override {
    if (!cancelled && handlers_.on_error) handlers_.on_error(failure);
  }

 protected:
  std::optional<ContinuousBatch::TaskId> add(Work& work, size_t part) override {
    if (model().by_head()) {
      work.heads.push_back({id, &model(), examples_[part], [this, part](Prediction said) { keep(part, std::move(said)); }});
      return 0;
    }
    LabelTask task;
    task.source = model().source(examples_[part]);
    for (const Ids& label : model().rules().label_ids) task.labels.push_back(label_run(model().scorer().rules(), label));
    task.on_done = [this, part](std::vector<double> nll) {
      const LabelNll scored{std::move(nll), {}};
      keep(part, score_predictions(model().rules(), std::span(&scored, 1)).front());
    };
    task.on_error = [this](const Error& failure) { error = failure; };
    return work.batch.add(std::move(task));
  }

 private:
  void keep(size_t part, Prediction said) {
    result_.predictions[part] = std::move(said);
    part_is_through();
  }

  ClassifyHandlers handlers_;
  std::vector<Example> examples_;
  Classification result_;
};

}  // namespace

std::shared_ptr<Job> make_job(std::shared_ptr<const ServedModel> model, const ClassifyRequest& request,
                              ClassifyHandlers handlers) {
  if (!model->entry().classifies)
    refuse(Refusal::invalid, "model", "an adapter with labels", quote(request.model) + ", which has none");
  if (request.texts.empty()) refuse(Refusal::invalid, "input", "at least one text", "none");
  return std::make_shared<ClassifyJob>(std::move(model), request, std::move(handlers));
}

}  // namespace dept::serve
