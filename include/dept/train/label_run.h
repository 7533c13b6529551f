// A label as it is read and predicted behind a source.
#pragma once

#include "dept/models/continuous.h"
#include "dept/train/encode.h"

namespace dept {

/// T5 reads the start token and all ids but the last, and predicts all. A decoder reads all but the last; the source's last token
/// predicts the first. `label` as encode_targets makes it, not empty.
LabelRun label_run(const EncodeRules& rules, const Ids& label);

}  // namespace dept
