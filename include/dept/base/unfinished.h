// Names of files that are not whole yet: a signal that ends the program removes them.
#pragma once

#include "dept/base/file.h"

namespace dept {

/// From here remove_unfinished() removes the file, until it is forgotten. Of more than 16 at once some stay.
void note_unfinished(const fs::path& path);
void forget_unfinished(const fs::path& path);

/// For the end of the program alone. A signal handler may call it.
void remove_unfinished();

}  // namespace dept
