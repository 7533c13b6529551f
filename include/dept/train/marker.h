// run.json claims an output folder for one run: its command given again goes on, another command, or other files behind the same
// names, is refused.
#pragma once

#include "dept/base/file.h"
#include "dept/base/json.h"

namespace dept {

enum class Claim {
  fresh,     ///< nothing was there
  goes_on,   ///< the same run began here before
  finished,  ///< and ended
};

/// A run: the options that decide what comes out (a flat mapping), and digests of what their files hold ({option: {file:
/// digest}}).
struct RunIdentity {
  OrderedJson options, contents = OrderedJson::object();
  std::string command = {};  ///< as typed, kept for people; "" is left out
};

/// What a run may do with an earlier one's folder.
struct ClaimRules {
  bool overwrite = false;  ///< remove its files
  bool resumes = false;    ///< go on from its checkpoint, to more steps or epochs than it was to have
  const char* marker = "run.json";
};

/// Claims the folder. Unless it may overwrite, throws usage naming the options and the files that differ from those of the run
/// that is there, with what leads on, or when there are files of no run. Of contents those are compared that both runs know.
Claim claim_output(const fs::path& output_dir, const RunIdentity& run, const ClaimRules& rules);

/// What claim_output would say or throw, without touching anything.
Claim check_claim(const fs::path& output_dir, const RunIdentity& run, const ClaimRules& rules);

/// Whether a run has claimed the folder.
bool is_claimed(const fs::path& output_dir);

/// Whether the runs that claimed two folders read the same files for `option`, as far as both say.
bool same_contents(const fs::path& output_dir, const fs::path& other_dir, const std::string& option);

/// Removes what a killed process had in the folder under temporary names.
void remove_leftovers(const fs::path& folder);

/// The run has written everything.
void mark_finished(const fs::path& output_dir, const RunIdentity& run);

}  // namespace dept
