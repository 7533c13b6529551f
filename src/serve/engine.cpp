#include "dept/serve/engine.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <thread>

#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/mixed_head.h"
#include "serve/job.h"

namespace dept::serve {
namespace {

ContinuousOptions continuous(const EngineOptions& options) {
  return {options.max_running, options.cache_bytes, options.prompt_cache_bytes};
}

EngineOptions checked(const EngineOptions& options) {
  const auto require = [](bool good, std::string_view name, std::string_view expected, int64_t received) {
    if (!good) fail(Code::usage, name, expected, str(received));
  };
  require(options.max_running >= 1, "--max_running", "at least 1", options.max_running);
  require(options.max_queue >= 0, "--max_queue", "0 or more", options.max_queue);
  require(options.step_tokens >= 1, "step_tokens", "at least 1", options.step_tokens);
  require(options.cache_bytes >= 1, "cache_bytes", "at least 1", options.cache_bytes);
  return options;
}

}  // namespace

RequestError::RequestError(Refusal refusal, std::string param, const std::string& message)
    : Error(refusal == Refusal::queue_full || refusal == Refusal::draining ? Code::resource : Code::bad_input, message),
      refusal_(refusal),
      param_(std::move(param)) {}

class Engine::Impl {
 public:
  Impl(ModelOptions model, const EngineOptions& options, EngineObserver observer)
      : options_(checked(options)),
        observer_(std::move(observer)),
        base_(load_base(std::move(model))),
        work_(base_.text_model(), continuous(options_)) {
    models_.emplace(base_.name, Served{std::make_shared<ServedModel>(base_)});
    thread_ = std::thread([this] { run(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  const Base& base() const { return base_; }

  void add_adapter(const std::string& name, const fs::path& folder) {
    if (name.empty()) fail(Code::usage, "adapter", "a name", "none");
    {
      const std::lock_guard lock(mutex_);
      require_free(name);
    }
    auto model = std::make_shared<ServedModel>(base_, name, folder);
    const std::lock_guard lock(mutex_);
    require_free(name);
    models_.emplace(name, Served{std::move(model)});
  }

  void replace_adapter(const std::string& name, const fs::path& folder) {
    {
      const std::lock_guard lock(mutex_);
      adapter(name);
    }
    auto model = std::make_shared<ServedModel>(base_, name, folder);
    const std::lock_guard lock(mutex_);
    adapter(name).model = std::move(model);
  }

  bool remove_adapter(const std::string& name) {
    std::unique_lock lock(mutex_);
    const auto found = models_.find(name);
    if (found == models_.end() || found->second.leaving || name == base_.name) return false;
    found->second.leaving = true;
    changed_.wait(lock, [&] { return found->second.users == 0; });
    models_.erase(found);
    return true;
  }

  std::vector<ModelEntry> models() const {
    const std::lock_guard lock(mutex_);
    std::vector<ModelEntry> entries = {models_.at(base_.name).model->entry()};
    for (const auto& [name, served] : models_)
      if (name != base_.name && !served.leaving) entries.push_back(served.model->entry());
    return entries;
  }

  std::optional<ModelEntry> model(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(name);
    if (found == models_.end() || found->second.leaving) return std::nullopt;
    return found->second.model->entry();
  }

  RequestId complete(CompletionRequest request, CompletionHandlers handlers) {
    const std::shared_ptr<const ServedModel> served = find(request.model);
    return enqueue(make_job(base_, served, std::move(request), std::move(handlers), options_.max_running));
  }

  RequestId classify(const ClassifyRequest& request, ClassifyHandlers handlers) {
    return enqueue(make_job(find(request.model), request, std::move(handlers)));
  }

  void cancel(RequestId request) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = requests_.find(request);
      if (found == requests_.end()) return;
      found->second->cancelled = true;
      cancels_ = true;
    }
    changed_.notify_all();
  }

  EngineLoad load() const {
    const std::lock_guard lock(mutex_);
    const auto queued = static_cast<int64_t>(queue_.size());
    return {queued, static_cast<int64_t>(requests_.size()) - queued};
  }

  bool drain(std::chrono::milliseconds longest) {
    std::unique_lock lock(mutex_);
    draining_ = true;
    return changed_.wait_for(lock, longest, [&] { return requests_.empty(); });
  }

 private:
  using JobPointer = std::shared_ptr<Job>;

  struct Served {
    std::shared_ptr<const ServedModel> model;
    int64_t users = 0;  // requests of the name that have not left, also those with a model that was replaced
    bool leaving = false;
  };

  // Of all threads.

  void require_free(const std::string& name) const {
    if (models_.contains(name)) fail(Code::usage, "adapter", "a name that is not taken", quote(name));
  }

  Served& adapter(const std::string& name) {
    const auto found = models_.find(name);
    if (found == models_.end() || found->second.leaving || name == base_.name)
      fail(Code::usage, "adapter", "the name of an adapter", quote(name));
    return found->second;
  }

  [[noreturn]] static void refuse_unknown(const std::string& name) {
    refuse(Refusal::unknown_model, "model", "the base's name or an adapter's", quote(name, 256));
  }

  std::shared_ptr<const ServedModel> find(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    const auto found = models_.find(name);
    if (found == models_.end() || found->second.leaving) refuse_unknown(name);
    return found->second.model;
  }

  // How many requests wait for room, were this one there too.
  int64_t waiting_with(const Job& job) const {
    int64_t room = options_.max_running - sequences_, waiting = 0;
    const auto count = [&](const Job& each) {
      if (room < each.width(0)) ++waiting;
      for (size_t part = 0; part < each.parts(); ++part) room -= each.width(part);
    };
    for (const JobPointer& queued : queue_) count(*queued);
    count(job);
    return waiting;
  }

  RequestId enqueue(JobPointer job) {
    {
      const std::lock_guard lock(mutex_);
      if (draining_ || stopping_) refuse(Refusal::draining, "", "requests before the server ends", "one behind");
      const auto served = models_.find(job->model().entry().id);
      if (served == models_.end() || served->second.leaving) refuse_unknown(job->model().entry().id);
      if (const int64_t waiting = waiting_with(*job); waiting > options_.max_queue)
        refuse(Refusal::queue_full, "", str("at most ", options_.max_queue, " waiting requests"), str(waiting));
      ++served->second.users;
      job->id = ++last_id_;
      requests_.emplace(job->id, job);
      queue_.push_back(job);
    }
    changed_.notify_all();
    return job->id;
  }

  // Of the engine's thread.

  void run() {
    at::set_num_threads(base_.backbone->context().threads);
    while (wait()) {
      drop_cancelled();
      try {
        admit();
        step();
      } catch (const Error& error) {
        fail_all(error);
      } catch (const std::exception& error) {
        fail_all(Error(Code::bug, error.what()));
      }
      sweep();
    }
    drop_cancelled();
    {
      const std::lock_guard lock(mutex_);
      active_.insert(active_.end(), queue_.begin(), queue_.end());
      queue_.clear();
    }
    fail_all(Error(Code::resource, "[engine] expected to end the request, received the end of the server"));
    sweep();
  }

  // False when the engine is to end.
  bool wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_ || cancels_ || !queue_.empty() || !active_.empty(); });
    return !stopping_;
  }

