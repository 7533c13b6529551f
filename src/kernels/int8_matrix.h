// Products with weights of 8 bits for PackedMatrix: each row of a weight has its scale (its largest number becomes 127), each row
// of the left side gets one when it is multiplied, and the sums between are exact integers. With AMX-INT8, else AVX512-VNNI.
#pragma once

#include "kernels/packed_matrix.h"

namespace dept::kernels {

/// w [n, k] of numbers, n a multiple of 16 and k one of 32 -> B = w^T.
PackedMatrix quantise_transposed(const at::Tensor& w);
/// The packed transpose of such a B, of the same whole numbers.
PackedMatrix int8_transposed(const PackedMatrix& b);
/// B^T as bf16 [n, k].
at::Tensor int8_unpacked(const PackedMatrix& b);

/// The tiles of rows [begin, end) and of pairs of panels [first, last) of A B, on the calling thread.
void int8_multiply_range(const c10::BFloat16* a, int64_t stride, const PackedMatrix& b, int64_t begin, int64_t end, int64_t first,
                         int64_t last, std::initializer_list<Beside> beside, TileSink sink);

}  // namespace dept::kernels
