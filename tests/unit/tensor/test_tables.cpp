// The lists of a recorded step: made anew in the places that the first pass gave them.
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>

#include <memory>

#include "dept/base/error.h"
#include "dept/tensor/tables.h"
#include "dept/tensor/upload.h"

namespace dept {
namespace {

using testing::HasSubstr;

StepBatch step_with(const std::vector<int64_t>& positions) {
  StepBatch made;
  made.source.append(static_cast<int64_t>(positions.size()), 0);
  made.source.position = at::tensor(positions, at::kLong);
  made.source.part = BatchPart::source;
  return made;
}

// The lists of a step: one that is fixed, the positions, and two that go over together.
struct SomeLists {
  at::Tensor fixed, positions, twice, ends;

  explicit SomeLists(const StepBatch& batch) {
    fixed = upload_fixed(at::tensor({7, 8, 9}, at::kInt), at::kCPU);
    positions = upload_positions(batch.source, at::kCPU, 1);
    Upload upload;
    add(batch, upload, twice, ends);
    upload.send(at::kCPU, [](const StepBatch& now, Upload& more) {
      at::Tensor unused;
      add(now, more, unused, unused);
    });
  }
  static void add(const StepBatch& of, Upload& upload, at::Tensor& twice, at::Tensor& ends) {
    const int64_t* first = of.source.position.const_data_ptr<int64_t>();
    std::vector<int64_t> doubled(first, first + of.source.tokens());
    for (int64_t& value : doubled) value *= 2;
    upload.add(doubled, twice);
    upload.add({of.source.tokens()}, ends);
  }
};

std::vector<int64_t> numbers_of(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kLong);
  return {wide.const_data_ptr<int64_t>(), wide.const_data_ptr<int64_t>() + wide.numel()};
}

std::string complaint(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Tables, GiveEveryPassTheirPlacesAndEveryBatchItsLists) {
  const StepBatch sample = step_with({0, 1, 2}), other = step_with({5, 3, 4});
  Tables tables(sample);
  EXPECT_EQ(Tables::current(), nullptr);
  {
    const Tables::Use use(tables);
    EXPECT_EQ(Tables::current(), &tables);
    EXPECT_EQ(numbers_of(SomeLists(sample).positions), (std::vector<int64_t>{1, 2, 3}));
  }
  EXPECT_EQ(Tables::current(), nullptr);
  EXPECT_EQ(tables.count(), 3);
  tables.place(at::kCPU);
  const auto lists = [&] {
    const Tables::Use use(tables);
    return SomeLists(sample);
  }();
  for (const auto& [batch, first] : {std::pair{&sample, 0}, {&other, 5}}) {
    tables.refill(*batch);
    EXPECT_EQ(numbers_of(lists.fixed), (std::vector<int64_t>{7, 8, 9}));
    EXPECT_EQ(lists.positions[0].item<int64_t>(), first + 1);
    EXPECT_EQ(lists.twice[0].item<int64_t>(), 2 * first);
    EXPECT_EQ(numbers_of(lists.ends), std::vector<int64_t>{3});
  }
}

TEST(Tables, RefuseWhatIsNotOfTheStep) {
  const StepBatch sample = step_with({0, 1, 2});
  const std::vector<int64_t> list = {1, 2};
  const auto recorded = [&](auto&& work) {
    return complaint([&] {
      Tables tables(sample);
      const Tables::Use use(tables);
      work();
    });
  };
  EXPECT_THAT(recorded([&] { upload(list, at::kCPU); }), HasSubstr("lists that can be made of another batch"));
  EXPECT_THAT(recorded([&] {
                upload_positions(step_with({3, 4, 5}).source, at::kCPU);
              }),
              HasSubstr("a list that its recipe makes"));
  EXPECT_THAT(recorded([&] {
                Ragged alone = sample.source;
                alone.part = BatchPart::none;
                upload_positions(alone, at::kCPU);
              }),
              HasSubstr("a list of the step's batches"));

  Tables tables(sample);
  {
    const Tables::Use use(tables);
    upload_positions(sample.source, at::kCPU);
  }
  tables.place(at::kCPU);
  EXPECT_THAT(complaint([&] { tables.refill(step_with({0, 1})); }), HasSubstr("a list of 24 bytes"));
  EXPECT_THAT(complaint([&] {
                const Tables::Use use(tables);
                upload_fixed(at::tensor(list), at::kCPU);
              }),
              HasSubstr("the lists of the first pass"));
}

}  // namespace
}  // namespace dept
