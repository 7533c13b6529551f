// The loops around panel_product: a block of rows is packed into a thread's scratch, some steps of it at a time, and goes past
// all panels of a few columns before the next steps do, so that each panel's steps stay in the first cache and rows and sums in
// the second.
#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <cstring>

#include "kernels/cpu/int8_matrix.h"
#include "kernels/cpu/packed_matrix.h"

namespace dept::kernels {
namespace {

using c10::BFloat16;

constexpr int64_t row_pair = 2 * row_step;  // what AMX takes at a time
constexpr int64_t most_rows = 288, block_columns = 384, block_steps = 8;
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

// Blocks of rows of a matrix as left() gives them from a step on; `first`: the block is met for the first time.
class PlainRows {
 public:
  using Sum = float;

  PlainRows(const BFloat16* a, int64_t stride, const PackedMatrix& b)
      : a_(reinterpret_cast<const char*>(a)),
        stride_(stride * int64_t{sizeof(BFloat16)}),
        steps_(b.steps()),
        packs_(b.n > narrow) {}

  LeftBlock left(int64_t row, int64_t rows, int64_t step, bool first, PackedRows packed) const {
    if (!packs_ && rows % rows_at_once() == 0) return {line(row, step), stride_, step_bytes};
    const int64_t end = first ? std::min(step + block_steps, steps_) : step;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t s = step; s < end; ++s) {
        __builtin_prefetch(line(row + r + rows_ahead, s));
        std::memcpy(packed.at(r, s), line(row + r, s), step_bytes);
      }
    return packed.block(step);
  }
  /// What left() will read of some rows from a step on.
  RowsAhead ahead(int64_t row, int64_t rows, int64_t step) const {
    if (!packs_) return {};
    return {line(row, step), stride_, rows, std::min(block_steps, steps_ - step)};
  }
  void finish(int64_t, const BlockSums<float>&) const {}

 private:
  const char* line(int64_t row, int64_t step) const { return a_ + row * stride_ + step * step_bytes; }

  const char* a_;
  int64_t stride_, steps_;  // bytes from row to row
  bool packs_;
};

// The same rounded to whole numbers, all steps of a row at once.
class WholeRows {
 public:
  using Sum = int32_t;

  WholeRows(const BFloat16* a, int64_t stride, const PackedMatrix& b) : a_(a), stride_(stride), b_(b) {}

  LeftBlock left(int64_t row, int64_t rows, int64_t step, bool first, PackedRows packed) {
    if (first && step == 0) quantise_rows(a_ + row * stride_, stride_, rows, b_, packed, scale_);
    return packed.block(step);
  }
  static RowsAhead ahead(int64_t, int64_t, int64_t) { return {}; }
  void finish(int64_t rows, const BlockSums<int32_t>& sums) const {
    scale_sums({sums.c, sums.ldc, rows, sums.column, sums.columns}, b_, scale_);
  }

