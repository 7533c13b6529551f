// A program of another project: trains a new prompt of a frozen model, saves it, and asks what it saved. As docs/library.md
// shows.
#include <dept/dept.h>

#include <cstdio>

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: outside MODEL_FOLDER ADAPTER_FOLDER\n"), 2;
  dept::configure_process(1);
  dept::ModelOptions source;
  source.model_name_or_path = argv[1];
  dept::AdapterOptions prompt;
  prompt.prefix_length = 4;
  prompt.r = 2;
  dept::DataOptions data;
  data.max_seq_length = 32;
  data.task.labels = {"no", "yes"};
  dept::AdaptedModel model = dept::AdaptedModel::create(source, prompt, data);

  const std::vector<dept::TextExample> rows = {
      {0, "a warm score", "yes"}, {1, "a cold plot", "no"}, {2, "a fine film", "yes"}, {3, "a dull film", "no"}};
  dept::TrainingOptions training;
  training.optimizer.learning_rate = 0.3;
  training.optimizer.lora_embedding_lr = 0.01;
  training.schedule.max_steps = 150;
  const double before = model.loss(rows);
  dept::train(model, rows, training, [](const dept::TrainingProgress& now) {
    if (now.step % 50 == 0) std::printf("step %d of %d, loss %.4f\n", int(now.step), int(now.steps), now.loss);
    return true;
  });
  const double after = model.loss(rows);
  std::printf("loss %.4f -> %.4f\n", before, after);
  model.save(argv[2]);

  source.peft_model_id = argv[2];
  const dept::AdaptedModel saved = dept::AdaptedModel::load(source);
  std::vector<std::string> texts, said, expected;
  for (const dept::TextExample& row : rows) texts.push_back(row.source), expected.push_back(row.target);
  for (const dept::Prediction& prediction : saved.predict(texts)) said.push_back(prediction.text);
  std::printf("accuracy %.0f %%\n", dept::compute_metric("accuracy", said, expected, data.task.labels));
  const double difference = saved.loss(rows) - after;
  return after < 0.9 * before && difference < 1e-4 && difference > -1e-4 ? 0 : 1;
} catch (const dept::Error& error) {
  return std::fprintf(stderr, "%s\n", error.what()), error.exit_code();
}
