// Adapters through the program: those that PEFT wrote run as PEFT runs them, ours keep how they were trained, others are refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cli/lines_of.h"
#include "cli/program.h"
#include "cli/tiny_training.h"

namespace dept {
namespace test_adapters {

using testing::HasSubstr;
using Words = std::vector<std::string>;

fs::path data() {
  return fs::path(DEPT_TEST_DATA) / "parity/data";
}
std::string model(const std::string& name) {
  return (data() / "models" / name).string();
}
std::string peft(const std::string& name) {
  return (data() / "adapter/peft" / name).string();
}
const std::string tokenizer = (data() / "models/llama-gqa-tied/tokenizer.json").string();

std::vector<Json> lines_of(const Words& arguments, const Json& input) {
  const Outcome outcome = run_dept(arguments, joined(input));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return parsed(outcome.out);
}

/// By tests/parity/make/peft_prompts.py; the base model is found beside the adapter.
class OfPeft : public testing::TestWithParam<std::string> {
 protected:
  const Json golden_ = read_json(peft(GetParam()) + ".json");
  const std::string adapter_ = peft(GetParam());
};

class PeftWriters : public OfPeft {};

TEST_P(PeftWriters, AnswerAndScoreAsThere) {
  Json texts = Json::array(), pairs = Json::array();
  for (const Json& one : golden_["answers"]) texts.push_back(one["text"]);
  for (const Json& one : golden_["scores"]) pairs.push_back({{"source", one["source"]}, {"target", one["target"]}});
  const std::string most = golden_["max_new_tokens"].dump();
  const auto generated = lines_of({"generate", "--peft_model_id", adapter_, "--max_new_tokens", most}, texts);
  const auto predicted = lines_of({"predict", "--peft_model_id", adapter_, "--max_new_tokens", most}, texts);
  ASSERT_EQ(generated.size(), texts.size());
  ASSERT_EQ(predicted.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(generated[i]["ids"], golden_["answers"][i]["ids"]) << texts[i];
    EXPECT_EQ(generated[i]["text"], golden_["answers"][i]["answer"]) << texts[i];
    std::string stripped = golden_["answers"][i]["answer"];
    stripped.erase(0, stripped.find_first_not_of(' '));
    stripped.erase(stripped.find_last_not_of(' ') + 1);
    EXPECT_EQ(predicted[i]["prediction"], stripped) << texts[i];
  }
  const auto scored = lines_of({"score", "--peft_model_id", adapter_}, pairs);
  ASSERT_EQ(scored.size(), pairs.size());
  for (size_t i = 0; i < pairs.size(); ++i)
    EXPECT_NEAR(scored[i]["loss"].get<double>(), golden_["scores"][i]["loss"].get<double>(), 1e-4) << pairs[i];
}

INSTANTIATE_TEST_SUITE_P(All, PeftWriters, testing::Values("causal", "seq2seq"), [](const auto& info) { return info.param; });

class PeftHeads : public OfPeft {};

TEST_P(PeftHeads, EvaluateAsThere) {
  Json texts = Json::array();
  for (const Json& row : golden_["rows"]) texts.push_back(row["text"]);
  const auto evaluated = lines_of({"predict", "--peft_model_id", adapter_, "--tokenizer_name", tokenizer, "--scores"}, texts);
  ASSERT_EQ(evaluated.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(evaluated[i]["prediction"], golden_["rows"][i]["prediction"]) << texts[i];
    for (size_t c = 0; c < golden_["labels"].size(); ++c)
      EXPECT_NEAR(evaluated[i]["scores"][golden_["labels"][c].get<std::string>()].get<double>(),
                  golden_["rows"][i]["shares"][c].get<double>(), 1e-4)
          << texts[i];
  }
}

TEST_P(PeftHeads, LabelsInAnotherOrderAreQuestioned) {
  Words labels = golden_["labels"].get<Words>();
  std::swap(labels[0], labels[1]);
  std::string list = labels[0];
  for (size_t i = 1; i < labels.size(); ++i) list += "," + labels[i];
  const Outcome outcome =
      run_dept({"predict", "--peft_model_id", adapter_, "--tokenizer_name", tokenizer, "--labels", list}, "\"the film is\"\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.err.find("id2label") != std::string::npos, GetParam() != "decoder-head") << "whose model has no names";
}

TEST_P(PeftHeads, AreEvaluatedUnderTheModelsNames) {
  std::string table = "text,label\n";
  for (const Json& row : golden_["rows"])
    table += "\"" + row["text"].get<std::string>() + "\"," + row["prediction"].get<std::string>() + "\n";
  const Scratch scratch;
  const std::string file = scratch.write("test.csv", table).string();
  const Words with{"eval", "--peft_model_id", adapter_, "--tokenizer_name", tokenizer, "--test_file", file};
  const Outcome outcome = run_dept(with);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["accuracy"], 100);
}

INSTANTIATE_TEST_SUITE_P(All, PeftHeads, testing::Values("bert", "roberta", "decoder-head"),
                         [](const auto& info) { return info.param == "decoder-head" ? std::string("decoder") : info.param; });

/// A copy of an adapter with other fields.
std::string changed(const Scratch& scratch, const fs::path& adapter, const Json& fields) {
  const fs::path copy = scratch / "adapter";
  fs::remove_all(copy);
  fs::copy(adapter, copy);
  Json config = read_json(copy / "adapter_config.json");
  config.update(fields);
  write_atomic(copy / "adapter_config.json", config.dump());
  return copy.string();
}

TEST(ForeignAdapter, OfAnotherFamilyIsRefused) {
  const Scratch scratch;
  const std::string csv = scratch.write("rows.csv", "text,label\nthe film,a\na film,b\n").string(),
                    out = (scratch / "out").string();
  for (const auto& [base, adapter, type] : {std::tuple{"llama-gqa-tied", peft("causal"), "SEQ_2_SEQ_LM"},
                                            {"t5-v1.0", peft("seq2seq"), "CAUSAL_LM"},
                                            {"t5-v1.0", peft("seq2seq"), "SEQ_CLS"},
                                            {"bert", peft("bert"), "CAUSAL_LM"},
                                            {"llama-gqa-tied", peft("causal"), "TOKEN_CLS"}}) {
    const std::string folder = changed(scratch, adapter, {{"task_type", type}, {"modules_to_save", nullptr}});
    const Words with{"--peft_model_id", folder, "--model_name_or_path", model(base)};
    for (Words command : {Words{"predict"},
                          {"generate"},
                          {"score"},
                          {"eval", "--test_file", csv},
                          {"train", "--do_train", "--train_file", csv, "--output_dir", out}}) {
      if (type == std::string("SEQ_CLS") && (command[0] == "generate" || command[0] == "score")) continue;  // a head
      command.insert(command.end(), with.begin(), with.end());
      const std::string error = expect_one_line(run_dept(command, "\"the\"\n"), 3);
      EXPECT_THAT(error, HasSubstr("adapter_config.json: task_type]")) << command[0];
      EXPECT_THAT(error, HasSubstr(str("received \"", type, "\""))) << command[0];
    }
  }
  EXPECT_FALSE(fs::exists(out));
}

TEST(ForeignAdapter, OfAnotherKindIsRefusedByName) {
  const Scratch scratch;
  const auto refused = [&](const Json& fields) {
    return expect_one_line(run_dept({"predict", "--peft_model_id", changed(scratch, peft("causal"), fields)}, "\"the\"\n"), 3);
  };
  for (const char* type : {"LORA", "PREFIX_TUNING", "MULTITASK_PROMPT_TUNING", "IA3"})
    EXPECT_THAT(refused({{"peft_type", type}}), HasSubstr(str("received \"", type, "\"")));
  EXPECT_THAT(refused({{"modules_to_save", {"lm_head"}}}), HasSubstr("modules_to_save] expected none, received \"lm_head\""));
}

TEST(ForeignAdapter, FieldsThatNobodyKnowsAreNamed) {
  const Scratch scratch;
  const std::string folder =
      changed(scratch, peft("causal"), {{"layers_to_transform", {1}}, {"rescale", 2.0}, {"later_field", nullptr}});
  const Outcome outcome =
      run_dept({"predict", "--peft_model_id", folder, "--model_name_or_path", model("llama-gqa-tied")}, "\"the\"\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("not known here and without effect: layers_to_transform, rescale\n"));
}

TEST(ForeignAdapter, WithoutATaskTypeIsTheModels) {
  const Scratch scratch;
  const std::string folder = changed(scratch, peft("causal"), {{"task_type", nullptr}});
  const Json text = {"the film is"};
  EXPECT_EQ(lines_of({"predict", "--peft_model_id", folder, "--model_name_or_path", model("llama-gqa-tied")}, text),
            lines_of({"predict", "--peft_model_id", peft("causal")}, text));
}

/// A run of two steps on the tiny Llama with the tokenizer of the recipes.
class OwnAdapter : public testing::Test {
 protected:
  OwnAdapter() { put_tiny_model(base_); }
  void train(const Words& more) const {
    Words flags{"--r", "2", "--learning_rate", "0.3", "--report_to", "none", "--train_file", rows_, "--overwrite_output_dir"};
    flags.insert(flags.end(), more.begin(), more.end());
    const Outcome outcome = run_dept(tiny_training(base_, out_, flags));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  Json config() const { return read_json(out_ / "adapter_config.json"); }

  Scratch scratch_;
  const fs::path base_ = scratch_ / "model", out_ = scratch_ / "out";
  const std::string rows_ =
      scratch_.write("rows.csv", "sentence,verdict\na fine film,yes\na dull film,no\na good film,yes\na bad film,no\n").string();
};

TEST_F(OwnAdapter, KeepsHowItAnswers) {
  train({"--text_column", "sentence", "--label_column", "verdict", "--predict_by", "score", "--source_template", "Review: {text}",
         "--causal_suffix", " Verdict:", "--target_end", "none", "--truncate_head", "--dtype", "bf16", "--generation_max_length",
         "9"});
  const Json task = config()["task"];
  EXPECT_EQ(task["predict_by"], "score");
  EXPECT_EQ(task["dtype"], "bf16");
  EXPECT_EQ(task["truncate_head"], true);
  EXPECT_EQ(task["target_end"], "none");
  EXPECT_EQ(task["generation_max_length"], 9);

  const Words by_itself{"eval", "--peft_model_id", out_.string(), "--test_file", rows_};
  Words told = by_itself;
  told.insert(told.end(),
              {"--text_column", "sentence", "--label_column", "verdict", "--predict_by", "score", "--source_template",
               "Review: {text}", "--causal_suffix", " Verdict:", "--target_end", "none", "--truncate_head", "--dtype", "bf16"});
  const Outcome kept = run_dept(by_itself);
  ASSERT_EQ(kept.code, 0) << kept.err;
  EXPECT_EQ(kept.out, run_dept(told).out);
  Words other = by_itself;
  other.insert(other.end(), {"--dtype", "fp32"});
  EXPECT_NE(run_dept(other).out, kept.out) << "a flag wins";
  other.back() = "bf16";
  other.insert(other.end(), {"--target_end", "eos"});
  EXPECT_NE(run_dept(other).out, kept.out) << "the end token counts";

  const Outcome predicted = run_dept({"predict", "--peft_model_id", out_.string(), "--input", rows_, "--scores"});
  ASSERT_EQ(predicted.code, 0) << predicted.err;
  for (const Json& line : parsed(predicted.out))
    EXPECT_EQ(line["prediction"], line["scores"]["yes"] > line["scores"]["no"] ? "yes" : "no") << "by score";
}

TEST_F(OwnAdapter, ScoresUnderItsTemplateUnlessRaw) {
  train({"--text_column", "sentence", "--label_column", "verdict", "--source_template", "Review: {text}", "--causal_suffix",
         " Verdict:"});
  const auto scored = [&](const std::string& source, const Words& more) {
    Words flags{"score", "--peft_model_id", out_.string()};
    flags.insert(flags.end(), more.begin(), more.end());
    return lines_of(flags, {{{"source", source}, {"target", "yes"}}});
  };
  EXPECT_EQ(scored("a fine film", {}), scored("Review: a fine film Verdict:", {"--raw"}));
  EXPECT_NE(scored("a fine film", {}), scored("a fine film", {"--raw"}));

  train({"--label_column", "verdict", "--source_template", "{sentence} it is"});
  const Words with{"score", "--peft_model_id", out_.string()};
  EXPECT_THAT(expect_one_line(run_dept(with, "{\"source\": \"a film\", \"target\": \"yes\"}\n"), 3), HasSubstr("--raw"));
}

TEST_F(OwnAdapter, FindsItsModelFromAnyFolder) {
  const fs::path here = fs::current_path();
  fs::current_path(scratch_.path());
  train({"--text_column", "sentence", "--label_column", "verdict", "--model_name_or_path", "model"});
  fs::current_path(here);
  EXPECT_EQ(config()["base_model_name_or_path"], base_.lexically_normal().string());
  EXPECT_EQ(run_dept({"predict", "--peft_model_id", out_.string()}, "\"a film\"\n").code, 0);

  Json old = config();  // of a version that kept what it was told
  old["base_model_name_or_path"] = "../model";
  write_atomic(out_ / "adapter_config.json", old.dump());
  EXPECT_EQ(run_dept({"predict", "--peft_model_id", out_.string()}, "\"a film\"\n").code, 0);
}

TEST_F(OwnAdapter, OfATokenizerBesideTheModelUsesIt) {
  const fs::path apart = scratch_ / "apart";
  fs::create_directory(apart);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) fs::rename(base_ / name, apart / name);
  train({"--text_column", "sentence", "--label_column", "verdict", "--tokenizer_name", apart.string()});
  EXPECT_EQ(run_dept({"predict", "--peft_model_id", out_.string()}, "\"a film\"\n").code, 0);
}

/// The shares of labels by a head that is taken over: tests/parity/make/own_head.py.
TEST(OwnHead, KeepsItsMeaning) {
  const Json golden = read_json(data() / "adapter/own_head.json");
  const Scratch scratch;
  const fs::path base = scratch / "bert", out = scratch / "out";
  fs::copy(model("bert"), base);
  Json config = read_json(base / "config.json"), names = Json::object();
  for (size_t i = 0; i < 3; ++i) names[std::to_string(i)] = golden["names"][i];
  const auto train_under = [&](const Json& id2label, const std::string& labels) {
    config["id2label"] = id2label;
    write_atomic(base / "config.json", config.dump());
    const std::string csv =
        scratch.write("rows.csv", "text,label\nthe film is," + labels.substr(0, labels.find(',')) + "\n").string();
    return run_dept(
        typed("train --do_train --max_steps 1 --learning_rate 0 --prefix_length 1 --r 0 --pooling cls --max_seq_length 20"
              " --report_to none --overwrite_output_dir --threads 1 --prompt_tuning_init_text the",
              {"--train_file", csv, "--labels", labels, "--tokenizer_name", tokenizer, "--model_name_or_path", base,
               "--output_dir", out}));
  };
  for (const Words& order : {Words{"first", "SECOND", "Third"}, Words{"second", "third", "FIRST"}}) {
    const Outcome trained = train_under(names, order[0] + "," + order[1] + "," + order[2]);
    ASSERT_EQ(trained.code, 0) << trained.err;
    Json texts = Json::array();
    for (const Json& row : golden["rows"]) texts.push_back(row["text"]);
    const auto evaluated = lines_of({"predict", "--peft_model_id", out.string(), "--scores"}, texts);
    ASSERT_EQ(evaluated.size(), texts.size());
    const auto same = [](const std::string& a, const std::string& b) { return std::tolower(a[0]) == std::tolower(b[0]); };
    for (size_t i = 0; i < evaluated.size(); ++i)
      for (const auto& [name, share] : golden["rows"][i]["shares"].items())
        for (const std::string& label : order)
          if (same(name, label)) {
            EXPECT_NEAR(evaluated[i]["scores"][label].get<double>(), share.get<double>(), 0.05) << "but for one vector";
          }
  }
  EXPECT_THAT(train_under(names, "a,b,c").err, HasSubstr("tells apart Third, first, SECOND; the data a, b, c"));
}

}  // namespace test_adapters
}  // namespace dept
