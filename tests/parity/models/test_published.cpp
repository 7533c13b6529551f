// The configurations of models that people use are read, and have as many parameters as transformers gives them
// (make/published.py).
#include "support.h"
#include "unit/base/scratch.h"

namespace dept::parity {
namespace {

TEST(Published, ConfigurationsHaveTheirParameters) {
  const Scratch scratch;
  const Json models = read_json(data("published.json"));
  ASSERT_FALSE(models.empty());
  for (const auto& [name, model] : models.items()) {
    scratch.write("config.json", model.at("config").dump());
    const ModelInfo info = read_model_info(scratch.path());
    EXPECT_EQ(info.parameters, model["parameters"].get<int64_t>()) << name;
    EXPECT_EQ(info.model_type, model["config"]["model_type"]) << name;
  }
}

}  // namespace
}  // namespace dept::parity
