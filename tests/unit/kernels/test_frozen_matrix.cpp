// A matrix in any storage multiplies as the same matrix widened beforehand.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <gtest/gtest.h>

#include "dept/kernels/frozen_linear.h"
#include "dept/kernels/frozen_matrix.h"
#include "dept/tensorio/ggml_types.h"
#include "kernels/dense_product.h"
#include "unit/kernels/support.h"

namespace dept::kernels {
namespace {

using test::difference;

// Random blocks of a type with scales of ordinary size.
StoredRows random_blocks(const std::string& name, int64_t rows, int64_t columns) {
  const GgmlType& type = *find_ggml_type(name);
  const auto size = static_cast<int64_t>(type.block_bytes), blocks = rows * columns / static_cast<int64_t>(type.block_values);
  const at::Tensor bytes = at::randint(0, 256, {blocks, size}, at::kByte);
  for (const size_t offset : type.scales) {
    const at::Tensor scales = (at::rand({blocks, 1}) * 0.01 + 0.001).to(at::kHalf);
    bytes.slice(1, static_cast<int64_t>(offset), static_cast<int64_t>(offset) + 2).copy_(scales.view(at::kByte));
  }
  return {bytes.view({rows, blocks / rows * size}), &type};
}

at::Tensor values_of(const StoredRows& stored) {
  if (stored.blocks == nullptr) return stored.data.to(at::kFloat);
  at::Tensor values = at::empty({stored.rows(), stored.columns()}, at::kFloat);
  stored.blocks->dequantise(static_cast<const std::byte*>(stored.data.const_data_ptr()), values.data_ptr<float>(),
                            values.numel() / stored.blocks->block_values);
  return values;
}

// Against fp64 products of the widened values: fp32 and fp64 up to their own rounding, bf16 as the widened bf16 matrix does.
void expect_products(const std::vector<StoredRows>& parts, const std::string& what) {
  std::vector<at::Tensor> widened;
  for (const StoredRows& part : parts) widened.push_back(values_of(part));
  const at::Tensor w = at::cat(widened).to(at::kDouble);
  const at::Tensor x = at::randn({11, w.size(1)}, at::kDouble), dy = at::randn({11, w.size(0)}, at::kDouble),
                   bias = at::randn({w.size(0)}, at::kDouble);
  for (const auto& [dtype, tolerance] :
       std::vector<std::pair<at::ScalarType, double>>{{at::kDouble, 1e-12}, {at::kFloat, 5e-6}, {at::kBFloat16, 1e-2}}) {
    const FrozenLinear linear(FrozenMatrix(parts, dtype), bias.to(dtype));
    EXPECT_EQ(linear.out(), w.size(0)) << what;
    EXPECT_EQ(linear.in(), w.size(1)) << what;
    const at::Tensor wide = w.to(dtype).to(at::kDouble), xs = x.to(dtype).to(at::kDouble), ds = dy.to(dtype).to(at::kDouble);
    EXPECT_LT(difference(linear.forward(x.to(dtype)), at::linear(xs, wide, bias.to(dtype).to(at::kDouble))), tolerance)
        << what << " " << dtype;
    EXPECT_LT(difference(linear.backward_input(dy.to(dtype)), at::mm(ds, wide)), tolerance) << what << " " << dtype;
    const at::Tensor few = x.slice(0, 3, 6).to(dtype);
    EXPECT_LT(difference(FrozenMatrix(parts, dtype).forward(few), at::mm(few.to(at::kDouble), wide.t())), tolerance) << what;
    EXPECT_EQ(linear.forward(x.to(dtype)).scalar_type(), dtype);
  }
}

class Blocks : public testing::TestWithParam<std::string> {};

TEST_P(Blocks, MultiplyAsTheirValues) {
  at::manual_seed(1);
  expect_products({random_blocks(GetParam(), 37, 256)}, "one block or eight a row");
  expect_products({random_blocks(GetParam(), 1, 768)}, "one row");
}

TEST_P(Blocks, InPiecesOfRowsAndColumns) {
  at::manual_seed(2);
  expect_products({random_blocks(GetParam(), 3001, 1792)}, "more than one piece");
}

TEST_P(Blocks, BesideOtherTypes) {
  at::manual_seed(3);
  expect_products({random_blocks(GetParam(), 11, 512), random_blocks("Q6_K", 7, 512), {at::randn({3, 512}, at::kHalf)}},
                  "three parts");
}

TEST_P(Blocks, GiveSingleRows) {
  at::manual_seed(4);
  const StoredRows table = random_blocks(GetParam(), 9, 256);
  const at::Tensor ids = at::tensor({8, 0, 3, 3}, at::kLong);
  EXPECT_TRUE(at::equal(FrozenMatrix({table}, at::kBFloat16).select(ids, at::kFloat), values_of(table).index_select(0, ids)));
}

INSTANTIATE_TEST_SUITE_P(Types, Blocks, testing::Values("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"),
                         [](const auto& test) { return test.param; });

TEST(FrozenMatrix, WidensPlainTypes) {
  at::manual_seed(5);
  for (const at::ScalarType held : {at::kFloat, at::kHalf, at::kBFloat16})
    for (const int64_t width : {13, 1500})
      expect_products({{at::randn({1701, width}, at::kFloat).to(held)}}, c10::toString(held));
}

TEST(FrozenMatrix, OfItsOwnTypeIsTheProductItself) {
  at::manual_seed(6);
  const at::Tensor w = at::randn({6, 5}, at::kBFloat16), x = at::randn({3, 5}, at::kBFloat16);
  EXPECT_TRUE(at::equal(FrozenMatrix(w).forward(x), at::linear(x, w)));
  EXPECT_THROW(FrozenMatrix(w).forward(at::randn({3, 6}, at::kBFloat16)), Error);
  EXPECT_THROW(FrozenMatrix({{w}, {at::randn({2, 4})}}, at::kFloat), Error);
}

// On every CPU, whichever library forward and backward_input take there.
TEST(FrozenMatrix, LargeProductsOfEitherLibrary) {
  at::manual_seed(7);
  const at::Tensor w = at::randn({288, 320}), bias = at::randn({288});
  for (const int64_t n : {1, 16, 127, 128, 300}) {
    const at::Tensor x = at::randn({n, 320}), dy = at::randn({n, 288});
    const at::Tensor forward = at::linear(x.to(at::kDouble), w.to(at::kDouble), bias.to(at::kDouble));
    const at::Tensor backward = at::mm(dy.to(at::kDouble), w.to(at::kDouble));
    EXPECT_LT(difference(FrozenLinear(FrozenMatrix(w), bias).forward(x), forward), 5e-6) << n;
    EXPECT_LT(difference(FrozenMatrix(w).forward(x), forward - bias), 5e-6) << n;
    EXPECT_LT(difference(FrozenMatrix(w).backward_input(dy), backward), 5e-6) << n;
    EXPECT_LT(difference(onednn_linear(x, w, bias), forward), 5e-6) << n;
    EXPECT_LT(difference(onednn_linear(dy, w.t(), {}), backward), 5e-6) << n;
  }
}

}  // namespace
}  // namespace dept::kernels
