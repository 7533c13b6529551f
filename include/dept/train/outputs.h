// What a run leaves in output_dir, each file whole or not at all.
#pragma once

#include <string>

#include "dept/adapter/adapter_file.h"
#include "dept/base/json.h"
#include "dept/train/evaluate.h"
#include "dept/train/loop.h"

namespace dept {

class Outputs {
 public:
  /// `add`: to the all_results.json that an earlier run left. `writes` false: nothing is written, as rank 0 does it.
  Outputs(fs::path folder, bool add, bool writes = true);

  /// adapter_config.json, adapter_model.safetensors (else adapter_model.bin), the tokenizer's files.
  void adapter(const AdapterConfig& config, const AdaptedModel& model, const AdapterForm& form) const;
  void trainer_state(const TrainState& state, int64_t max_steps) const;
  /// NAME_results.json; every result goes into all_results too.
  void results(const std::string& name, const OrderedJson& results);
  /// generated_predictions.jsonl: {"index", "source", "prediction", "target"} in the data's order, the source cut at 500 code
  /// points; where they are known also "scores": {label: share}.
  void predictions(const EvaluatedAnswers& evaluated) const;
  /// report.json: what the report shows beside what the other files hold.
  void findings(const OrderedJson& findings) const;
  /// evaluation.json.
  void detail(const OrderedJson& detail) const;
  /// README.md: what was trained, how, and how it went.
  void model_card(const AdapterConfig& config, const TaskData& task, const TrainOptions& options, const OrderedJson& log) const;
  /// all_results.json.
  void all_results() const;

  const OrderedJson& all() const { return all_; }

 private:
  void write(const std::string& name, const std::string& bytes) const;
  void write(const std::string& name, const OrderedJson& json) const;

  fs::path folder_;
  bool writes_;
  OrderedJson all_ = OrderedJson::object();
};

}  // namespace dept
