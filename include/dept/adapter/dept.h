// Decomposed prompt tuning (arXiv 2309.05173): a short soft prompt P and a low-rank update A·B of the word embeddings.
#pragma once

#include <cstdint>

#include "dept/adapter/method.h"

namespace dept {

/// The scale of A·B: alpha / sqrt(r), 0 for r = 0.
double delta_scale(double alpha, int64_t rank);

}  // namespace dept
