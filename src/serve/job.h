// A request that was taken: parts that are computed side by side, and what is told to who asked.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serve/served_model.h"

namespace dept::serve {

/// A text for a classification head.
struct HeadText {
  RequestId request = 0;
  const ServedModel* model = nullptr;
  Example example;
  std::function<void(Prediction)> on_done;
};

/// What is computed in the next step.
struct Work {
  ContinuousBatch batch;
  std::vector<HeadText> heads;

  Work(const TextModel& model, const ContinuousOptions& options) : batch(model, options) {}
  bool empty() const { return batch.empty() && heads.empty(); }
};

/// Once it is queued, all but `cancelled` is the engine's thread's.
class Job {
 public:
  Job(std::shared_ptr<const ServedModel> model, bool completion) : model_(std::move(model)) {
    figures.model = model_->entry().id;
    figures.completion = completion;
  }
  virtual ~Job() = default;

  const ServedModel& model() const { return *model_; }
  virtual size_t parts() const = 0;
  /// Of a part: sequences at once, and new tokens of its first step.
  virtual int64_t width(size_t part) const = 0;
  virtual int64_t tokens(size_t part) const = 0;
  /// False where there is no room for the part now. Throws what is wrong with it.
  bool place(Work& work);
  /// Takes its parts out of the work.
  void remove_from(Work& work);
  /// All parts are through.
  bool through() const { return placed_ == parts() && open_ == 0; }
  bool started() const { return placed_ > 0; }
  bool wants_place() const { return placed_ < parts() && !error; }
  size_t next_part() const { return placed_; }

  /// Call the handlers, unless the request was cancelled.
  virtual void finish() = 0;
  virtual void fail(const Error& failure) = 0;

  RequestId id = 0;
  std::atomic<bool> cancelled = false;
  std::optional<Error> error;
  RequestFigures figures;
  const std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();

 protected:
  /// Adds the part; the task's id, 0 of a head's text; absent where there is no room.
  virtual std::optional<ContinuousBatch::TaskId> add(Work& work, size_t part) = 0;
  void part_is_through() { --open_; }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

 private:
  std::shared_ptr<const ServedModel> model_;
  std::vector<ContinuousBatch::TaskId> tasks_;
  size_t placed_ = 0, open_ = 0;
};

/// Throws RequestError.
std::shared_ptr<Job> make_job(const Base& base, std::shared_ptr<const ServedModel> model, CompletionRequest request,
                              CompletionHandlers handlers, int64_t max_running);
std::shared_ptr<Job> make_job(std::shared_ptr<const ServedModel> model, const ClassifyRequest& request,
                              ClassifyHandlers handlers);

}  // namespace dept::serve