  void drop_cancelled() {
    std::vector<JobPointer> dropped;
    {
      const std::lock_guard lock(mutex_);
      if (!std::exchange(cancels_, false)) return;
      const auto drop = [&](const JobPointer& job) {
        if (job->cancelled) dropped.push_back(job);
        return job->cancelled.load();
      };
      std::erase_if(queue_, drop);
      std::erase_if(active_, drop);
    }
    for (const JobPointer& job : dropped) {
      job->remove_from(work_);
      leave(*job, Outcome::cancelled);
    }
  }

  // The request whose parts are placed next: one that has begun before those that wait.
  JobPointer next_to_place() {
    for (const JobPointer& job : active_)
      if (job->wants_place()) return job;
    const std::lock_guard lock(mutex_);
    return queue_.empty() ? nullptr : queue_.front();
  }

  // As many parts as there is room for in the pool, and in a step.
  void admit() {
    int64_t tokens = work_.batch.sequences();
    bool full = false, alone = true;
    while (!full) {
      const JobPointer job = next_to_place();
      if (job == nullptr) break;
      const bool begins = !job->started();
      while (!full && job->wants_place()) {
        const int64_t more = job->tokens(job->next_part());
        const bool fits = work_.batch.sequences() + job->width(job->next_part()) <= options_.max_running &&
                          (alone || tokens + more <= options_.step_tokens);
        full = !fits || !place(*job);
        if (full) break;
        tokens += more;
        alone = false;
      }
      if (begins && (job->started() || job->error)) activate(job);
    }
    const std::lock_guard lock(mutex_);
    sequences_ = work_.batch.sequences();
  }

  // False where there is no room for the job's next part.
  bool place(Job& job) {
    try {
      if (job.place(work_)) return true;
      if (work_.empty()) fail(Code::resource, "cache_bytes", "room for the request", "less");
      return false;
    } catch (const Error& error) {
      job.error = error;
      return true;
    }
  }

