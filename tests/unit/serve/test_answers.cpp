// What the engine answers is what the model and adapter answer alone, whoever else is asked.
#include <numeric>

#include "unit/serve/tiny_engine.h"

namespace dept::serve {
namespace {

using testing::ElementsAreArray;

const std::vector<std::string> texts = {"a warm score", "a cold plot that goes on", "fine", "the jokes are old", "dull film"};
const std::vector<std::string> methods = {"PROMPT_TUNING_LORA", "PROMPT_TUNING",  "ADEPT", "ULPT", "DPT",
                                          "P_TUNING",           "RESIDUAL_PROMPT"};

class Answers : public testing::TestWithParam<std::string> {
 protected:
  Answers() : model_(GetParam()) {
    int64_t length = 2;
    for (const std::string& method : methods) {
      AdapterOptions adapter;
      adapter.peft_type = method;
      adapter.prefix_length = length++;
      adapter.r = 1 + length % 3;
      adapter.num_transformer_submodules = encoder_decoder() && length % 2 == 0 ? 2 : 1;
      DataOptions data;
      data.max_seq_length = 24 + length;
      data.task.labels = {"no", "yes", "well"};
      data.task.label_words = {" no", " yes indeed", "m"};
      model_.adapter(method, adapter, data);
    }
  }
  bool encoder_decoder() const { return GetParam().starts_with("t5"); }

  std::unique_ptr<Engine> engine(const EngineOptions& options = {}) const {
    auto made = std::make_unique<Engine>(model_.options, options);
    for (const std::string& method : methods) made->add_adapter(method, model_.folder() / method);
    return made;
  }

  // Every model's answers to every text, asked at once and beside each other.
  void expect_answers_as_alone(Engine& engine) const {
    std::vector<std::string> names = methods;
    names.push_back(engine.base());
    std::vector<std::vector<Answer<Completion>>> answers(names.size());
    for (const std::string& text : texts)
      for (size_t i = 0; i < names.size(); ++i) answers[i].push_back(ask(engine, greedy(names[i], text)));
    GenerationOptions options;
    options.max_new_tokens = 8;
    for (size_t i = 0; i < names.size(); ++i) {
      const AdaptedModel alone = model_.alone(i < methods.size() ? names[i] : "");
      const auto expected = generate_alone(alone, texts, options);
      for (size_t t = 0; t < texts.size(); ++t) {
        const Completion& completion = answers[i][t].get();
        const Choice& choice = completion.choices.at(0);
        EXPECT_THAT(choice.ids, ElementsAreArray(expected[t][0].ids)) << names[i] << ": " << texts[t];
        EXPECT_EQ(choice.text, alone.tokenizer().decode_written(choice.ids));
        EXPECT_EQ(choice.finish_reason, finish_name(expected[t][0].finish));
        EXPECT_EQ(completion.usage.soft_prompt, alone.adapter().prompt_tokens());
        EXPECT_EQ(completion.usage.completion_tokens, static_cast<int64_t>(choice.ids.size()));
        EXPECT_EQ(completion.usage.prompt_tokens, static_cast<int64_t>(alone.tokenizer().encode(texts[t]).size()));
      }
    }
  }

