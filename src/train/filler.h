// What a small batch lacks to be computed as in a larger one: in a stack of runs, or as the whole batch of all ranks.
#pragma once

#include <cstdint>

#include "dept/data/batch.h"
#include "dept/models/backbone.h"

namespace dept {

/// An encoder-decoder's batch with examples without labels behind the others, where their targets have too few tokens together
/// or where none is as long as `longest`, by which T5 chooses how it reads the encoder's output. What stands in front of them is
/// computed as without them. Other batches are given back as they are.
Batch with_filler(Batch batch, int64_t longest);

}  // namespace dept
