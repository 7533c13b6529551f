// A GGUF model in several files, NAME-00001-of-00003.gguf and so on, as one.
#pragma once

#include <memory>

#include "dept/tensorio/gguf.h"

namespace dept {

/// The whole of which `given` is any one shard, by its split.count; the others stand in the same folder under the names that
/// llama.cpp gives them. The metadata are the first shard's. Throws io for a shard that is not there, bad_input for shards that
/// do not belong together.
std::unique_ptr<GgufFile> join_gguf_shards(const GgufFile& given, std::unique_ptr<GgufFile> (*open)(const fs::path&));

}  // namespace dept
