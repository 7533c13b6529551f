// Conversations: training, evaluation, predictions and continuations in a model's chat form.
#include <gmock/gmock.h>

#include "cli/lines_of.h"
#include "cli/program.h"
#include "cli/tiny_training.h"
#include "dept/base/json.h"

namespace dept {
namespace {

using testing::HasSubstr;

constexpr const char* mistral =
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ m['content'] + eos_token }}{% endif %}{% endfor %}";

constexpr const char* two_turns = R"({"messages": [{"role": "user", "content": "red"}, {"role": "assistant", "content": "yes"},)"
                                  R"( {"role": "user", "content": "blue"}, {"role": "assistant", "content": "no no"}]})"
                                  "\n";

class Chat : public testing::Test {
 protected:
  void SetUp() override {
    put_tiny_model(model());
    put_template(mistral);
  }
  std::string model() const { return (scratch_ / "model").string(); }
  void put_template(const std::string& text) const {
    write_atomic(fs::path(model()) / "tokenizer_config.json", Json{{"tokenizer_class", "PreTrainedTokenizerFast"},
                                                                   {"pad_token", "<pad>"},
                                                                   {"eos_token", "<pad>"},
                                                                   {"chat_template", text}}
                                                                  .dump());
  }
  Json ids(const std::string& text) const {
    const Outcome outcome = run_dept({"tokenize", "--model_name_or_path", model()}, Json(text).dump() + "\n");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return Json::parse(outcome.out);
  }
  Outcome eval(const std::string& rows, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {
        "eval", "--model_name_or_path", model(), "--test_file", scratch_.write("rows.jsonl", rows), "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return run_dept(words);
  }
  void train(const std::string& rows) const {
    const Outcome outcome =
        run_dept(tiny_training(model(), scratch_ / "run", {"--train_file", scratch_.write("train.jsonl", rows)}));
    ASSERT_EQ(outcome.code, 0) << outcome.err;
  }
  std::vector<Json> predict(const std::string& lines) const {
    const Outcome outcome = run_dept({"predict", "--peft_model_id", (scratch_ / "run").string(), "--threads", "1"}, lines);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return parsed(outcome.out);
  }

  Scratch scratch_;
};

// Of the whole conversation in one pass, where all but the answers is hidden.
TEST_F(Chat, TheLossIsThatOfAllAnswersAlone) {
  Json whole = Json::array(), labels = Json::array();
  for (const auto& [text, counts] :
       {std::pair{"[INST] red [/INST]", false}, {"yes<pad>", true}, {"[INST] blue [/INST]", false}, {"no no<pad>", true}})
    for (const Json& id : ids(text)) {
      whole.push_back(id);
      labels.push_back(counts ? id : Json(-100));
    }
  const Outcome scored = run_dept({"score", "--model_name_or_path", model(), "--threads", "1"},
                                  Json{{"input_ids", whole}, {"labels", labels}}.dump() + "\n");
  ASSERT_EQ(scored.code, 0) << scored.err;
  const Outcome evaluated = eval(two_turns);
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  const Json found = Json::parse(evaluated.out);
  EXPECT_EQ(found["examples"], 2);
  EXPECT_TRUE(found.contains("exact_match"));
  EXPECT_NEAR(found["loss"].get<double>(), Json::parse(scored.out)["loss"].get<double>(), 1e-5);
}

TEST_F(Chat, AnAdapterKnowsThatItWasTrainedOnConversations) {
  train(two_turns);
  EXPECT_EQ(read_json(scratch_ / "run/adapter_config.json")["task"]["chat"], true)
      << read_file(scratch_ / "run/adapter_config.json");
  const std::vector<Json> answers = predict(
      "{\"messages\": [{\"role\": \"user\", \"content\": \"red\"}]}\n\"red\"\n{\"text\": \"red\"}\n{\"instruction\": \"red\", "
      "\"input\": \"\"}\n"
      "{\"messages\": [{\"role\": \"user\", \"content\": \"red\"}, {\"role\": \"assistant\", \"content\": \"left out\"}]}\n");
  ASSERT_EQ(answers.size(), 5U);
  for (const Json& answer : answers) EXPECT_EQ(answer, answers.front());
}

TEST_F(Chat, AlpacasRowsAreConversations) {
  const std::string
      alpaca = R"({"instruction": "red", "input": "or blue", "output": "yes"})",
      other = R"({"instruction": "one", "input": "", "output": "no"})",
      messages = R"({"messages": [{"role": "user", "content": "red\n\nor blue"}, {"role": "assistant", "content": "yes"}]})",
      second = R"({"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "no"}]})";
  const Outcome one = eval(alpaca + "\n" + other + "\n"), same = eval(messages + "\n" + second + "\n");
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.out, same.out);
}

