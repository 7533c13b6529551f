// adapter_config.json as text.
#pragma once

#include "dept/adapter/adapter_file.h"

namespace dept {

inline constexpr const char* adapter_config_name = "adapter_config.json";

/// What adapter_config.json says; under Semantics::original in the original's own form, which tells whether A and B are written.
std::string adapter_config_text(const AdapterConfig& config, bool with_delta);

}  // namespace dept
