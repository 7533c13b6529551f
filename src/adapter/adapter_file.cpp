#include "dept/adapter/adapter_file.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>

#include <algorithm>

#include "adapter/adapter_config.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* tensors_name = "adapter_model.safetensors";
constexpr const char* torch_name = "adapter_model.bin";
constexpr const char* network_name = "prompt_encoder.safetensors";

// The form whose tensors the file has.
HeadForm head_form(const TensorSource& file) {
  return head_form_of([&](const char* name) { return file.find(name) != nullptr; });
}

VisualForm visual_form(const AdapterConfig& config) {
  return config.visual ? config.visual->form : VisualForm::none;
}

void check_names(const TensorSource& file, const std::vector<AdapterTensor>& tensors, HeadForm head, VisualForm visual) {
  std::vector<std::string> known;
  for (const AdapterTensor& tensor : tensors) known.push_back(tensor.name);
  const std::string own = join(known, ", ");
  for (const HeadTensor& tensor : head_tensors(head, 0, 0)) known.emplace_back(tensor.name);
  for (const VisualTensor& tensor : visual_tensors(visual, {})) known.emplace_back(tensor.name);
  const std::string_view also = visual == VisualForm::none ? " and one head alone" : ", one head and a visual embedding alone";
  for (const TensorInfo& tensor : file.tensors())
    if (std::find(known.begin(), known.end(), tensor.name) == known.end())
      fail(Code::bad_input, file.path().string(), str(own, also), quote(tensor.name));
}

// Labels and width of a head, from its last matrix; as many labels as the config names, 1 (regression) when it names none.
std::pair<int64_t, int64_t> head_size(const TensorSource& file, HeadForm form, const std::vector<std::string>& labels) {
  const std::string name = head_output_name(form);
  const TensorInfo* stored = file.find(name);
  if (stored == nullptr || stored->shape.size() != 2 || stored->shape[0] < 1)
    fail(Code::bad_input, file.path().string(), str("the matrix ", name), stored == nullptr ? "none" : "another shape");
  const auto count = static_cast<int64_t>(labels.size());
  if (count > 0 && stored->shape[0] != count)
    fail(Code::bad_input, str(file.path().string(), ": ", name), str(count, " rows, one a label"), str(stored->shape[0]));
  return {stored->shape[0], stored->shape[1]};
}

at::Tensor read_tensor(const TensorSource& file, const std::string& name, const std::vector<int64_t>& shape) {
  if (file.find(name) == nullptr) fail(Code::bad_input, file.path().string(), str("the tensor ", name), "none");
  return file.read(name, shape, at::kFloat).unsqueeze(0);
}

HeadWeights read_head(const TensorSource& file, HeadForm form, const std::vector<std::string>& label_names) {
  HeadWeights head;
  head.form = form;
  const auto [labels, width] = head_size(file, form, label_names);
  for (const auto& [name, tensor, shape] : head_tensors(form, labels, width)) head.*tensor = read_tensor(file, name, shape);
  return head;
}

VisualWeights read_visual(const TensorSource& file, const AdapterConfig& config) {
  VisualWeights visual;
  visual.form = visual_form(config);
  if (!config.visual) return visual;
  const VisualShape sizes{config.visual->tokens, config.visual->channels, config.token_dim};
  for (const auto& [name, tensor, shape] : visual_tensors(visual.form, sizes)) visual.*tensor = read_tensor(file, name, shape);
  return visual;
}

// P [1, rows, D]; of an original's prompt for two submodules the second half goes to `idle`.
at::Tensor read_prompt(const TensorSource& file, const AdapterConfig& config, const AdapterTensor& tensor, at::Tensor& idle) {
  if (config.submodules() == config.num_transformer_submodules) return read_tensor(file, tensor.name, tensor.shape);
  std::vector<int64_t> stored = tensor.shape;
  stored[0] = config.prompt_rows();
  const at::Tensor both = read_tensor(file, tensor.name, stored);
  idle = both.narrow(1, tensor.shape[0], both.size(1) - tensor.shape[0]).contiguous();
  return both.narrow(1, 0, tensor.shape[0]).contiguous();
}

// Which of DePT's A and B start anew: both where the file has neither, else those that are not to be loaded.
struct FreshDelta {
  bool A = false, B = false;
};

FreshDelta fresh_delta(const TensorSource& file, const AdapterConfig& config, const AdapterLoad& load,
                       const std::vector<AdapterTensor>& tensors) {
  if (!config.decomposed()) return {};
  const bool loads_A = load.embeddings.value_or(config.load_lora_embeddings);
  const bool loads_B = loads_A && load.embedding_B.value_or(config.load_lora_embedding_B);
  const bool lacking = file.find(tensors[1].name) == nullptr && file.find(tensors[2].name) == nullptr;
  if (loads_A && lacking)
    log::warn(file.path().string() + " has a prompt but no lora_embedding_A and no lora_embedding_B: they start anew");
  return {!loads_A || lacking, !loads_B || lacking};
}

