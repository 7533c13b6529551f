// Whole runs of the program beside whole runs of the original's own code on tiny models (tests/parity/make/original_runs.py).
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/program.h"
#include "dept/base/json.h"
#include "dept/data/sampler.h"
#include "dept/tensorio/tensor_source.h"

namespace dept {
namespace {

using Words = std::vector<std::string>;

const fs::path& data() {
  static const fs::path folder = fs::path(DEPT_TEST_DATA) / "parity/data/original_runs";
  return folder;
}

Words cases() {
  Words names;
  for (const auto& entry : fs::directory_iterator(data()))
    if (fs::exists(entry.path() / "run.json")) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// "--name" is followed by a path below data().
void make_absolute(Words& flags, const std::string& name) {
  const auto flag = std::find(flags.begin(), flags.end(), name);
  ASSERT_NE(flag, flags.end()) << name;
  *(flag + 1) = (data() / *(flag + 1)).string();
}

std::string value_of(const Words& flags, const std::string& name, const std::string& fallback) {
  const auto flag = std::find(flags.begin(), flags.end(), name);
  return flag == flags.end() ? fallback : *(flag + 1);
}

// Of the same keys; losses and numbers of metrics within `tolerance`, all else equal.
void expect_results(const Json& ours, const Json& original, double tolerance) {
  for (const auto& [key, value] : original.items()) {
    ASSERT_TRUE(ours.contains(key)) << key;
    if (key.find("loss") != std::string::npos && value.is_number())
      EXPECT_NEAR(ours[key].get<double>(), value.get<double>(), tolerance) << key;
    else if (value.is_number())
      EXPECT_NEAR(ours[key].get<double>(), value.get<double>(), 1e-9 * std::max(1.0, std::abs(value.get<double>()))) << key;
    else
      EXPECT_EQ(ours[key], value) << key;
  }
}

class OriginalRun : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    golden_ = read_json(data() / GetParam() / "run.json");
    flags_ = golden_["flags"].get<Words>();
    Words words = {"train"};
    words.insert(words.end(), flags_.begin(), flags_.end());
    make_absolute(words, "--model_name_or_path");
    for (const auto& [split, file] : golden_["files"].items())
      words.insert(words.end(), {"--" + split + "_file", (data() / file.get<std::string>()).string()});
    words.insert(words.end(), {"--original_quirks", "--dtype", "fp32", "--threads", "1", "--peft_model_id",
                               (data() / GetParam() / "start").string(), "--output_dir", out_.string()});
    const Outcome outcome = run_dept(words);
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    state_ = read_json(out_ / "trainer_state.json");
  }

  // The larger of `least` and ten times how far the original's fp32 is from its fp64.
  static double tolerance(double least, double noise) { return std::max(least, 10 * noise); }
  double loss_tolerance() const {
    double noise = 0;
    for (const Json& step : golden_["noise"]["loss"])
      if (step.is_number()) noise = std::max(noise, step.get<double>());
    return tolerance(1e-4, noise);
  }

  void expect_losses() const {
    if (value_of(flags_, "--logging_strategy", "steps") != "steps") return;  // the log alone tells
    size_t step = 0;
    for (const Json& entry : state_["log_history"]) {
      if (!entry.contains("loss_exact")) continue;
      ASSERT_LT(step, golden_["losses"].size());
      const Json &loss = golden_["losses"][step], &noise = golden_["noise"]["loss"][step];
      // A step without any label: not a number there, logged as nothing.
      EXPECT_NEAR(entry["loss_exact"].get<double>(), loss.is_null() ? 0 : loss.get<double>(),
                  tolerance(1e-4, noise.is_null() ? 0 : noise.get<double>()))
          << "step " << step + 1;
      ++step;
    }
    EXPECT_EQ(step, golden_["losses"].size());
  }

