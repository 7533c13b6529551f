// The loops around panel_product: a block of rows is packed into a thread's scratch, some steps of it at a time, and goes past
// all panels of a few columns before the next steps do, so that each panel's steps stay in the first cache and rows and sums in
// the second.
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstring>

#include "kernels/int8_matrix.h"
#include "kernels/packed_matrix.h"

namespace dept::kernels {
namespace {

using c10::BFloat16;

constexpr int64_t row_pair = 2 * row_step;  // what the products take at a time
constexpr int64_t block_rows = 288, block_columns = 384, block_steps = 8;
constexpr int64_t rows_ahead = 4;  // of the row that is packed another one is fetched
constexpr int64_t narrow = 128;    // columns up to which packing the rows costs more than it brings

// Where part i begins when `count` are shared out to `parts` in multiples of `step`; part `parts` begins at `count`.
int64_t cut(int64_t count, int64_t parts, int64_t i, int64_t step) {
  return std::min(count, round_up(count * i / parts, step));
}

enum class Use { rows, sums };

// Memory of the calling thread that stays with it.
template <Use use>
char* scratch(int64_t bytes) {
  thread_local c10::DataPtr memory;
  thread_local int64_t held = 0;
  if (held < bytes) {
    memory = c10::GetCPUAllocator()->allocate(bytes);
    held = bytes;
  }
  return static_cast<char*>(memory.get());
}

// A block of rows of a matrix of bf16, as left() gives it from a step on; `first`: the block is met for the first time.
class Bf16Rows {
 public:
  using Sum = float;
  static constexpr auto product = panel_product;

  Bf16Rows(const BFloat16* a, int64_t stride, const PackedMatrix& b)
      : a_(a), stride_(stride), steps_(b.steps()), packs_(b.n > narrow) {}

  LeftBlock left(int64_t row, int64_t rows, int64_t step, bool first, PackedRows packed) const {
    if (!packs_ && rows % row_step == 0) return {line(row, step), stride_ * int64_t{sizeof(BFloat16)}, step_bytes};
    const int64_t end = first ? std::min(step + block_steps, steps_) : step;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t s = step; s < end; ++s) {
        __builtin_prefetch(line(row + r + rows_ahead, s));
        std::memcpy(packed.at(r, s), line(row + r, s), step_bytes);
      }
    return packed.block(step);
  }
  void finish(int64_t, int64_t, int64_t, float*, int64_t) const {}

 private:
  const char* line(int64_t row, int64_t step) const {
    return reinterpret_cast<const char*>(a_ + row * stride_) + step * step_bytes;
  }

  const BFloat16* a_;
  int64_t stride_, steps_;
  bool packs_;
};

// The same rounded to whole numbers, all steps of a row at once.
class WholeRows {
 public:
  using Sum = int32_t;
  static constexpr auto product = panel_product_int8;

  WholeRows(const BFloat16* a, int64_t stride, const PackedMatrix& b) : a_(a), stride_(stride), b_(b) {}

  LeftBlock left(int64_t row, int64_t rows, int64_t step, bool first, PackedRows packed) {
    if (first && step == 0) quantise_rows(a_ + row * stride_, stride_, rows, b_, packed, scale_);
    return packed.block(step);
  }
  void finish(int64_t rows, int64_t column, int64_t columns, int32_t* c, int64_t ldc) const {
    scale_sums(c, ldc, rows, column, columns, b_, scale_);
  }

 private:
  const BFloat16* a_;
  int64_t stride_;
  const PackedMatrix& b_;
  float scale_[block_rows];
};

// c [rows, columns] (+)= some steps of a block of rows times those of the panels of these columns.
template <class Rows>
void add_steps(int64_t rows, LeftBlock left, const PackedMatrix& b, int64_t step, int64_t column, int64_t columns,
               typename Rows::Sum* c, int64_t ldc) {
  const int64_t steps = std::min(block_steps, b.steps() - step), first = column / panel_columns;
  const int64_t last = first + round_up(columns, panel_columns) / panel_columns;
  for (int64_t p = first; p < last; ++p) {
    const bool more = step + steps < b.steps();
    const void* next = p + 1 < last         ? b.panel(p + 1, step)
                       : more               ? b.panel(first, step + steps)
                       : p + 1 < b.panels() ? b.panel(p + 1)
                                            : nullptr;
    Rows::product(rows, panel_columns, steps, left, b.panel(p, step), c + (p - first) * panel_columns, ldc, step > 0, next);
  }
}

void give_tiles(int64_t row, int64_t rows, int64_t column, int64_t columns, const float* c, int64_t ldc, TileSink sink) {
  for (int64_t r = 0; r < rows; r += tile_rows)
    for (int64_t j = 0; j < columns; j += tile_columns)
      sink({row + r, std::min(tile_rows, rows - r), column + j, std::min(tile_columns, columns - j), c + r * ldc + j, ldc});
}

// The tiles of rows [begin, end) and columns [first, last), first a multiple of tile_columns.
template <class Rows>
void multiply_range(Rows rows, const PackedMatrix& b, int64_t begin, int64_t end, int64_t first, int64_t last, TileSink sink) {
  constexpr int64_t ldc = block_columns + row_step;  // not a power of two
  auto* c = reinterpret_cast<typename Rows::Sum*>(scratch<Use::sums>(block_rows * ldc * 4));
  const int64_t blocks = round_up(end - begin, block_rows) / block_rows;
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t top = begin + cut(end - begin, blocks, i, row_pair);
    const int64_t count = begin + cut(end - begin, blocks, i + 1, row_pair) - top;
    const int64_t padded = round_up(count, row_step);
    const PackedRows packed(scratch<Use::rows>(PackedRows::bytes(padded, b.steps())), padded);
    for (int64_t column = first; column < last; column += block_columns) {
      const int64_t columns = std::min(block_columns, last - column);
      for (int64_t step = 0; step < b.steps(); step += block_steps) {
        const LeftBlock left = rows.left(top, count, step, column == first, packed);
        add_steps<Rows>(padded, left, b, step, column, columns, c, ldc);
      }
      rows.finish(count, column, columns, c, ldc);
      give_tiles(top, count, column, columns, reinterpret_cast<const float*>(c), ldc, sink);
    }
  }
}

}  // namespace

void multiply(const BFloat16* a, int64_t rows, int64_t stride, const PackedMatrix& b, TileSink sink) {
  const int64_t threads = at::get_num_threads(), few = threads * 4 * row_step;
  const auto range = [&](int64_t begin, int64_t end, int64_t first, int64_t last) {
    const PanelProducts products;
    if (b.int8())
      multiply_range(WholeRows(a, stride, b), b, begin, end, first, last, sink);
    else
      multiply_range(Bf16Rows(a, stride, b), b, begin, end, first, last, sink);
  };
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (rows >= few)
        range(cut(rows, threads, i, row_pair), cut(rows, threads, i + 1, row_pair), 0, b.n);
      else
        range(0, rows, cut(b.n, threads, i, tile_columns), cut(b.n, threads, i + 1, tile_columns));
    }
  });
}

}  // namespace dept::kernels
