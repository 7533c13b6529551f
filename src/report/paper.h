// What the paper reports of a task.
#pragma once

#include <span>
#include <string_view>

namespace dept {

struct PaperFigure {
  std::string_view task;    ///< its name here
  std::string_view metric;  ///< of the test data, in per cent
  double value;
  std::string_view setting;
};

/// Of arXiv 2309.05173, T5-base. docs/tasks.md shows the same.
std::span<const PaperFigure> paper_figures();

/// Null where the paper has none.
const PaperFigure* paper_figure(std::string_view task);

}  // namespace dept
