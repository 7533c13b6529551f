#include "dept/train/outputs.h"

#include "dept/base/text.h"

namespace dept {
namespace {

void write_json(const fs::path& path, const OrderedJson& json) {
  write_atomic(path, json.dump(2) + "\n");
}

}  // namespace

Outputs::Outputs(fs::path folder, bool add) : folder_(std::move(folder)) {
  const fs::path all = folder_ / "all_results.json";
  if (add && fs::exists(all)) all_.update(OrderedJson::parse(read_file(all)));
}

void Outputs::adapter(const AdapterConfig& config, const Pipeline& pipeline, bool safetensors) const {
  save_adapter(folder_, config, pipeline.weights, 0, safetensors);
  for (const auto& [name, bytes] : pipeline.tokenizer->files()) write_atomic(folder_ / name, bytes);
}

void Outputs::trainer_state(const TrainState& state, int64_t max_steps) const {
  write_json(folder_ / "trainer_state.json", trainer_state_json(state, max_steps));
}

void Outputs::results(const std::string& name, const OrderedJson& results) {
  write_json(folder_ / (name + "_results.json"), results);
  all_.update(results);
}

void Outputs::predictions(const Evaluation& evaluation) const {
  std::string lines;
  for (size_t i = 0; i < evaluation.predictions.size(); ++i) {
    const OrderedJson line = {{"index", i}, {"prediction", evaluation.predictions[i]}, {"target", evaluation.targets[i]}};
    lines += line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  }
  write_atomic(folder_ / "generated_predictions.jsonl", lines);
}

void Outputs::model_card(const AdapterConfig& config, const TaskData& task) const {
  const std::string method =
      config.peft_type == PeftType::prompt_tuning
          ? str("a soft prompt of ", config.num_virtual_tokens, " tokens")
          : str("a decomposed soft prompt (DePT, arXiv 2309.05173): ", config.num_virtual_tokens,
                " tokens and an update of rank ", config.r, " for sources of up to ", config.max_length, " tokens");
  std::string card = "---\nlibrary_name: dept\nbase_model: " + config.base_model_name_or_path + "\n---\n\n";
  card += "For the frozen model `" + config.base_model_name_or_path + "`: " + method + ".\n";
  if (!task.labels.empty()) card += "\nLabels: " + join(task.labels, ", ") + ".\n";
  if (!all_.empty()) card += "\n| result | value |\n|---|---|\n";
  for (const auto& [name, value] : all_.items()) {
    const bool timed = name.find("_runtime") != std::string::npos || name.find("_per_second") != std::string::npos;
    if (!timed) card += "| " + name + " | " + value.dump() + " |\n";
  }
  card += "\n    dept predict --peft_model_id THIS_FOLDER\n";
  write_atomic(folder_ / "README.md", card);
}

void Outputs::all_results() const {
  write_json(folder_ / "all_results.json", all_);
}

}  // namespace dept
