// Whether a folder can be had, without making it.
#pragma once

#include "dept/base/file.h"

namespace dept {

/// The folder, or the nearest one above it that is there.
fs::path nearest_folder(const fs::path& path);

/// Whether nearest_folder can be written in.
bool can_make_folder(const fs::path& path);

}  // namespace dept
