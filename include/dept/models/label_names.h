// The names of the classes that a model's own classification head tells apart.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dept/base/file.h"

namespace dept {

/// The names by row: config.json's id2label, else its label2id turned round; empty means that it names none (a .gguf file never
/// does). Throws io or bad_input.
std::vector<std::string> label_names(const fs::path& model);

/// For each of `labels` the row of the name that means it: the same name, else the only one that differs in case alone, else the
/// same number (LABEL_1 and 1). Nothing unless every name is the meaning of one label.
std::optional<std::vector<int64_t>> rows_of_labels(const std::vector<std::string>& names, const std::vector<std::string>& labels);

}  // namespace dept
