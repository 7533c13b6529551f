#include "dept/dist/rank_options.h"

namespace dept {

void describe(RankOptions& o, OptionSet& set) {
  set.section("Ranks");
  set.add("ranks", o.ranks,
          "start so many processes on this machine that do the work together; torchrun, srun and mpirun start their own")
      .min(1)
      .max(4096);
  set.add("rank_timeout", o.rank_timeout, "seconds to wait for a rank that does not come or shows no sign of work")
      .min(1)
      .max(1e6);
}

}  // namespace dept