// The values of a method's tensors [1, ...].
std::vector<at::Tensor> read_values(const TensorSource& file, const AdapterConfig& config, const Method& method,
                                    const AdapterLoad& load, at::Tensor& idle) {
  const AdapterShape shape = shape_of(config);
  const std::vector<AdapterTensor> tensors = method.tensors(shape);
  std::vector<at::Tensor> values = {read_prompt(file, config, tensors[0], idle)};
  const FreshDelta anew = fresh_delta(file, config, load, tensors);
  std::vector<at::Tensor> fresh;
  if (anew.A || anew.B) {
    const AdapterStart start{[&] { return values[0][0]; }, at::detail::createCPUGenerator(load.seed)};
    fresh = method.start(shape, start);
  }
  for (size_t i = 1; i < tensors.size(); ++i) {
    const bool starts = config.decomposed() && (i == 1 ? anew.A : anew.B);
    values.push_back(starts ? fresh[i].unsqueeze(0) : read_tensor(file, tensors[i].name, tensors[i].shape));
  }
  return values;
}

std::unique_ptr<TensorSource> open_network(const fs::path& folder, const Method& method) {
  if (fs::exists(folder / network_name)) return open_safetensors(folder / network_name);
  fail(Code::bad_input, folder.string(),
       str("a checkpoint of ", method.peft_type, " with ", network_name, " in it, which training goes on from"),
       "the prompt alone");
}

}  // namespace

std::unique_ptr<TensorSource> open_adapter_weights(const fs::path& folder) {
  if (fs::exists(folder / tensors_name)) return open_safetensors(folder / tensors_name);
  if (fs::exists(folder / torch_name)) return open_torch_file(folder / torch_name);
  fail(Code::io, folder.string(), str(tensors_name, " or ", torch_name, " in this folder"), "neither");
}

int64_t head_rows(const fs::path& folder) {
  const auto file = open_adapter_weights(folder);
  const HeadForm form = head_form(*file);
  return form == HeadForm::none ? 0 : head_size(*file, form, {}).first;
}

Adapter load_adapter(const fs::path& folder, int64_t hidden, const AdapterLoad& load) {
  AdapterConfig config = read_adapter_config(folder);
  if (!config.unknown_fields.empty())
    log::warn(str("[", (folder / adapter_config_name).string(),
                  "] not known here and without effect: ", join(config.unknown_fields, ", ")));
  if (config.token_dim != hidden)
    fail(Code::bad_input, str((folder / adapter_config_name).string(), ": token_dim"), str(hidden, ", the width of the model"),
         str(config.token_dim));

  const auto file = open_adapter_weights(folder);
  AdapterWeights weights;
  const HeadForm head = head_form(*file);
  // What stands in that file: of a method that keeps its prompt alone, the prompt.
  const Method& stored = config.method->keeps_prompt_alone ? prompt_tuning_method() : *config.method;
  check_names(*file, stored.tensors(shape_of(config)), head, visual_form(config));
  if (config.classifies() != (head != HeadForm::none))
    fail(Code::bad_input, file->path().string(), "a classification head exactly when task_type is SEQ_CLS",
         quote(config.task_type));
  const bool trains_network = config.method->keeps_prompt_alone && load.use == AdapterUse::training;
  const Method& method = trains_network ? *config.method : stored;
  const auto network = trains_network ? open_network(folder, method) : nullptr;
  weights.input =
      make_adapter(method, shape_of(config), read_values(network ? *network : *file, config, method, load, weights.idle));
  config.load_lora_embeddings = config.load_lora_embedding_B = true;  // whatever is trained from here on is to be kept
  if (config.classifies()) weights.head = read_head(*file, head, config.task.labels);
  weights.visual = read_visual(*file, config);
  return {config, weights};
}

namespace {

at::Tensor stored(const at::Tensor& value, int64_t k) {
  return value[k].to(at::kCPU, at::kFloat).contiguous();
}

// What of configuration k of an adapter stands in adapter_model.safetensors.
NamedTensors input_tensors(const AdapterConfig& config, const AdapterWeights& weights, int64_t k, bool with_delta) {
  if (config.method->keeps_prompt_alone) return {{"prompt_embeddings", stored(weights.input->whole_prompt(), k)}};
  NamedTensors tensors;
  for (const auto& [name, group, value] : weights.input->parameters()) {
    const bool idle = tensors.empty() && weights.idle.defined();
    if (with_delta || !config.decomposed() || group != Group::delta)
      tensors.emplace_back(name, stored(idle ? at::cat({value, weights.idle}, 1) : value, k));
  }
  return tensors;
}

}  // namespace

void save_adapter(const fs::path& folder, const AdapterConfig& config, const AdapterWeights& weights, int64_t k,
                  const AdapterForm& form) {
  NamedTensors tensors = input_tensors(config, weights, k, form.delta);
  for (const Parameter& parameter : head_parameters(weights.head))
    tensors.emplace_back(parameter.name, stored(parameter.value, k));
  for (const Parameter& parameter : visual_parameters(weights.visual))
    tensors.emplace_back(parameter.name, stored(parameter.value, 0));
  if (form.safetensors)
    save_safetensors(folder / tensors_name, tensors, {{"format", "pt"}});
  else
    save_torch_file(folder / torch_name, tensors);
  fs::remove(folder / (form.safetensors ? torch_name : tensors_name));  // an earlier run's
  if (form.network && config.method->keeps_prompt_alone) {
    NamedTensors network;
    for (const Parameter& parameter : weights.input->parameters())
      network.emplace_back(parameter.name, stored(parameter.value, k));
    save_safetensors(folder / network_name, network, {{"format", "pt"}});
  }
  write_atomic(folder / adapter_config_name, adapter_config_text(config, form.delta));
}

}  // namespace dept