  TinyModel model_;
};
INSTANTIATE_TEST_SUITE_P(Families, Answers, testing::Values("llama-gqa-tied", "t5-v1.0"),
                         [](const auto& test) { return test.param.substr(0, test.param.find('-')); });

TEST_P(Answers, OfAdaptersOfAllMethodsAreAsAlone) {
  const auto engine = this->engine();
  expect_answers_as_alone(*engine);
}

TEST_P(Answers, AreAsAloneWhenFewHaveRoomAndNoPromptIsKept) {
  EngineOptions options;
  options.max_running = 3;
  options.prompt_cache_bytes = 0;
  options.step_tokens = 20;
  const auto engine = this->engine(options);
  expect_answers_as_alone(*engine);
}

TEST_P(Answers, OfLabelsAreAsDeptPredictsThem) {
  const auto engine = this->engine();
  std::vector<Answer<Classification>> answers;
  for (const std::string& method : methods) answers.push_back(ask(*engine, ClassifyRequest{method, texts}));
  for (size_t i = 0; i < methods.size(); ++i) {
    ModelOptions options = model_.options;
    options.peft_model_id = (model_.folder() / methods[i]).string();
    const std::vector<Prediction> expected = AdaptedModel::load(options).predict(texts);
    const Classification& found = answers[i].get();
    EXPECT_THAT(found.labels, ElementsAreArray({"no", "yes", "well"}));
    ASSERT_EQ(found.predictions.size(), texts.size());
    for (size_t t = 0; t < texts.size(); ++t) {
      EXPECT_EQ(found.predictions[t].text, expected[t].text) << methods[i];
      ASSERT_EQ(expected[t].scores.size(), 3);
      EXPECT_THAT(found.predictions[t].scores, testing::Pointwise(testing::DoubleNear(1e-5), expected[t].scores)) << methods[i];
    }
  }
}

TEST_P(Answers, DrawnOnesAreTheDrawsOfLineAndChoice) {
  const auto engine = this->engine();
  CompletionRequest request = greedy("ULPT", texts[0]);
  request.prompts = {texts[0], texts[1]};
  request.temperature = 0.8;
  request.top_k = 20;
  request.top_p = 0.9;
  request.repetition_penalty = 1.3;
  request.n = 3;
  request.seed = 7;
  const Answer<Completion> first = ask(*engine, request);
  ask(*engine, greedy("DPT", texts[2])).get();
  request.seed = 8;
  const Answer<Completion> other = ask(*engine, request);
  GenerationOptions options;
  options.max_new_tokens = 8;
  options.do_sample = true;
  options.temperature = 0.8;
  options.top_k = 20;
  options.top_p = 0.9;
  options.repetition_penalty = 1.3;
  options.num_return_sequences = 3;
  options.seed = 7;
  const auto expected = generate_alone(model_.alone("ULPT"), {texts[0], texts[1]}, options);
  bool differs = false;
  ASSERT_EQ(first.get().choices.size(), 6);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(first.get().choices[i].index, static_cast<int64_t>(i));
    EXPECT_THAT(first.get().choices[i].ids, ElementsAreArray(expected[i / 3][i % 3].ids));
    differs |= first.get().choices[i].ids != other.get().choices[i].ids;
  }
  EXPECT_TRUE(differs);
}

TEST_P(Answers, OfABeamSearchAreItsBest) {
  const auto engine = this->engine();
  CompletionRequest request = greedy("PROMPT_TUNING_LORA", texts[1]);
  request.num_beams = 4;
  request.n = 2;
  const Answer<Completion> beams = ask(*engine, request), alone = ask(*engine, greedy("PROMPT_TUNING_LORA", texts[1]));
  GenerationOptions options;
  options.max_new_tokens = 8;
  options.num_beams = 4;
  options.num_return_sequences = 2;
  const auto expected = generate_alone(model_.alone("PROMPT_TUNING_LORA"), {texts[1]}, options);
  ASSERT_EQ(beams.get().choices.size(), 2);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_THAT(beams.get().choices[i].ids, ElementsAreArray(expected[0][i].ids));
    EXPECT_EQ(beams.get().choices[i].finish_reason, finish_name(expected[0][i].finish));
  }
  EXPECT_EQ(alone.get().choices.size(), 1);
}

TEST_P(Answers, LikeliestOnesOfOnePromptAreEqual) {
  const auto engine = this->engine();
  CompletionRequest request = greedy("P_TUNING", texts[3]);
  request.n = 2;
  const Completion completion = ask(*engine, request).get();
  ASSERT_EQ(completion.choices.size(), 2);
  EXPECT_EQ(completion.choices[0].ids, completion.choices[1].ids);
  EXPECT_EQ(completion.choices[1].index, 1);
}

TEST_P(Answers, EndAtAStopTextAndStreamItsFront) {
  const auto engine = this->engine();
  const std::string whole = ask(*engine, greedy("DPT", texts[0], 12)).get().choices[0].text;
  ASSERT_GE(whole.size(), 4);
  CompletionRequest request = greedy("DPT", texts[0], 12);
  request.stop = {"never there", whole.substr(whole.size() / 2, 2)};
  const size_t end = whole.find(request.stop[1]);
  std::string streamed;
  int64_t ends = 0;
  const Choice choice = ask(*engine, request,
                            [&](const Delta& delta) {
                              streamed += delta.text;
                              ends += delta.finish_reason.empty() ? 0 : 1;
                            })
                            .get()
                            .choices[0];
  EXPECT_EQ(choice.text, whole.substr(0, end));
  EXPECT_EQ(streamed, choice.text);
  EXPECT_EQ(choice.finish_reason, "stop");
  EXPECT_EQ(ends, 1);
}

class Heads : public testing::Test {
 protected:
  Heads() : model_("llama-gqa-tied") {
    for (const auto& [name, length] : lengths_) {
      AdapterOptions adapter;
      adapter.prefix_length = length;
      adapter.task_type = "SEQ_CLS";
      DataOptions data;
      data.max_seq_length = 32;
      data.task.labels = {"no", "yes", "well"};
      model_.adapter(name, adapter, data);
    }
  }
  const std::vector<std::pair<std::string, int64_t>> lengths_ = {{"short", 2}, {"long", 9}};
  TinyModel model_;
};

