#include "dept/train/outputs.h"

#include "dept/base/text.h"

namespace dept {
namespace {

bool is_timing(const std::string& name) {
  return name.find("_runtime") != std::string::npos || name.find("_per_second") != std::string::npos;
}

std::string front_matter(const AdapterConfig& config, const TaskData& task, const TrainOptions& options) {
  std::string yaml = "---\nlibrary_name: dept\nbase_model: " + config.base_model_name_or_path + "\ntags:\n- prompt-tuning\n";
  if (options.data.named()) yaml += "datasets:\n- " + task.name + "\n";
  yaml += "metrics:\n";
  for (const std::string& metric : task.metrics) yaml += "- " + metric + "\n";
  return yaml + "---\n\n";
}

std::string method_of(const AdapterConfig& config) {
  if (config.decomposed())
    return str("a decomposed soft prompt (DePT, arXiv 2309.05173): ", config.num_virtual_tokens, " tokens and an update of rank ",
               config.r, " for sources of up to ", config.max_length, " tokens");
  const bool plain = config.method == &prompt_tuning_method();
  return str(plain ? "" : str(config.method->title, ": "), "a soft prompt of ", config.num_virtual_tokens, " tokens");
}

std::string visual_part(const AdapterConfig& config) {
  if (!config.visual) return "";
  const VisualConfig& visual = *config.visual;
  return str(", and a visual embedding (", to_string(visual.form), ") of ", visual.tokens, " tokens of ", visual.channels,
             " numbers an image");
}

std::string hyperparameters(const TrainOptions& o) {
  const ScheduleOptions& s = o.schedule;
  std::string text = "\n## Hyperparameters\n\n| name | value |\n|---|---|\n";
  const auto row = [&](const char* name, const auto& value) { text += str("| ", name, " | ", value, " |\n"); };
  row("learning_rate", o.optimizer.learning_rate);
  if (o.optimizer.lora_embedding_lr) row("lora_embedding_lr", *o.optimizer.lora_embedding_lr);
  if (o.optimizer.head_learning_rate) row("head_learning_rate", *o.optimizer.head_learning_rate);
  if (o.optimizer.visual_learning_rate) row("visual_learning_rate", *o.optimizer.visual_learning_rate);
  row("per_device_train_batch_size", s.per_device_train_batch_size);
  row("gradient_accumulation_steps", s.gradient_accumulation_steps);
  row("optim", o.optimizer.optim);
  row("lr_scheduler_type", s.lr_scheduler_type);
  row("warmup_steps", s.warmup_steps);
  if (s.max_steps > 0)
    row("max_steps", s.max_steps);
  else
    row("num_train_epochs", s.num_train_epochs);
  row("seed", s.seed);
  return text;
}

std::string shown(const OrderedJson& entry, const std::string& name) {
  return entry.contains(name) ? entry[name].dump() : "";
}

// One line an evaluation, with the training loss last logged before it.
std::string course(const OrderedJson& log) {
  std::string text, loss;
  for (const OrderedJson& entry : log) {
    if (entry.contains("loss")) loss = shown(entry, "loss");
    if (!entry.contains("eval_loss")) continue;
    std::string head = "| loss | epoch | step |", rule = "|---|---|---|";
    std::string line = str("| ", loss, " | ", shown(entry, "epoch"), " | ", shown(entry, "step"), " |");
    for (const auto& [name, value] : entry.items()) {
      if (name.rfind("eval_", 0) != 0 || is_timing(name)) continue;
      head += " " + name + " |", rule += "---|", line += " " + value.dump() + " |";
    }
    if (text.empty()) text = "\n## Training\n\n" + head + "\n" + rule + "\n";
    text += line + "\n";
  }
  return text;
}

}  // namespace

void Outputs::write(const std::string& name, const std::string& bytes) const {
  if (writes_) write_atomic(folder_ / name, bytes);
}

void Outputs::write(const std::string& name, const OrderedJson& json) const {
  write(name, json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

Outputs::Outputs(fs::path folder, bool add, bool writes) : folder_(std::move(folder)), writes_(writes) {
  const fs::path all = folder_ / "all_results.json";
  if (add && fs::exists(all)) all_.update(OrderedJson::parse(read_file(all)));
}

void Outputs::adapter(const AdapterConfig& config, const AdaptedModel& model, const AdapterForm& form) const {
  if (!writes_) return;
  save_adapter(folder_, config, model.weights(), 0, form);
  for (const auto& [name, bytes] : model.tokenizer().files()) write_atomic(folder_ / name, bytes);
}

void Outputs::trainer_state(const TrainState& state, int64_t max_steps) const {
  write("trainer_state.json", trainer_state_json(state, max_steps, folder_));
}

void Outputs::results(const std::string& name, const OrderedJson& results) {
  write(name + "_results.json", results);
  all_.update(results);
}

void Outputs::predictions(const EvaluatedAnswers& evaluated) const {
  std::string lines;
  for (size_t i = 0; i < evaluated.predictions.size(); ++i) {
    OrderedJson line = {{"index", i},
                        {"source", cut_to(evaluated.texts[i].source, shown_source)},
                        {"prediction", evaluated.predictions[i]},
                        {"target", evaluated.targets[i]}};
    if (!evaluated.scores.empty())
      for (size_t label = 0; label < evaluated.labels.size(); ++label)
        line["scores"][evaluated.labels[label]] = evaluated.scores[i][label];
    lines += line.dump(-1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  }
  write("generated_predictions.jsonl", lines);
}

void Outputs::findings(const OrderedJson& findings) const {
  write("report.json", findings);
}

void Outputs::detail(const OrderedJson& detail) const {
  write("evaluation.json", detail);
}

void Outputs::model_card(const AdapterConfig& config, const TaskData& task, const TrainOptions& options,
                         const OrderedJson& log) const {
  std::string card = front_matter(config, task, options) + "For the frozen model `" + config.base_model_name_or_path +
                     "`: " + method_of(config) + visual_part(config) + ".\n";
  if (!task.labels.empty()) card += "\nLabels: " + join(task.labels, ", ") + ".\n";
  if (!all_.empty()) card += "\n| result | value |\n|---|---|\n";
  for (const auto& [name, value] : all_.items())
    if (!is_timing(name)) card += "| " + name + " | " + value.dump() + " |\n";
  card += hyperparameters(options) + course(log);
  card += "\n    dept predict --peft_model_id THIS_FOLDER\n";
  write("README.md", card);
}

void Outputs::all_results() const {
  write("all_results.json", all_);
}

}  // namespace dept
