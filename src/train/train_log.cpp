#include "dept/train/train_log.h"

#include <algorithm>
#include <ctime>
#include <iomanip>
#include <sstream>
#include <utility>

#include "dept/base/log.h"
#include "dept/base/progress.h"
#include "dept/base/rounding.h"
#include "dept/base/text.h"
#include "train/loop_rules.h"

namespace dept {
void TrainLog::record(OrderedJson entry) {
  if (in_.logged) in_.logged(entry);
  state_.log.push_back(std::move(entry));
}

void TrainLog::loss(double so_far, double rate) {
  const double loss = (so_far - state_.logged_loss_sum) / static_cast<double>(state_.step - state_.logged_step);
  state_.logged_loss_sum = so_far;
  state_.logged_step = state_.step;
  record({{"epoch", rounded(state_.epochs, 2)},
          {"learning_rate", rate},
          {"loss", rounded(loss, 4)},
          {"loss_exact", loss},
          {"step", state_.step}});
  log::info(str("step ", state_.step, "/", total_steps_, " epoch ", fixed(state_.epochs, 2), " loss ", fixed(loss, 4),
                " learning_rate ", rate));
}

void TrainLog::evaluation(const Evaluation& evaluation, double seconds) {
  OrderedJson entry = {{"epoch", rounded(state_.epochs, 2)}};
  entry.update(evaluation_json(evaluation, "eval", seconds, in_.rules.batch_size));
  entry["step"] = state_.step;
  log::info(str("step ", state_.step, " ", entry.dump()));
  record(std::move(entry));
}

bool TrainLog::has_evaluation() const {
  return std::any_of(state_.log.begin(), state_.log.end(),
                     [&](const OrderedJson& entry) { return entry.contains("eval_loss") && entry["step"] == state_.step; });
}

void TrainLog::summary(double seconds) {
  const double steps = static_cast<double>(state_.step);
  const double examples = steps * static_cast<double>(examples_per_batch(in_) * in_.options.schedule.gradient_accumulation_steps);
  record({{"epoch", rounded(state_.epochs, 2)},
          {"step", state_.step},
          {"total_flos", state_.total_flos},
          {"train_loss", state_.loss_sum / steps},
          {"train_runtime", rounded(seconds, 4)},
          {"train_samples_per_second", rounded(examples / seconds, 3)},
          {"train_steps_per_second", rounded(steps / seconds, 3)}});
}

void TrainLog::announce_end(double seconds, int64_t steps) const {
  const double left = seconds / static_cast<double>(steps) * static_cast<double>(total_steps_ - state_.step);
  const std::time_t end = std::time(nullptr) + static_cast<std::time_t>(left);
  std::ostringstream clock;
  std::tm utc{};
  ::gmtime_r(&end, &utc);
  clock << std::put_time(&utc, "%H:%M UTC");
  log::info(str("training will end in about ", format_duration(left), ", near ", clock.str()));
}

}  // namespace dept
