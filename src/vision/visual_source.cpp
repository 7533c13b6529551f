#include "dept/vision/visual_source.h"

namespace dept {

std::vector<at::Tensor> VisualSource::read_all(std::span<const std::string> images) const {
  std::vector<at::Tensor> tokens;
  for (const std::string& image : images) tokens.push_back(read(image));
  return tokens;
}

}  // namespace dept
