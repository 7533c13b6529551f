#include "dept/adapter/adapter_file.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/cat.h>

#include <algorithm>

#include "adapter/adapter_config.h"
#include "dept/adapter/init.h"
#include "dept/base/error.h"
#include "dept/base/log.h"
#include "dept/base/text.h"

namespace dept {
namespace {

constexpr const char* tensors_name = "adapter_model.safetensors";
constexpr const char* torch_name = "adapter_model.bin";

// The form whose tensors the file has.
HeadForm head_form(const TensorSource& file) {
  for (HeadForm form : {HeadForm::score, HeadForm::classifier, HeadForm::dense})
    if (file.find(adapter_members(form).back().name) != nullptr) return form;
  return HeadForm::none;
}

void check_names(const TensorSource& file, std::span<const AdapterMember> members) {
  const auto known = [&](const std::string& name) {
    return std::any_of(members.begin(), members.end(), [&](const AdapterMember& member) { return name == member.name; });
  };
  for (const TensorInfo& tensor : file.tensors())
    if (!known(tensor.name))
      fail(Code::bad_input, file.path().string(), "prompt_embeddings, lora_embedding_A, _B and one head alone",
           quote(tensor.name));
}

bool lacks_delta(const TensorSource& file) {
  return file.find(member_name(HeadForm::none, &AdapterWeights::A)) == nullptr &&
         file.find(member_name(HeadForm::none, &AdapterWeights::B)) == nullptr;
}

// Labels and width of a head, from its last matrix; as many labels as the config names, 1 (regression) when it names none.
std::pair<int64_t, int64_t> head_size(const TensorSource& file, HeadForm form, const std::vector<std::string>& labels) {
  const std::string name = member_name(form, &AdapterWeights::out);
  const TensorInfo* stored = file.find(name);
  if (stored == nullptr || stored->shape.size() != 2 || stored->shape[0] < 1)
    fail(Code::bad_input, file.path().string(), str("the matrix ", name), stored == nullptr ? "none" : "another shape");
  const auto count = static_cast<int64_t>(labels.size());
  if (count > 0 && stored->shape[0] != count)
    fail(Code::bad_input, str(file.path().string(), ": ", name), str(count, " rows, one a label"), str(stored->shape[0]));
  return {stored->shape[0], stored->shape[1]};
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

Adapter load_adapter(const fs::path& folder, int64_t hidden, uint64_t seed, const LoadDelta& load) {
  AdapterConfig config = read_adapter_config(folder);
  if (!config.unknown_fields.empty())
    log::warn(str("[", (folder / adapter_config_name).string(),
                  "] not known here and without effect: ", join(config.unknown_fields, ", ")));
  const bool loads_A = load.embeddings.value_or(config.load_lora_embeddings);
  const bool loads_B = loads_A && load.embedding_B.value_or(config.load_lora_embedding_B);
  config.load_lora_embeddings = config.load_lora_embedding_B = true;  // whatever is trained from here on is to be kept
  const int64_t M = config.num_virtual_tokens, S = config.max_length, R = config.r, D = config.token_dim;
  if (D != hidden)
    fail(Code::bad_input, str((folder / adapter_config_name).string(), ": token_dim"), str(hidden, ", the width of the model"),
         str(D));

  const auto file = open_adapter_weights(folder);
  AdapterWeights weights;
  weights.form = head_form(*file);
  check_names(*file, adapter_members(weights.form));
  if (config.classifies() != (weights.form != HeadForm::none))
    fail(Code::bad_input, file->path().string(), "a classification head exactly when task_type is SEQ_CLS",
         quote(config.task_type));
  const auto read = [&](at::Tensor AdapterWeights::*tensor, const std::vector<int64_t>& shape) {
    const std::string name = member_name(weights.form, tensor);
    if (file->find(name) == nullptr) fail(Code::bad_input, file->path().string(), str("the tensor ", name), "none");
    weights.*tensor = file->read(name, shape, at::kFloat).unsqueeze(0);
  };
  read(&AdapterWeights::P, {config.prompt_rows(), D});
  if (config.original() && config.num_transformer_submodules == 2) {
    weights.idle = weights.P.narrow(1, M, M).contiguous();
    weights.P = weights.P.narrow(1, 0, M).contiguous();
  }
  const bool lacking = lacks_delta(*file);
  if (config.decomposed() && loads_A && lacking)
    log::warn(file->path().string() + " has a prompt but no lora_embedding_A and no lora_embedding_B: they start anew");
  const DeptWeights fresh = init_dept(weights.P[0], config.decomposed() ? S : 0, R, at::detail::createCPUGenerator(seed));
  weights.A = fresh.A;
  weights.B = fresh.B;
  if (config.decomposed() && loads_A && !lacking) {
    read(&AdapterWeights::A, {S, R});
    if (loads_B) read(&AdapterWeights::B, {R, D});
  }
  if (config.classifies()) {
    const auto [labels, width] = head_size(*file, weights.form, config.task.labels);
    for (const auto& [tensor, shape] : head_tensors(weights.form, labels, width)) read(tensor, shape);
  }
  return {config, weights};
}

void save_adapter(const fs::path& folder, const AdapterConfig& config, const AdapterWeights& weights, int64_t k,
                  const AdapterForm& form) {
  const bool with_delta = config.decomposed() && form.delta;
  NamedTensors tensors;
  for (const AdapterMember& member : adapter_members(weights.form)) {
    const bool delta = member.tensor == &AdapterWeights::A || member.tensor == &AdapterWeights::B;
    at::Tensor value = weights.*member.tensor;
    if (member.tensor == &AdapterWeights::P && weights.idle.defined()) value = at::cat({value, weights.idle}, 1);
    if (with_delta || !delta) tensors.emplace_back(member.name, value[k].to(at::kCPU, at::kFloat).contiguous());
  }
  if (form.safetensors)
    save_safetensors(folder / tensors_name, tensors, {{"format", "pt"}});
  else
    save_torch_file(folder / torch_name, tensors);
  fs::remove(folder / (form.safetensors ? torch_name : tensors_name));  // an earlier run's
  write_atomic(folder / adapter_config_name, adapter_config_text(config, form.delta));
}

}  // namespace dept
