// Searches, processors and samples against transformers: tests/parity/make/generation.py.
#include <ATen/ops/softmax.h>

#include <cmath>
#include <map>

#include "dept/base/text.h"
#include "models/generation_scores.h"
#include "parity/models/support.h"

namespace dept::parity {
namespace {

using IdLists = std::vector<Lengths>;

fs::path generation_data(const std::string& name) {
  return fs::path(DEPT_TEST_DATA) / "parity/data/generation" / name;
}

GenerationOptions options_of(const Json& given, GenerationOptions o = {}) {
  o.max_new_tokens = given.value("max_new_tokens", o.max_new_tokens);
  o.min_new_tokens = given.value("min_new_tokens", o.min_new_tokens);
  o.eos_ids = given.value("eos_token_id", o.eos_ids);
  o.repetition_penalty = given.value("repetition_penalty", o.repetition_penalty);
  o.no_repeat_ngram_size = given.value("no_repeat_ngram_size", o.no_repeat_ngram_size);
  o.num_beams = given.value("num_beams", o.num_beams);
  o.length_penalty = given.value("length_penalty", o.length_penalty);
  o.num_return_sequences = given.value("num_return_sequences", o.num_return_sequences);
  o.temperature = given.value("temperature", o.temperature);
  o.top_k = given.value("top_k", o.top_k);
  o.top_p = given.value("top_p", o.top_p);
  if (const auto early = given.find("early_stopping"); early != given.end())
    o.early_stopping = !early->is_boolean() ? EarlyStopping::never : early->get<bool>() ? EarlyStopping::yes : EarlyStopping::no;
  return o;
}

/// Prompts embedded; transformers counts a T5 decoder's start id too.
GenerationInput input_of(const TextModel& model, std::span<const Lengths> prompts, int64_t first_example = 0) {
  GenerationInput input;
  Lengths lengths, ids;
  for (const Lengths& prompt : prompts) {
    lengths.push_back(static_cast<int64_t>(prompt.size()));
    ids.insert(ids.end(), prompt.begin(), prompt.end());
    input.counted.push_back(model.info().encoder_decoder() ? Lengths{*model.info().decoder_start_id} : prompt);
  }
  input.source = stream(lengths, model.embed(at::tensor(ids, at::kLong)));
  for (int64_t& example : input.source.tokens.example) example = first_example++;
  return input;
}

class Generation : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<TextModel> load() const { return load_text_model(data(GetParam()), context(at::kFloat)); }
};

void expect_case(const TextModel& model, const Json& file, const Json& one, size_t batch) {
  const auto prompts = file["prompts"].get<IdLists>();
  GenerationOptions defaults;
  defaults.max_new_tokens = file["max_new_tokens"];
  defaults.eos_ids = file["eos_ids"].get<Lengths>();
  const GenerationOptions options = options_of(one["options"], defaults);
  const Json& expected = one["answers"];
  size_t compared = 0;
  for (size_t begin = 0; begin < expected.size(); begin += batch) {
    const size_t count = std::min(batch, expected.size() - begin);
    const auto answers = generate(model, input_of(model, std::span(prompts).subspan(begin, count)), options);
    ASSERT_EQ(answers.size(), count);
    for (size_t i = 0; i < count; ++i) {
      const size_t row = begin + i;
      if (one["gap"][row].get<double>() < 1e-4) continue;
      ++compared;
      ASSERT_EQ(static_cast<int64_t>(answers[i].size()), options.num_return_sequences);
      for (size_t j = 0; j < answers[i].size(); ++j) {
        const Generated& answer = answers[i][j];
        EXPECT_EQ(answer.ids, expected[row][j].get<Lengths>()) << one["options"] << ", prompt " << row << ", answer " << j;
        const bool stopped =
            std::find(options.eos_ids.begin(), options.eos_ids.end(), answer.ids.back()) != options.eos_ids.end();
        EXPECT_STREQ(finish_name(answer.finish), stopped ? "stop" : "length");
        const double score = options.num_beams > 1 ? one["scores"][row][j].get<double>() : 0;
        EXPECT_NEAR(answer.score, score, 1e-3) << one["options"];
      }
    }
  }
  EXPECT_GE(compared, expected.size() == 200 ? 170u : 3u) << one["options"];
}

TEST_P(Generation, SearchesEqualTransformers) {
  const auto model = load();
  const Json file = read_json(generation_data(GetParam() + ".json"));
  for (const Json& one : file["cases"]) expect_case(*model, file, one, 16);
}

TEST_P(Generation, SearchesAloneEqualTransformers) {
  const auto model = load();
  const Json file = read_json(generation_data(GetParam() + ".json"));
  for (const Json& one : file["cases"])
    if (one["answers"].size() < 100) expect_case(*model, file, one, 1);
}

/// What processors and warpers leave of the scores, for each set of options. Row 4 has many equal scores.
TEST_P(Generation, DistributionsEqualTransformers) {
  const auto file = open_safetensors(generation_data(GetParam() + ".safetensors"));
  const Json sets = read_json(generation_data("warpers.json"));
  const at::Tensor history = file->read("history");
  for (size_t n = 0; n < sets.size(); ++n) {
    GenerationOptions options = options_of(sets[n]);
    options.eos_ids = {30, 31, 57, 2};
    const at::Tensor scores = file->read("scores").clone(), expected = file->read(str("processed.", n));
    for (int64_t row = 0; row < scores.size(0); ++row) {
      const std::span<float> one(scores[row].data_ptr<float>(), scores.size(1));
      process_scores(one, as_lengths(history[row]), history.size(1) - 4, options);
      warp_scores(one, options, options.num_beams > 1 ? 5 : 1);
    }
    at::Tensor p = at::softmax(scores, 1), q = at::softmax(expected, 1);
    for (at::Tensor* x : {&p, &q}) (*x)[4].copy_(std::get<0>((*x)[4].sort()));  // which of equals top p drops is nobody's promise
    EXPECT_LT((p - q).abs().max().item<double>(), 1e-6) << sets[n];
    EXPECT_TRUE(((p > 0) == (q > 0)).all().item<bool>()) << sets[n];
  }
}

/// sum of (observed - expected)^2 / expected; with 15 degrees of freedom above 37.7 once in a thousand times.
double chi_square(const std::map<Lengths, double>& shares, const std::map<Lengths, int64_t>& counts, int64_t draws) {
  double sum = 0;
  for (const auto& [ids, share] : shares) {
    const double expected = share * static_cast<double>(draws);
    const auto found = counts.find(ids);
    const double observed = found == counts.end() ? 0 : static_cast<double>(found->second);
    sum += (observed - expected) * (observed - expected) / expected;
  }
  return sum;
}

std::vector<double> shares_of(const at::Tensor& logits, double temperature) {
  const at::Tensor p = at::softmax(logits.to(at::kDouble) / temperature, 0);
  return {p.data_ptr<double>(), p.data_ptr<double>() + p.numel()};
}

struct Golden {
  Lengths prompt, first_ids;
  at::Tensor first, second;  // logits: of the first token [V], after each of first_ids [4, V]

