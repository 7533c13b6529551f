// What generation options may be, whoever said them.
#pragma once

#include <set>
#include <string>

#include "dept/models/generation.h"

namespace dept {

/// The options that a file said, for messages.
struct FileOptions {
  std::string path;
  std::set<std::string, std::less<>> names;
};

/// Checks the options that these take part in: those of a draw only where something is drawn. Throws bad_input naming the file of
/// an option that `file` said, else usage.
void check_options(const GenerationOptions& options, const ModelInfo& info, const FileOptions& file = {});

}  // namespace dept
