// Ranks that do one work have to be alike: the same program, options, data and model.
#pragma once

#include "dept/tensor/context.h"
#include "dept/train/marker.h"

namespace dept {

/// Returns when every rank has come here with the same program and `run`, its options and contents (its command is not looked
/// at). Throws usage on all ranks, naming the first rank that differs from rank 0, and what differs. A null group is one rank.
void require_alike(Collective* group, const RunIdentity& run);

}  // namespace dept