  explicit Golden(const std::string& name) {
    const auto file = open_safetensors(generation_data(name + ".safetensors"));
    prompt = as_lengths(file->read("prompt"));
    first_ids = as_lengths(file->read("first_ids"));
    first = file->read("first");
    second = file->read("second");
  }
};

/// Two tokens of the four likeliest each, against the products of transformers' probabilities.
TEST_P(Generation, SamplesAreDistributedAsTransformers) {
  const auto model = load();
  const Golden golden(GetParam());
  GenerationOptions options;
  options.do_sample = true;
  options.temperature = 4;
  options.top_k = 4;
  options.max_new_tokens = 2;
  options.num_return_sequences = 500;
  std::map<Lengths, double> shares;
  const std::vector<double> first =
      shares_of(golden.first.index_select(0, at::tensor(golden.first_ids, at::kLong)), options.temperature);
  for (size_t i = 0; i < 4; ++i) {
    const auto [values, ids] = golden.second[static_cast<int64_t>(i)].topk(4);
    const std::vector<double> second = shares_of(values, options.temperature);
    for (size_t j = 0; j < 4; ++j) shares[{golden.first_ids[i], as_lengths(ids)[j]}] = first[i] * second[j];
  }
  std::map<Lengths, int64_t> counts;
  const IdLists prompts(8, golden.prompt);  // 8 examples, 500 choices of each
  for (const auto& answers : generate(*model, input_of(*model, prompts), options))
    for (const Generated& answer : answers) ++counts[answer.ids];
  for (const auto& [ids, count] : counts) EXPECT_EQ(shares.count(ids), 1u) << count << " of a pair that cannot be";
  EXPECT_LT(chi_square(shares, counts, 4000), 37.7);
}

/// Two beams are two draws without replacement: p(a, b) = p_a p_b / (1 - p_a).
TEST_P(Generation, BeamSamplesAreDrawnWithoutReplacement) {
  const auto model = load();
  const Golden golden(GetParam());
  GenerationOptions options;
  options.do_sample = true;
  options.temperature = 4;
  options.top_k = 4;
  options.max_new_tokens = 1;
  options.num_beams = options.num_return_sequences = 2;
  const std::vector<double> p =
      shares_of(golden.first.index_select(0, at::tensor(golden.first_ids, at::kLong)), options.temperature);
  std::map<Lengths, double> shares;
  for (size_t a = 0; a < 4; ++a)
    for (size_t b = 0; b < 4; ++b)
      if (a != b)
        shares[{std::min(golden.first_ids[a], golden.first_ids[b]), std::max(golden.first_ids[a], golden.first_ids[b])}] +=
            p[a] * p[b] / (1 - p[a]);
  std::map<Lengths, int64_t> counts;
  const IdLists prompts(3000, golden.prompt);
  for (const auto& answers : generate(*model, input_of(*model, prompts), options)) {
    EXPECT_GE(answers[0].score, answers[1].score);
    ++counts[{std::min(answers[0].ids[0], answers[1].ids[0]), std::max(answers[0].ids[0], answers[1].ids[0])}];
  }
  for (const auto& [ids, count] : counts) EXPECT_EQ(shares.count(ids), 1u) << count << " of a pair that cannot be";
  EXPECT_LT(chi_square(shares, counts, 3000), 20.5);  // 5 degrees of freedom
}

TEST_P(Generation, SamplesDoNotDependOnTheBatch) {
  const auto model = load();
  const auto prompts = read_json(generation_data(GetParam() + ".json"))["prompts"].get<IdLists>();
  for (const int64_t beams : {1, 3}) {
    GenerationOptions options;
    options.do_sample = true;
    options.num_beams = beams;
    options.num_return_sequences = 2;
    options.temperature = 3;
    options.eos_ids = {30, 31};
    options.max_new_tokens = 9;
    const auto together = generate(*model, input_of(*model, std::span(prompts).first(6), 40), options);
    for (size_t i = 0; i < 6; ++i) {
      const auto alone =
          generate(*model, input_of(*model, std::span(prompts).subspan(i, 1), 40 + static_cast<int64_t>(i)), options);
      for (size_t j = 0; j < 2; ++j) EXPECT_EQ(together[i][j].ids, alone[0][j].ids) << "beams " << beams << ", prompt " << i;
    }
    options.seed = 43;
    const auto other = generate(*model, input_of(*model, std::span(prompts).first(6), 40), options);
    EXPECT_NE(other[0][0].ids, together[0][0].ids);
  }
}

/// The cache grows: room for 2^40 tokens is never taken at once.
TEST_P(Generation, LongLimitTakesNoMemory) {
  const auto model = load();
  GenerationOptions options;
  options.max_new_tokens = int64_t{1} << 40;
  size_t told = 0;
  const IdLists prompts{{5, 6}, {7}};
  const auto answers = generate(*model, input_of(*model, prompts), options,
                                [&](size_t, std::span<const int64_t> ids) { return told = ids.size(), ids.size() == 100; });
  EXPECT_EQ(told, 100u);
  EXPECT_EQ(answers[0][0].ids.size(), 100u);
}

TEST_P(Generation, StopsEndBeams) {
  const auto model = load();
  GenerationOptions options;
  options.num_beams = options.num_return_sequences = 3;
  options.max_new_tokens = 8;
  const IdLists prompts{{5, 6, 40}};
  const auto answers = generate(*model, input_of(*model, prompts), options,
                                [](size_t, std::span<const int64_t> ids) { return ids.size() == 3 && ids.back() % 2 == 0; });
  for (const Generated& answer : answers[0]) {
    if (answer.ids.size() == 3 && answer.ids.back() % 2 == 0) {
      EXPECT_EQ(answer.finish, Generated::Finish::stop);
    } else {
      EXPECT_EQ(answer.ids.size(), 8u);
    }
  }
}

TEST_P(Generation, RefusesBadOptions) {
  const auto model = load();
  const IdLists prompts{{5}};
  const auto refused = [&](const std::string& name, const auto& change) {
    GenerationOptions options;
    change(options);
    try {
      generate(*model, input_of(*model, prompts), options);
      ADD_FAILURE() << name << " passed";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::usage);
      EXPECT_NE(std::string(error.what()).find("[" + name + "]"), std::string::npos) << error.what();
    }
  };
  refused("num_beams", [](GenerationOptions& o) { o.num_beams = 0; });
  refused("num_beams", [](GenerationOptions& o) { o.num_beams = 64; });
  refused("num_return_sequences", [](GenerationOptions& o) { o.num_return_sequences = 2; });
  refused("num_return_sequences", [](GenerationOptions& o) { o.num_beams = 2, o.num_return_sequences = 3; });
  refused("temperature", [](GenerationOptions& o) { o.do_sample = true, o.temperature = 0; });
  refused("top_k", [](GenerationOptions& o) { o.do_sample = true, o.top_k = -1; });
  refused("top_p", [](GenerationOptions& o) { o.do_sample = true, o.top_p = 1.5; });
  refused("repetition_penalty", [](GenerationOptions& o) { o.repetition_penalty = 0; });
  refused("eos_token_id", [](GenerationOptions& o) { o.eos_ids = {96}; });
}