TEST_F(Chat, GenerateTakesMessages) {
  const std::string messages = R"({"messages": [{"role": "user", "content": "red"}]})";
  const Json plain = {{"input_ids", ids("[INST] red [/INST]")}};
  const Outcome outcome = run_dept({"generate", "--model_name_or_path", model(), "--max_new_tokens", "4", "--threads", "1"},
                                   messages + "\n" + plain.dump() + "\n");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const std::vector<Json> lines = parsed(outcome.out);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], lines[1]);
}

TEST_F(Chat, PredictionsWithoutAnAdapterTakeMessagesToo) {
  const Outcome outcome = run_dept({"predict", "--model_name_or_path", model(), "--threads", "1"},
                                   "{\"messages\": [{\"role\": \"user\", \"content\": \"red\"}]}\n");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(parsed(outcome.out).size(), 1U);
}

TEST_F(Chat, TheOldestTurnsOfALongConversationAreLeftOut) {
  const std::string last = R"({"messages": [{"role": "user", "content": "blue"}, {"role": "assistant", "content": "no no"}]})";
  const Outcome cut = eval(two_turns, {"--max_seq_length", std::to_string(ids("[INST] blue [/INST]").size())});
  ASSERT_EQ(cut.code, 0) << cut.err;
  EXPECT_THAT(cut.err, HasSubstr("1 of 2 texts"));
  const Outcome alone = eval(R"({"messages": [{"role": "user", "content": "red"}, {"role": "assistant", "content": "yes"}]})"
                             "\n" +
                             last + "\n");
  ASSERT_EQ(alone.code, 0) << alone.err;
  EXPECT_EQ(cut.out, alone.out);
  const Outcome refused = eval(two_turns, {"--max_seq_length", "5"});
  EXPECT_EQ(refused.code, 3);
  EXPECT_THAT(refused.err, HasSubstr("rows.jsonl:1: messages] expected a conversation whose last turn has at most 5 tokens"));
}

TEST_F(Chat, WhatCannotBeWrittenIsRefusedByName) {
  put_template("{% for m in messages %}### {{ m['role'] }}: {{ m['content'] }}{% endfor %}");
  const Outcome unknown = eval(two_turns);
  EXPECT_EQ(unknown.code, 3);
  EXPECT_THAT(unknown.err,
              HasSubstr("tokenizer_config.json: chat_template] expected a chat template of ChatML, Llama 2, Llama 3, "
                        "Mistral, Gemma or Phi, received \"{% for m in messages %}###"));
  put_template(mistral);
  const auto said = [&](const std::string& rows) {
    const Outcome outcome = eval(rows);
    EXPECT_EQ(outcome.code, 3) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(
      said("{\"messages\": [{\"role\": \"system\", \"content\": \"x\"}, {\"role\": \"assistant\", \"content\": \"x\"}]}\n"),
      HasSubstr("rows.jsonl:1: messages"));
  EXPECT_THAT(said("{\"messages\": [{\"role\": \"user\"}]}\n"), HasSubstr("message 0] expected the texts role and content"));
  EXPECT_THAT(said("{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n"),
              HasSubstr("expected a message of an assistant"));
  EXPECT_THAT(said("{\"messages\": 3}\n"), HasSubstr("expected a list of messages"));
}

TEST_F(Chat, HeadsAndLabelsHaveNoUseForConversations) {
  const std::string rows = scratch_.write("train.jsonl", two_turns);
  const auto refused = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = {"--train_file", rows};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run_dept(tiny_training(model(), scratch_ / "none", words));
    EXPECT_EQ(outcome.code, 2) << outcome.err;
    return outcome.err;
  };
  EXPECT_THAT(refused({"--task_type", "SEQ_CLS"}), HasSubstr("[task_type] expected CAUSAL_LM for conversations"));
  EXPECT_THAT(refused({"--labels", "a", "b"}), HasSubstr("[labels] expected none for conversations"));
}

}  // namespace
}  // namespace dept
