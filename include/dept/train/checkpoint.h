// checkpoint-N folders: all that a run needs to go on as if nothing had happened. They know nothing of ranks or devices.
//
//   adapter_config.json, adapter_model.safetensors   the weights, as in a finished run
//   optimizer.safetensors                            NAME.exp_avg and NAME.exp_avg_sq of each trainable, step
//   training_state.json                              where in which epoch, the order's generator, counts and sums
//   trainer_state.json                               step, best checkpoint and log, under transformers' keys
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "dept/adapter/adapter_file.h"
#include "dept/base/json.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {

struct TrainState {
  int64_t step = 0;            ///< optimiser steps done
  int64_t epoch = 0;           ///< epoch at hand
  int64_t batch = 0;           ///< micro-batches of it done
  int64_t micro_steps = 0;     ///< micro-batches done in all
  double epochs = 0;           ///< epoch + the share of it done
  std::string generator;       ///< the sampler's state before the epoch's order was drawn
  double loss_sum = 0;         ///< of all steps' losses
  double logged_loss_sum = 0;  ///< what of loss_sum has been logged
  int64_t logged_step = 0;
  double total_flos = 0;  ///< transformers' estimate of the floating point operations so far
  std::optional<double> best_metric;
  std::string best_checkpoint;    ///< "checkpoint-N"
  int64_t stale_evaluations = 0;  ///< in a row that were no better
  double num_train_epochs = 0;
  std::string owed;          ///< of the step's end what is not done yet: "steps" and "epoch", or "epoch", or nothing
  bool epoch_ended = false;  ///< within the step: what is due at epochs is due at its end
  OrderedJson schedule;      ///< where learning rates that follow a metric stand; null without
  OrderedJson log = OrderedJson::array();
};

/// "checkpoint-N".
std::string checkpoint_name(int64_t step);

/// trainer_state.json of transformers, of a run that writes into `output_dir`.
OrderedJson trainer_state_json(const TrainState& state, int64_t max_steps, const fs::path& output_dir);

struct Checkpoint {
  TrainState state;
  Adapter adapter;
  NamedTensors optimizer;
};

/// Writes output_dir/checkpoint-STEP whole or not at all. Throws io.
void save_checkpoint(const fs::path& output_dir, const TrainState& state, int64_t max_steps, const AdapterConfig& config,
                     const AdapterWeights& weights, const NamedTensors& optimizer);

/// Throws io or bad_input.
Checkpoint load_checkpoint(const fs::path& folder, int64_t hidden);

/// Copies another run's checkpoint, whole or not at all. Throws io.
void copy_checkpoint(const fs::path& from, const fs::path& output_dir);

/// The checkpoints of a run, oldest first.
std::vector<fs::path> list_checkpoints(const fs::path& output_dir);

/// Removes those behind `step`, which a run that goes on from there writes anew.
void drop_later_checkpoints(const fs::path& output_dir, int64_t step);

/// Removes the oldest until `limit` are left; the newest and the best one always stay (so they may be two where limit is 1).
void prune_checkpoints(const fs::path& output_dir, int64_t limit, const std::string& best);

}  // namespace dept