TEST_F(Heads, OfSeveralAdaptersEvaluateAsAlone) {
  Engine engine(model_.options);
  std::vector<Answer<Classification>> answers;
  for (const auto& [name, length] : lengths_) {
    engine.add_adapter(name, model_.folder() / name);
    EXPECT_FALSE(engine.model(name)->completes);
  }
  for (const auto& [name, length] : lengths_) answers.push_back(ask(engine, ClassifyRequest{name, texts}));
  for (size_t i = 0; i < lengths_.size(); ++i) {
    ModelOptions options = model_.options;
    options.peft_model_id = (model_.folder() / lengths_[i].first).string();
    const std::vector<Prediction> expected = AdaptedModel::load(options).predict(texts);
    for (size_t t = 0; t < texts.size(); ++t) {
      EXPECT_EQ(answers[i].get().predictions[t].text, expected[t].text);
      EXPECT_THAT(answers[i].get().predictions[t].scores, testing::Pointwise(testing::DoubleNear(1e-5), expected[t].scores));
    }
  }
  EXPECT_THAT(error_of(Code::bad_input, [&] { engine.complete(greedy("short", "a"), {}); }),
              testing::HasSubstr("a classification head"));
}

class Scores : public testing::Test {
 protected:
  Scores() : model_("llama-gqa-tied") {
    AdapterOptions adapter;
    adapter.peft_type = "PROMPT_TUNING";
    adapter.prefix_length = 4;
    model_.adapter("prompt", adapter, {});
  }
  TinyModel model_;
};

// Of all ids but the first, by one pass over the whole text.
std::vector<double> log_p(const AdaptedModel& model, const Ids& ids) {
  const Example example{0, {ids[0]}, {ids.begin() + 1, ids.end()}};
  const at::Tensor nll = model.token_nll(collate(model.rules(), std::span(&example, 1), Purpose::answering));
  std::vector<double> found;
  for (int64_t i = 0; i < nll.size(0); ++i) found.push_back(-nll[i].item<double>());
  return found;
}

TEST_F(Scores, OfEchoedPromptsAndAnswersAreTheModels) {
  Engine engine(model_.options);
  engine.add_adapter("prompt", model_.folder() / "prompt");
  for (const std::string& name : {engine.base(), std::string("prompt")}) {
    CompletionRequest request = greedy(name, texts[1], 5);
    request.echo = true;
    request.logprobs = 3;
    std::string streamed;
    const Completion completion = ask(engine, request, [&](const Delta& delta) { streamed += delta.text; }).get();
    const Choice& choice = completion.choices[0];
    Ids ids = engine.tokenizer().encode(texts[1]);
    const size_t prompt = ids.size();
    ids.insert(ids.end(), choice.ids.begin(), choice.ids.end());
    const std::vector<double> expected = log_p(model_.alone(name == "prompt" ? name : ""), ids);
    ASSERT_EQ(choice.logprobs.size(), ids.size());
    EXPECT_FALSE(choice.logprobs[0].logprob);
    EXPECT_TRUE(choice.logprobs[0].top.empty());
    for (size_t i = 1; i < ids.size(); ++i) {
      const TokenLogprob& token = choice.logprobs[i];
      EXPECT_EQ(token.id, ids[i]);
      EXPECT_NEAR(*token.logprob, expected[i - 1], 1e-5) << i;
      EXPECT_GE(token.top.size(), 3);
      EXPECT_LE(token.top.size(), 4);
      EXPECT_EQ(token.top.size() == 4, token.top.back().id == token.id && *token.logprob < token.top[2].logprob);
      if (i >= prompt) {
        EXPECT_EQ(*token.logprob, token.top[0].logprob);
      }
    }
    EXPECT_TRUE(choice.text.starts_with(texts[1]));
    EXPECT_EQ(streamed, choice.text);
    EXPECT_EQ(choice.text.substr(texts[1].size()), engine.tokenizer().decode_written(choice.ids));
    EXPECT_EQ(choice.logprobs[prompt].text_offset, static_cast<int64_t>(texts[1].size()));
  }
}

TEST_F(Scores, OfAPromptAloneNeedNoNewToken) {
  Engine engine(model_.options);
  CompletionRequest request = greedy(engine.base(), texts[0], 0);
  request.prompts.emplace_back(Ids{5, 9, 2});
  request.echo = true;
  request.logprobs = 0;
  const Completion completion = ask(engine, request).get();
  ASSERT_EQ(completion.choices.size(), 2);
  EXPECT_EQ(completion.choices[0].text, texts[0]);
  EXPECT_EQ(completion.choices[0].finish_reason, "length");
  EXPECT_EQ(completion.usage.completion_tokens, 0);
  ASSERT_EQ(completion.choices[1].logprobs.size(), 3);
  const std::vector<double> expected = log_p(model_.alone(""), {5, 9, 2});
  EXPECT_NEAR(*completion.choices[1].logprobs[2].logprob, expected[1], 1e-5);
  EXPECT_EQ(completion.choices[1].logprobs[2].top.size(), 1);
}

}  // namespace
}  // namespace dept::serve