INSTANTIATE_TEST_SUITE_P(Tiny, Generation, testing::Values("llama-gqa-tied", "t5-v1.0"),
                         [](const auto& test) { return test.param == "t5-v1.0" ? "t5" : "llama"; });

/// Embeddings in front of a T5 decoder's start token, one set a configuration.
TEST(GenerationOfT5, DecoderPromptEqualsForward) {
  const auto model = load_text_model(data("t5-v1.0"), context(at::kFloat));
  const IdLists prompts{{5, 6, 40}, {9, 12}};
  GenerationInput input = input_of(*model, prompts);
  input.source.tokens.config = {1, 0};
  input.decoder_prompt = noise({2, 3, 32}, at::kFloat, 8);
  for (const int64_t beams : {1, 3}) {
    GenerationOptions options;
    options.max_new_tokens = 4;
    options.num_beams = beams;
    const auto answers = generate(*model, input, options);
    for (size_t b = 0; b < 2; ++b) {
      // The score of the answer by one forward over prompt, start token and answer.
      const Lengths& ids = answers[b][0].ids;
      Lengths inputs{0};
      inputs.insert(inputs.end(), ids.begin(), ids.end() - 1);
      Stream target = stream({3 + static_cast<int64_t>(inputs.size())},
                             at::cat({input.decoder_prompt[b == 0 ? 1 : 0], model->embed(at::tensor(inputs, at::kLong))}));
      const Stream source = only(input.source, static_cast<int64_t>(b));
      const at::Tensor logits = model->logits(model->forward({}, source, &target, nullptr).slice(0, 3));
      if (beams == 1) {
        EXPECT_EQ(as_lengths(logits.argmax(1)), ids) << b;
      } else {
        const at::Tensor log_p = at::log_softmax(logits, 1).gather(1, at::tensor(ids, at::kLong).unsqueeze(1));
        EXPECT_NEAR(answers[b][0].score, log_p.sum().item<double>() / static_cast<double>(ids.size()), 1e-4) << b;
      }
    }
  }
}

}  // namespace
}  // namespace dept::parity
