// Where a model is: a folder or a file by its path, else a name on the hub, which place_model brings to the disk.
#pragma once

#include <string>

#include "dept/base/options.h"
#include "dept/hub/hub.h"
#include "dept/options.h"

namespace dept {

void describe(HubFlags& flags, OptionSet& set);

/// Whether a model, tokenizer or adapter is named as on the hub, as a repository or ORG/REPO:FILE.gguf: no path that is there,
/// none that looks like a file's.
bool is_on_hub(const std::string& name);

/// check_hub_model, for the flags.
void check_on_hub(const std::string& name, const HubFlags& flags);

/// The name under which a model or tokenizer is found from any working folder: a path's is absolute.
std::string lasting_name(const std::string& name);
/// What a name of an adapter's file stands for: as it is, or when nothing is there, beside the adapter's folder.
std::string name_in_adapter(const std::string& name, const fs::path& adapter);

/// The path of a model or tokenizer, fetched when it is on the hub. Throws as fetch_model.
std::string place_on_disk(const std::string& name, const HubFlags& flags, ModelPart part);

}  // namespace dept
