// The multiply-adds of a batch without padding.
#pragma once

#include <cstdint>
#include <span>

#include "dept/data/batch.h"
#include "dept/models/cost.h"

namespace dept {

/// Twice the multiply-adds of one forward pass.
struct Flop {
  double linears = 0;    ///< frozen linears, all of the last block and of cross-attention's keys and values included
  double attention = 0;  ///< q·k and p·v

  double forward() const { return linears + attention; }
  /// With the gradient of the inputs: one product more for each linear, two more for each of attention's.
  double step() const { return 2 * linears + 3 * attention; }
};

/// Of examples behind a prompt of m tokens. Norms, activations and what trains are left out.
Flop forward_flop(const ModelCost& cost, std::span<const Example> examples, int64_t m);

}  // namespace dept