  // Learning rates exact, evaluations, epochs.
  void expect_log() const {
    ASSERT_EQ(state_["log_history"].size(), golden_["log"].size());
    for (size_t i = 0; i < golden_["log"].size(); ++i) {
      Json original = golden_["log"][i];
      const Json& ours = state_["log_history"][i];
      if (original.contains("learning_rate")) {
        EXPECT_EQ(ours["learning_rate"], original["learning_rate"]) << i;
      }
      expect_results(ours, original, loss_tolerance() + (original.contains("loss") ? 1e-4 : 0));
    }
    if (golden_["best"][0].is_number()) {
      EXPECT_NEAR(state_["best_metric"].get<double>(), golden_["best"][0].get<double>(), 1e-9);
      EXPECT_EQ(state_["best_model_checkpoint"], (out_ / golden_["best"][1].get<std::string>()).string());
    }
  }

  void expect_order() const {
    const Json& order = golden_["order"];
    const std::string data_seed = value_of(flags_, "--data_seed", "");
    EpochSampler sampler(
        golden_["metrics"]["train"]["train_samples"].get<int64_t>(),
        data_seed.empty() ? EpochSampler::generator_seed(std::stoull(value_of(flags_, "--seed", "42"))) : std::stoull(data_seed));
    for (const Json& epoch : order) {
      const auto visited = epoch.get<std::vector<int64_t>>();
      ASSERT_LE(visited.size(), sampler.order().size());
      EXPECT_TRUE(std::equal(visited.begin(), visited.end(), sampler.order().begin())) << "epoch " << sampler.epoch();
      sampler.next_epoch();
    }
  }

  void expect_metrics() const {
    for (const auto& [part, metrics] : golden_["metrics"].items())
      if (!metrics.empty()) expect_results(read_json(out_ / (part + "_results.json")), metrics, loss_tolerance());
  }

  void expect_predictions() const {
    std::istringstream lines(read_file(out_ / "generated_predictions.jsonl"));
    Json predictions = Json::array(), targets = Json::array();
    for (std::string line; std::getline(lines, line);) {
      predictions.push_back(Json::parse(line)["prediction"]);
      targets.push_back(Json::parse(line)["target"]);
    }
    if (golden_["answers"].is_null()) {
      Json classes = Json::array();
      for (const Json& one : golden_["classes"]) classes.push_back(std::to_string(one.get<int64_t>()));
      EXPECT_EQ(predictions, classes);
      return;
    }
    EXPECT_EQ(predictions, golden_["answers"][0]);
    EXPECT_EQ(targets, golden_["answers"][1]);
  }

  void expect_weights() const {
    const auto ours = open_safetensors(out_ / "adapter_model.safetensors");
    const auto original = open_safetensors(data() / GetParam() / "final.safetensors");
    ASSERT_EQ(ours->tensors().size(), original->tensors().size());
    for (const TensorInfo& tensor : original->tensors()) {
      ASSERT_NE(ours->find(tensor.name), nullptr) << tensor.name;
      const at::Tensor difference = (ours->read(tensor.name) - original->read(tensor.name)).abs();
      EXPECT_EQ(ours->find(tensor.name)->shape, tensor.shape) << tensor.name;
      if (difference.numel() == 0) continue;
      EXPECT_LE(difference.max().item<double>(), tolerance(1e-3, golden_["noise"]["weights"][tensor.name].get<double>()))
          << tensor.name;
    }
  }

  void expect_config() const {
    const Json config = read_json(out_ / "adapter_config.json");
    EXPECT_EQ(config.size(), golden_["config"].size());
    for (const auto& [key, value] : golden_["config"].items()) {
      if (key.find("name_or_path") != std::string::npos || key.rfind("load_", 0) == 0) continue;  // where it lay, what was loaded
      EXPECT_EQ(config[key], value) << key;
    }
  }

  Scratch scratch_;
  fs::path out_ = scratch_ / "out";
  Words flags_;
  Json golden_, state_;
};

TEST_P(OriginalRun, IsRepeated) {
  expect_losses();
  expect_log();
  expect_order();
  expect_metrics();
  expect_predictions();
  expect_weights();
  expect_config();
}

INSTANTIATE_TEST_SUITE_P(All, OriginalRun, ::testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

}  // namespace
}  // namespace dept
