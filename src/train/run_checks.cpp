#include "train/run_checks.h"

#include "dept/adapter/head.h"
#include "dept/adapter/method.h"
#include "dept/base/error.h"
#include "dept/base/text.h"
#include "dept/train/class_weights.h"
#include "dept/train/run_data.h"
#include "dept/train/setup.h"
#include "dept/train/task_data.h"
#include "dept/train/visual_input.h"
#include "train/first_adapter.h"

namespace dept {
namespace {

void check_positions(const ModelInfo& info, const TrainOptions& o) {
  const int64_t needed = prompt_length(o) + o.data.max_seq_length;
  if (info.max_positions > 0 && needed > info.max_positions)
    fail(Code::usage, "prefix_length + max_seq_length", str("at most the model's ", info.max_positions, " positions"),
         str(needed));
}

// Adapter and optimiser of the checkpoints that stand at once, in fp32; the head is small beside them.
void check_room(const ModelInfo& info, const TrainOptions& o) {
  if (!o.output.do_train || !o.model.peft_model_id.empty()) return;
  AdapterShape shape{o.adapter.prefix_length, o.adapter.num_transformer_submodules, info.input_width(), o.adapter.r};
  shape.max_length = o.data.max_seq_length;
  shape.hidden = hidden_units(o, info);
  double numbers = 0;
  for (const AdapterTensor& tensor : find_method(o.adapter.peft_type).tensors(shape)) {
    double product = 1;
    for (const int64_t size : tensor.shape) product *= static_cast<double>(size);
    numbers += product;
  }
  const double state = 3 * sizeof(float) * numbers, checkpoints = o.output.save_strategy == "no" ? 1 : 2;
  check_free_space(o.output.output_dir, state * checkpoints);
}

// Images are seen by models that write text.
void check_images(const ModelInfo& info, const TrainOptions& o) {
  const ImageOptions& images = o.model.images;
  if (sees_images(images) && info.architecture == Architecture::encoder)
    fail(Code::usage, "--visual", str("none for ", info.model_type, ", which only encodes"), images.visual);
  if (sees_images(images) && o.data.original_quirks)
    fail(Code::usage, "--visual", "none under --original_quirks, as the original has no images", images.visual);
}

// A named task of images says so before its rows are read.
void check_task_images(const TrainOptions& o) {
  if (!o.data.named() || !o.model.images.visual.empty()) return;
  const TaskDescription task = find_task(o.data.task_name.value_or(""), o.data.task_file, quirks_of(o.data));
  if (task.sees_images())
    fail(Code::usage, "--visual", str("where the tokens of ", task.name, "'s images come from (none: its texts alone)"),
         "nothing");
}

void check_head(const ModelInfo& info, const TrainOptions& o) {
  const bool head = task_type(o, info) == "SEQ_CLS";
  if (o.adapter.pooling && !head) fail(Code::usage, "pooling", "a task_type of SEQ_CLS with it", *o.adapter.pooling);
  if (o.adapter.pooling) check_pooling(parse_pooling(*o.adapter.pooling), info.architecture);
}

void check_weights(const ModelInfo& info, const TrainOptions& o) {
  const std::string& weights = o.optimizer.class_weights;
  if (weights.empty()) return;
  if (task_type(o, info) != "SEQ_CLS") fail(Code::usage, "class_weights", "a classification head (--task_type SEQ_CLS)", "none");
  if (quirks_of(o.data).has_no_class_weights())
    fail(Code::usage, "class_weights", "none under --original_quirks, as the original has none", weights);
}

void check_smoothing(const ModelInfo& info, const TrainOptions& o) {
  if (quirks_of(o.data).smooths_heads_only() && o.optimizer.label_smoothing_factor > 0 && task_type(o, info) != "SEQ_CLS")
    fail(Code::usage, "label_smoothing_factor",
         str("0 for ", info.model_type, " under --original_quirks, as it ends the original's run"),
         str(o.optimizer.label_smoothing_factor));
}

}  // namespace

void check_fit(const TrainOptions& o) {
  const ModelInfo info = check_model(o.model);
  check_all({[&] { check_positions(info, o); }, [&] { check_head(info, o); }, [&] { check_room(info, o); },
             [&] { check_smoothing(info, o); }, [&] { check_weights(info, o); },
             [&] { check_submodules(o.adapter.num_transformer_submodules, info); }, [&] { check_images(info, o); }});
}

ClaimRules claim_rules(const OutputOptions& o) {
  const std::string from = o.resume_from_checkpoint.value_or("false");
  return {o.overwrite_output_dir, from != "false" && from != "False"};
}

void check_run(const TrainOptions& o, const std::function<void()>& claim) {
  check_all({[&] {
               check_task(o.data, o.schedule.seed, splits_of(o.output));
               check_task_images(o);
             },
             [&] {
               check_source(o.model);
               if (!is_on_hub(o.model)) check_fit(o);
             },
             [&] { parse_dtype(o.model.dtype); }, [&] { check_class_weights(o.optimizer.class_weights); },
             [&] {
               if (o.output.resume_from_checkpoint) checkpoint_to_resume(o.output);
             },
             claim, [&] { check_output_folder(o.output.output_dir); }});
}

}  // namespace dept
