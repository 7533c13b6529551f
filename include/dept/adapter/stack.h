// Several adapters of one form as one.
#pragma once

#include <span>

#include "dept/adapter/weights.h"

namespace dept {

/// Whether both are of one method and shape, with heads of one form and size, and without a visual embedding, which is not
/// stacked.
bool alike(const AdapterWeights& a, const AdapterWeights& b);

/// Adapters that are alike as one stack, whose K is the sum of theirs. Its memory is new, and the parts' own tensors become views
/// of it: who moves a part moves the stack. Throws bug for parts that are not alike.
AdapterWeights stack_weights(std::span<const AdapterWeights* const> parts);

}  // namespace dept
