// Products of matrices of somebody else's memory.
#pragma once

#include <cstdint>

// BLAS as LibTorch carries it (MKL), column by column. Called for blocks of a batch, where at::mm_out() and the views it needs would cost
// as much as small products themselves.
extern "C" void sgemm_(const char* transpose_a, const char* transpose_b, const int* m, const int* n, const int* k, const float* alpha,
                       const float* a, const int* lda, const float* b, const int* ldb, const float* beta, float* c, const int* ldc);

namespace layers {

// Row by row, with `stride` floats from one row to the next. Fewer than 2^31 of everything.
struct Matrix {
  float* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;

  Matrix row_range(int64_t begin, int64_t end) const { return {data + begin * stride, end - begin, columns, stride}; }
  Matrix column_range(int64_t begin, int64_t end) const { return {data + begin, rows, end - begin, stride}; }
};

enum class Transposed { kNo, kYes };

// out = op(a) op(b) + (add ? out : 0), op as said for each.
inline void multiply(const Matrix& a, Transposed transpose_a, const Matrix& b, Transposed transpose_b, const Matrix& out, bool add = false) {
  // Row by row is column by column of the transposed matrix, and (a b)' = b' a'.
  const int m = static_cast<int>(out.columns), n = static_cast<int>(out.rows);
  const int k = static_cast<int>(transpose_a == Transposed::kYes ? a.rows : a.columns);
  const int lda = static_cast<int>(b.stride), ldb = static_cast<int>(a.stride), ldc = static_cast<int>(out.stride);
  const float one = 1.0F, keep = add ? 1.0F : 0.0F;
  sgemm_(transpose_b == Transposed::kYes ? "T" : "N", transpose_a == Transposed::kYes ? "T" : "N", &m, &n, &k, &one, b.data, &lda, a.data,
         &ldb, &keep, out.data, &ldc);
}

}  // namespace layers
