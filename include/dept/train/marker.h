// run.json claims an output folder for one command: given again it goes on, another command is refused.
#pragma once

#include "dept/base/file.h"
#include "dept/base/json.h"

namespace dept {

enum class Claim {
  fresh,     ///< nothing was there
  goes_on,   ///< the same command began here before
  finished,  ///< and ended
};

/// Claims the folder for `options` (a flat mapping). Unless `overwrite`, throws usage naming the options that differ from those
/// of the run that is there, or when there are files of no run. With `overwrite` an earlier run's files are removed.
Claim claim_output(const fs::path& output_dir, const OrderedJson& options, bool overwrite);

/// What claim_output would say or throw, without touching anything.
Claim check_claim(const fs::path& output_dir, const OrderedJson& options, bool overwrite);

/// The run has written everything.
void mark_finished(const fs::path& output_dir, const OrderedJson& options);

}  // namespace dept
