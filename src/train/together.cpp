#include "dept/train/together.h"

#include <algorithm>
#include <array>
#include <vector>

#include "dept/train/pass.h"
#include "dept/train/visual_input.h"

namespace dept {
namespace {

// What each run of a stack has for itself, beside what it writes and when.
constexpr std::array own_options = {"learning_rate",
                                    "lora_embedding_lr",
                                    "head_learning_rate",
                                    "visual_learning_rate",
                                    "optim",
                                    "adam_beta1",
                                    "adam_beta2",
                                    "adam_epsilon",
                                    "weight_decay",
                                    "apply_weight_decay",
                                    "max_grad_norm",
                                    "max_steps",
                                    "num_train_epochs",
                                    "lr_scheduler_type",
                                    "lr_scheduler_kwargs",
                                    "warmup_steps",
                                    "warmup_ratio",
                                    "seed",
                                    "data_seed",
                                    "train_sampling_strategy",
                                    "group_by_length",
                                    "prompt_tuning_init",
                                    "prompt_tuning_init_text",
                                    "text_init",
                                    "do_predict_all"};

class Together {
 public:
  Together(const RunQueue& queue, StackWidth& width) : queue_(queue), width_(width) {}

  bool train() {
    try {
      while (fill()) {
        step();
        if (queue_.interrupted && queue_.interrupted()) throw Interrupted();
      }
      return true;
    } catch (const Interrupted&) {
      leave();
      return false;
    }
  }

 private:
  struct Member {
    std::unique_ptr<TrainingRun> run;
    size_t stack = 1;
  };

  // Begins runs while there is room. Later ones would be behind: they wait until those at hand are done, but where a wider pass
  // is to be measured. False: there is nothing more to do.
  bool fill() {
    const bool anew = members_.empty();
    while (members_.size() < width_.width() && (anew || !width_.settled())) {
      std::unique_ptr<TrainingRun> run = queue_.next();
      if (run == nullptr) break;
      if (const std::optional<RunEnd> end = run->begin()) {
        queue_.ended(*run, *end, 1);
        continue;
      }
      members_.push_back({std::move(run), 1});
      attempt(*members_.back().run, [](TrainingLoop& loop) { loop.start(); });
      if (is_over(members_.back())) end(members_.size() - 1);
    }
    return !members_.empty();
  }

  // Of the first runs, as many as the width says: those that are furthest behind, so that the others wait for them.
  void step() {
    const auto end_of_first = members_.begin() + static_cast<std::ptrdiff_t>(std::min(members_.size(), width_.width()));
    const auto behind = std::min_element(members_.begin(), end_of_first, [](const Member& a, const Member& b) {
      return a.run->loop()->state().step < b.run->loop()->state().step;
    });
    const TrainingLoop& first = *behind->run->loop();
    std::vector<TrainingLoop*> loops;
    std::vector<Member*> stepping;
    for (auto member = members_.begin(); member != end_of_first; ++member) {
      if (!member->run->loop()->stacks_with(first)) continue;
      loops.push_back(member->run->loop());
      stepping.push_back(&*member);
    }
    for (Member* member : stepping) member->stack = std::max(member->stack, stepping.size());
    width_.before_step();
    PassCost cost;
    behind->run->in_training([&](TrainingLoop&) { cost = pass_.step(loops); });
    width_.measured(loops.size(), cost);
    evaluate_pauses(loops);
    for (size_t i = 0; i < members_.size();)
      if (is_over(members_[i]))
        end(i);
      else
        ++i;
  }

  // At a rung all come to their end together.
  void evaluate_pauses(std::vector<TrainingLoop*> loops) {
    std::erase_if(loops, [](const TrainingLoop* loop) { return loop->failure || loop->goes_on() || !loop->end_evaluates(); });
    pass_.evaluate(std::move(loops));
  }

  static bool is_over(const Member& member) { return member.run->loop()->failure || !member.run->loop()->goes_on(); }

  // A part of one run's training that may find it not finite.
  static void attempt(TrainingRun& run, const std::function<void(TrainingLoop&)>& part) {
    run.in_training([&](TrainingLoop& loop) {
      try {
        part(loop);
      } catch (const NotFinite&) {
        loop.failure = std::current_exception();
      }
    });
  }

  void end(size_t place) {
    Member& member = members_[place];
    LoopEnd end = LoopEnd::done;
    if (!member.run->loop()->failure) attempt(*member.run, [&](TrainingLoop& loop) { end = loop.end(); });
    const Member done = std::move(member);
    members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(place));
    const RunEnd run_end = done.run->loop()->failure ? done.run->fail() : done.run->finish(end);
    queue_.ended(*done.run, run_end, done.stack);
    if (run_end == RunEnd::interrupted) throw Interrupted();
  }

  void leave() {
    for (Member& member : members_) {
      attempt(*member.run, [](TrainingLoop& loop) { loop.leave(); });
      const bool failed = member.run->loop()->failure != nullptr;
      queue_.ended(*member.run, failed ? member.run->fail() : member.run->finish(LoopEnd::interrupted), member.stack);
    }
    members_.clear();
  }

  const RunQueue& queue_;
  StackWidth& width_;
  Pass pass_;
  std::vector<Member> members_;
};

}  // namespace

bool train_together(const RunQueue& queue, StackWidth& width) {
  return Together(queue, width).train();
}

std::string stack_key(const TrainOptions& o, const OptionSet& set) {
  if (quirks_of(o.data).acts_at_epoch_end_within_step()) return "";  // the others of a pass would wait for it
  if (sees_images(o.model.images)) return "";                        // visual embeddings are not stacked
  OrderedJson key = set.dump_json();
  for (const Option& option : set.options())
    if (option.section == "Evaluation while training" || option.section == "Output") key.erase(option.name);
  for (const char* name : own_options) key.erase(name);
  if (o.data.validation_split && !o.data.k_shot_examples) key["seed"] = o.schedule.seed;  // all of the data, drawn by the seed
  return key.dump();
}

}  // namespace dept
