// configs/tasks.yaml, put into the library by the build.
#pragma once

namespace dept {

extern const char* const built_in_yaml;

}  // namespace dept
