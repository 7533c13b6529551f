#include "report/paper.h"

#include <algorithm>

namespace dept {

std::span<const PaperFigure> paper_figures() {
  constexpr std::string_view usual = "m 60, r 30", longer = "m 80, r 15", shorter = "m 40, r 45";
  static constexpr PaperFigure figures[] = {
      {"mnli", "accuracy", 85.0, usual},
      {"qqp", "accuracy", 90.4, usual},
      {"qnli", "accuracy", 93.2, usual},
      {"sst2", "accuracy", 94.2, usual},
      {"stsb", "pearson", 90.8, usual},
      {"mrpc", "accuracy", 90.7, usual},
      {"rte", "accuracy", 79.1, usual},
      {"cola", "matthews_correlation", 63.8, longer},
      {"superglue-multirc", "f1", 74.3, usual},
      {"superglue-boolq", "accuracy", 79.3, shorter},
      {"superglue-wic", "accuracy", 68.7, usual},
      {"superglue-wsc.fixed", "accuracy", 67.3, usual},
      {"superglue-cb", "accuracy", 92.9, usual},
      {"nq", "f1", 73.2, usual},
      {"hotpotqa", "f1", 76.8, usual},
      {"searchqa", "f1", 77.6, usual},
      {"newsqa", "f1", 64.4, usual},
      {"winogrande", "accuracy", 59.0, usual},
      {"yelp_polarity", "accuracy", 96.8, usual},
      {"scitail", "accuracy", 95.6, usual},
      {"paws", "accuracy", 93.7, usual},
  };
  return figures;
}

const PaperFigure* paper_figure(std::string_view task) {
  const auto figures = paper_figures();
  const auto found = std::find_if(figures.begin(), figures.end(), [&](const PaperFigure& one) { return one.task == task; });
  return found == figures.end() ? nullptr : &*found;
}

}  // namespace dept
