#include <gtest/gtest.h>

#include <cstring>

#include "dept/train/tensorboard.h"
#include "unit/base/scratch.h"

namespace dept {
namespace {

// The records of a TFRecord file, each checked by its two sums.
std::vector<std::string> records(const std::string& bytes) {
  std::vector<std::string> found;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    uint32_t length_sum = 0, sum = 0;
    std::memcpy(&length, bytes.data() + at, 8);
    std::memcpy(&length_sum, bytes.data() + at + 8, 4);
    EXPECT_EQ(length_sum, masked_crc32c(bytes.substr(at, 8)));
    found.push_back(bytes.substr(at + 12, length));
    std::memcpy(&sum, bytes.data() + at + 12 + length, 4);
    EXPECT_EQ(sum, masked_crc32c(found.back()));
    at += 16 + length;
  }
  return found;
}

std::string scalar(const std::string& tag, float value) {
  std::string bytes = "\x0a" + std::string(1, static_cast<char>(tag.size())) + tag + "\x15";
  bytes.resize(bytes.size() + 4);
  std::memcpy(bytes.data() + bytes.size() - 4, &value, 4);
  return bytes;
}

TEST(TensorBoard, WritesEventsUnderTransformersTags) {
  const Scratch scratch;
  {
    EventWriter writer(scratch / "runs", 1);
    writer.text("args/text_summary", "hello");
    writer.log({{"epoch", 0.5}, {"learning_rate", 0.25}, {"loss", 1.2346}, {"loss_exact", 1.23456}, {"step", 300}});
    writer.log({{"eval_loss", 2.5}, {"step", 300}});
  }
  { EventWriter goes_on(scratch / "more", 301); }
  const auto only_file = [](const fs::path& folder) { return read_file(fs::directory_iterator(folder)->path()); };
  const std::vector<std::string> events = records(only_file(scratch / "runs"));
  ASSERT_EQ(events.size(), 4u);
  EXPECT_NE(events[0].find("brain.Event:2"), std::string::npos);
  EXPECT_NE(events[1].find("hello"), std::string::npos);
  EXPECT_NE(events[2].find(scalar("train/epoch", 0.5F)), std::string::npos);
  EXPECT_NE(events[2].find(scalar("train/learning_rate", 0.25F)), std::string::npos);
  EXPECT_NE(events[2].find(scalar("train/loss", 1.23456F)), std::string::npos) << "the exact one";
  EXPECT_EQ(events[2].find("loss_exact"), std::string::npos);
  EXPECT_NE(events[2].find("\x10\xac\x02"), std::string::npos) << "step 300";
  EXPECT_NE(events[3].find(scalar("eval/loss", 2.5F)), std::string::npos);
  const std::vector<std::string> more = records(only_file(scratch / "more"));
  ASSERT_EQ(more.size(), 2u);
  EXPECT_NE(more[1].find("\x3a\x02\x08\x01"), std::string::npos) << "session log: start";
}

TEST(TensorBoard, WritesOptionsAndTheEndForTheHparamsPlugin) {
  const Scratch scratch;
  {
    EventWriter writer(scratch / "runs", 1);
    writer.begin_session({{"r", 8}, {"optim", "adamw"}, {"do_train", true}, {"none", nullptr}}, "here/run");
    writer.end_session(true);
  }
  const std::vector<std::string> events = records(read_file(fs::directory_iterator(scratch / "runs")->path()));
  ASSERT_EQ(events.size(), 3u);
  for (const std::string& part :
       {std::string("_hparams_/session_start_info"), std::string("hparams"), std::string("\x22\x08here/run"),
        std::string("\x0a\x01r\x12\x09\x11\0\0\0\0\0\0\x20\x40", 14),  // r: number_value 8
        std::string("\x0a\x05optim\x12\x07\x1a\x05") + "adamw", std::string("\x0a\x08") + "do_train\x12\x02\x20\x01"})
    EXPECT_NE(events[1].find(part), std::string::npos) << part;
  EXPECT_EQ(events[1].find("none"), std::string::npos);
  EXPECT_NE(events[2].find("_hparams_/session_end_info"), std::string::npos);
  EXPECT_NE(events[2].find(std::string("\x22\x0b\x08\x01\x11")), std::string::npos) << "status 1, end_time_secs";
}

}  // namespace
}  // namespace dept
