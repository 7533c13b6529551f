#include <gmock/gmock.h>

#include "hub/loopback_hub.h"

namespace dept {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class HubParquet : public testing::Test {
 protected:
  std::vector<fs::path> fetch() const { return fetch_parquet(hub_.options(), split_); }

  LoopbackHub hub_;
  const ParquetSplit split_{"org/data", "plain", "train"};
};

TEST_F(HubParquet, FilesComeInOrder) {
  hub_.put_split("org/data", "train", 3);
  const std::vector<fs::path> files = fetch();
  ASSERT_EQ(files.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(files[i].filename(), str("000", i, ".parquet"));
    EXPECT_EQ(read_file(files[i]), str("rows ", i, " of train"));
  }
  const fs::path repository = hub_.cache() / "datasets--org--data";
  const std::string commit = read_file(repository / "refs/refs/convert/parquet");
  EXPECT_EQ(files[0], repository / "snapshots" / commit / "plain/train/0000.parquet");
  EXPECT_EQ(fs::read_symlink(files[0]).parent_path(), "../../../../blobs");
  EXPECT_TRUE(fs::exists(repository / ".no_exist" / commit / "plain/train/0003.parquet"));
  EXPECT_EQ(hub_.count("HEAD", "/datasets/org/data/resolve/refs/convert/parquet/plain/train/0000.parquet"), 2u);
}

TEST_F(HubParquet, TheCacheServesOffline) {
  hub_.put_split("org/data", "train", 2);
  const std::vector<fs::path> files = fetch();
  const size_t asked = hub_.count("");
  HubOptions offline = hub_.options();
  offline.offline = true;
  EXPECT_EQ(fetch_parquet(offline, split_), files);
  check_hub_parquet(offline, split_);
  EXPECT_EQ(hub_.count(""), asked);
  EXPECT_THAT(error_of(Code::io,
                       [&] {
                         check_hub_parquet(offline, {"org/data", "plain", "test"});
                       }),
              AllOf(HasSubstr("HF_HUB_OFFLINE"), HasSubstr("--train_file")));
  EXPECT_THAT(error_of(Code::io, [&] { list_parquet(offline, "org/data"); }), HasSubstr("HF_HUB_OFFLINE"));
}

TEST_F(HubParquet, AnInterruptedSplitIsNotTakenForAWhole) {
  hub_.put_split("org/data", "train", 3);
  hub_.faults({{{"on", "content"}, {"path", "0001.parquet"}, {"status", 404}}});
  error_of(Code::io, [&] { fetch(); });
  HubOptions offline = hub_.options();
  offline.offline = true;
  EXPECT_THAT(error_of(Code::io, [&] { fetch_parquet(offline, split_); }), HasSubstr("org/data"));
  hub_.faults(Json::array());
  EXPECT_EQ(fetch().size(), 3u);
  EXPECT_EQ(hub_.count("GET", "0000.parquet", "content"), 1u);
}

TEST_F(HubParquet, WithoutAListTheFilesAreCounted) {
  hub_.put_split("org/data", "train", 2);
  hub_.faults({{{"path", "/api/"}, {"status", 404}}});
  EXPECT_EQ(fetch().size(), 2u);
}

TEST_F(HubParquet, AListThatDisagreesIsRefused) {
  hub_.put_split("org/data", "train", 3);
  hub_.faults({{{"path", "0002.parquet"}, {"status", 404}, {"headers", {{"X-Error-Code", "EntryNotFound"}}}}});
  EXPECT_THAT(error_of(Code::io, [&] { fetch(); }), AllOf(HasSubstr("3 files"), HasSubstr("received 2")));
}

TEST_F(HubParquet, UnknownNamesAreToldWithTheKnown) {
  hub_.put_split("org/data", "train", 1);
  hub_.put_split("org/data", "test", 1);
  EXPECT_THAT(error_of(Code::usage,
                       [&] {
                         fetch_parquet(hub_.options(), {"org/data", "plain", "trian"});
                       }),
              AllOf(HasSubstr("test, train"), HasSubstr("the nearest is \"train\"")));
  EXPECT_THAT(error_of(Code::usage,
                       [&] {
                         fetch_parquet(hub_.options(), {"org/data", "plian", "train"});
                       }),
              HasSubstr("the nearest is \"plain\""));
  EXPECT_THAT(error_of(Code::io,
                       [&] {
                         fetch_parquet(hub_.options(), {"org/none", "plain", "train"});
                       }),
              AllOf(HasSubstr("none of that name"), HasSubstr("--train_file")));
  error_of(Code::usage, [&] { fetch_parquet(hub_.options(), {"org/data", "../..", "train"}); });
  error_of(Code::usage, [&] { fetch_parquet(hub_.options(), {"org/data", "plain", "a/b"}); });
}

TEST_F(HubParquet, ListsSplits) {
  hub_.put_split("org/data", "train", 1);
  hub_.put_split("org/data", "test", 1);
  std::vector<std::string> names;
  for (const ParquetSplit& split : list_parquet(hub_.options(), "org/data")) names.push_back(split.config + "/" + split.split);
  EXPECT_THAT(names, testing::ElementsAre("plain/test", "plain/train"));
  hub_.faults({{{"path", "/api/"}, {"status", 200}, {"headers", {{"Content-Length", "0"}}}}});
  error_of(Code::bad_input, [&] { list_parquet(hub_.options(), "org/data"); });
}

}  // namespace
}  // namespace dept
