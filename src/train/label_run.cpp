#include "dept/train/label_run.h"

namespace dept {

LabelRun label_run(const EncodeRules& rules, const Ids& label) {
  LabelRun run{{label.begin(), label.end() - 1}, label, std::nullopt};
  if (rules.encoder_decoder()) {
    run.inputs.insert(run.inputs.begin(), rules.decoder_start_id);
  } else {
    run.first = label.front();
    run.outputs.erase(run.outputs.begin());
  }
  return run;
}

}  // namespace dept
