// Products with weights of 8 bits for PackedMatrix: each row of a weight has its scale (its largest number becomes 127), each row
// of the left side gets one when it is multiplied, and the sums between are exact integers. With AMX-INT8, else AVX512-VNNI.
#pragma once

#include "kernels/cpu/packed_matrix.h"

namespace dept::kernels {

/// w [n, k] of numbers, n a multiple of 16 and k one of 32 -> B = w^T.
PackedMatrix quantise_transposed(const at::Tensor& w);
/// The packed transpose of such a B, of the same whole numbers.
PackedMatrix int8_transposed(const PackedMatrix& b);
/// B^T as bf16 [n, k].
at::Tensor int8_unpacked(const PackedMatrix& b);

/// Rows of bf16 [rows, b.k], `stride` apart, times b's in_scale, as whole numbers up to 127 for panel_product_int8; `scale` is
/// what each row is to be multiplied with.
void quantise_rows(const c10::BFloat16* a, int64_t stride, int64_t rows, const PackedMatrix& b, PackedRows to, float* scale);
/// Sums of their products with some columns of b become numbers in place (fp32 where int32 stood).
void scale_sums(const BlockSums<int32_t>& sums, const PackedMatrix& b, const float* scale);

}  // namespace dept::kernels