 private:
  const BFloat16* a_;
  int64_t stride_;
  const PackedMatrix& b_;
  float scale_[most_rows];
};

// sums (+)= the steps from `step` on of a block of rows times those of the panels of the sums' columns; meanwhile rows that come
// next are brought near.
template <class Sum>
void add_steps(const LeftBlock& left, const PackedMatrix& b, int64_t step, const BlockSums<Sum>& sums, const RowsAhead& rows) {
  const int64_t first = sums.column / panel_columns;
  const int64_t last = first + round_up(sums.columns, panel_columns) / panel_columns;
  PanelProduct<Sum> task;
  task.rows = sums.rows;
  task.columns = panel_columns;
  task.steps = std::min(block_steps, b.steps() - step);
  task.left = left;
  task.ldc = sums.ldc;
  task.add = step > 0;
  const bool more = step + task.steps < b.steps();
  for (int64_t p = first; p < last; ++p) {
    task.panel = b.panel(p, step);
    task.c = sums.c + (p - first) * panel_columns;
    task.ahead = p + 1 < last         ? b.panel(p + 1, step)
                 : more               ? b.panel(first, step + task.steps)
                 : p + 1 < b.panels() ? b.panel(p + 1)
                                      : nullptr;
    task.rows_ahead = rows.part(p - first, last - first);
    panel_product(task);
  }
}

// The first `rows` of the sums, which are those of rows `row` .. of the product.
template <class Sum>
void give_tiles(int64_t row, int64_t rows, const BlockSums<Sum>& sums, TileSink sink) {
  const auto* c = reinterpret_cast<const float*>(sums.c);
  for (int64_t r = 0; r < rows; r += tile_rows)
    for (int64_t j = 0; j < sums.columns; j += tile_columns)
      sink({row + r, std::min(tile_rows, rows - r), sums.column + j, std::min(tile_columns, sums.columns - j),
            c + r * sums.ldc + j, sums.ldc});
}

struct Range {
  int64_t begin, end;
};

// The tiles of some rows and columns, these from a multiple of tile_columns on; `done` where it is all columns.
template <class Rows>
void multiply_range(Rows rows, const PackedMatrix& b, Range row_range, Range column_range, TileSink sink, RowsSink done) {
  const int64_t begin = row_range.begin, end = row_range.end, first = column_range.begin, last = column_range.end;
  constexpr int64_t ldc = block_columns + row_step;  // not a power of two
  static_assert(most_rows % row_pair == 0);          // cuts stay within a block
  auto* c = reinterpret_cast<typename Rows::Sum*>(scratch<Use::sums>(most_rows * ldc * 4));
  const int64_t blocks = round_up(end - begin, most_rows) / most_rows;
  const auto top_of = [&](int64_t i) { return begin + cut(end - begin, blocks, i, row_pair); };
  for (int64_t i = 0; i < blocks; ++i) {
    const int64_t top = top_of(i), count = top_of(i + 1) - top, padded = round_up(count, rows_at_once());
    const PackedRows packed(scratch<Use::rows>(PackedRows::bytes(padded, b.steps())), padded);
    for (int64_t column = first; column < last; column += block_columns) {
      const BlockSums<typename Rows::Sum> sums{c, ldc, padded, column, std::min(block_columns, last - column)};
      for (int64_t step = 0; step < b.steps(); step += block_steps) {
        const LeftBlock left = rows.left(top, count, step, column == first, packed);
        RowsAhead next;
        if (const bool more = step + block_steps < b.steps(); more && column == first)
          next = rows.ahead(top, count, step + block_steps);
        else if (!more && column + block_columns >= last && i + 1 < blocks)
          next = rows.ahead(top_of(i + 1), top_of(i + 2) - top_of(i + 1), 0);
        add_steps(left, b, step, sums, next);
      }
      rows.finish(count, sums);
      give_tiles(top, count, sums, sink);
    }
    if (done) done(top, count);
  }
}

}  // namespace

void multiply(const BFloat16* a, int64_t rows, int64_t stride, const PackedMatrix& b, TileSink sink, RowsSink done) {
  const int64_t threads = at::get_num_threads();
  const bool by_rows = rows >= threads * 4 * row_step;
  const auto range = [&](Range row_range, Range column_range) {
    const PanelProducts products;
    const RowsSink then = by_rows ? done : RowsSink();
    if (b.int8())
      multiply_range(WholeRows(a, stride, b), b, row_range, column_range, sink, then);
    else
      multiply_range(PlainRows(a, stride, b), b, row_range, column_range, sink, then);
  };
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      if (by_rows)
        range({cut(rows, threads, i, row_step), cut(rows, threads, i + 1, row_step)}, {0, b.n});
      else
        range({0, rows}, {cut(b.n, threads, i, tile_columns), cut(b.n, threads, i + 1, tile_columns)});
    }
  });
  if (!by_rows && done)
    at::parallel_for(0, rows, 1 + row_step / threads, [&](int64_t begin, int64_t end) { done(begin, end - begin); });
}

}  // namespace dept::kernels