  void activate(const JobPointer& job) {
    const std::lock_guard lock(mutex_);
    std::erase(queue_, job);
    active_.push_back(job);
  }

  void step() {
    const int64_t heads = static_cast<int64_t>(work_.heads.size());
    const int64_t together = work_.batch.sequences() + heads;
    for (const JobPointer& job : active_) job->figures.batch_size = std::max(job->figures.batch_size, together);
    if (!work_.batch.empty()) work_.batch.step();
    if (heads > 0) run_heads();
  }

  // The texts of each adapter are a batch, and all of these are one.
  void run_heads() {
    std::map<const ServedModel*, std::vector<HeadText>> by_model;
    for (HeadText& text : std::exchange(work_.heads, {})) by_model[text.model].push_back(std::move(text));
    std::vector<HeadBatch> batches;
    for (const auto& [model, texts] : by_model) {
      std::vector<Example> examples;
      for (const HeadText& text : texts) examples.push_back(text.example);
      batches.push_back({&model->scorer(), collate(model->scorer().rules(), examples, Purpose::answering)});
    }
    const std::vector<at::Tensor> logits = head_logits(batches);
    size_t batch = 0;
    for (const auto& [model, texts] : by_model) {
      const std::vector<Prediction> said = head_predictions(model->rules(), logits[batch++]);
      for (size_t i = 0; i < texts.size(); ++i) texts[i].on_done(said[i]);
    }
  }

  void fail_all(const Error& error) {
    for (const JobPointer& job : active_)
      if (!job->error) job->error = error;
    work_.heads.clear();
  }

  // Requests that are through leave.
  void sweep() {
    for (auto each = active_.begin(); each != active_.end();) {
      const JobPointer job = *each;
      if (!job->error && !job->through()) {
        ++each;
        continue;
      }
      each = active_.erase(each);
      if (job->error) {
        job->remove_from(work_);
        job->fail(*job->error);
      } else {
        job->finish();
      }
      leave(*job, job->error ? Outcome::failed : Outcome::done);
    }
    const std::lock_guard lock(mutex_);
    sequences_ = work_.batch.sequences();
  }

  void leave(Job& job, Outcome outcome) {
    job.figures.outcome = outcome;
    job.figures.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - job.begin).count();
    if (observer_.on_request) observer_.on_request(job.figures);
    {
      const std::lock_guard lock(mutex_);
      --models_.at(job.model().entry().id).users;
      requests_.erase(job.id);
    }
    changed_.notify_all();
  }

  const EngineOptions options_;
  const EngineObserver observer_;
  const Base base_;

  mutable std::mutex mutex_;  // of what follows, up to the thread's own
  std::condition_variable changed_;
  std::map<std::string, Served> models_;
  std::map<RequestId, JobPointer> requests_;  // all that have not left
  std::deque<JobPointer> queue_;              // those of which no part has a place
  int64_t sequences_ = 0;                     // that are computed together
  RequestId last_id_ = 0;
  bool cancels_ = false, draining_ = false, stopping_ = false;

  Work work_;  // the thread's own, as active_
  std::list<JobPointer> active_;
  std::thread thread_;
};

Engine::Engine(ModelOptions model, EngineOptions options, EngineObserver observer)
    : impl_(std::make_unique<Impl>(std::move(model), options, std::move(observer))) {}
Engine::~Engine() = default;

const ModelInfo& Engine::info() const {
  return impl_->base().info();
}
const Tokenizer& Engine::tokenizer() const {
  return *impl_->base().tokenizer;
}
const std::string& Engine::base() const {
  return impl_->base().name;
}
void Engine::add_adapter(const std::string& name, const fs::path& folder) {
  impl_->add_adapter(name, folder);
}
void Engine::replace_adapter(const std::string& name, const fs::path& folder) {
  impl_->replace_adapter(name, folder);
}
bool Engine::remove_adapter(const std::string& name) {
  return impl_->remove_adapter(name);
}
std::vector<ModelEntry> Engine::models() const {
  return impl_->models();
}
std::optional<ModelEntry> Engine::model(const std::string& name) const {
  return impl_->model(name);
}
RequestId Engine::complete(CompletionRequest request, CompletionHandlers handlers) {
  return impl_->complete(std::move(request), std::move(handlers));
}
RequestId Engine::classify(ClassifyRequest request, ClassifyHandlers handlers) {
  return impl_->classify(request, std::move(handlers));
}
void Engine::cancel(RequestId request) {
  impl_->cancel(request);
}
EngineLoad Engine::load() const {
  return impl_->load();
}
bool Engine::drain(std::chrono::milliseconds longest) {
  return impl_->drain(longest);
}

}  // namespace dept::serve
