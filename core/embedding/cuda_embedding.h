#pragma once

#include <cstdint>

#include "device/cuda_module.h"

/// What the module rechost_cuda computes for this floor. All pointers are addresses on the device; work is queued on the stream; the functions
/// return null or the text of an error.
namespace rechost {

/// All samples of one lookup, as LookupJob is for the CPU.
struct CudaLookup {
  const float* table = nullptr;  ///< first row
  std::int64_t stride = 0;       ///< floats from one table row to the next
  std::int64_t dim = 0;
  const std::int32_t* ids = nullptr;      ///< of the column
  const std::int64_t* offsets = nullptr;  ///< [samples + 1]; null: sample i has exactly ids[i]
  const float* weights = nullptr;         ///< of the column's ids; null: all 1
  bool mean = false;
  std::int64_t samples = 0;
  float* output = nullptr;         ///< of sample 0
  std::int64_t output_stride = 0;  ///< floats from one sample's output to the next one's
};

/// One id column of a group and the lookups that read it.
struct CudaGradientColumn {
  std::int64_t first = 0;  ///< position of its first id
  bool one_each = true;    ///< sample i owns exactly id i; else CudaGradientSum::samples says whose an id is
  std::int32_t first_source = 0;
  std::int32_t end_source = 0;
};

/// Where the gradients of one lookup lie.
struct CudaGradientSource {
  const float* first = nullptr;           ///< of sample 0, or of the sequence's first id
  std::int64_t stride = 0;                ///< floats to the next one
  const std::int64_t* offsets = nullptr;  ///< set for mean pooling: a gradient counts 1 / bag length
  const float* weights = nullptr;         ///< of the column's ids, where they have some
  bool sequence = false;
};

/// The gradient of each unique row of one table: the sum over all its occurrences in all lookups, in batch order.
struct CudaGradientSum {
  const CudaGradientColumn* columns = nullptr;  ///< [column_count] by first position
  std::int32_t column_count = 0;
  const CudaGradientSource* sources = nullptr;
  const std::int32_t* positions = nullptr;        ///< as in PreparedGroup
  const std::int32_t* segment_offsets = nullptr;  ///< [unique + 1]
  const std::int32_t* samples = nullptr;          ///< null when every column is one_each
  std::int64_t position_count = 0;                ///< the last of segment_offsets
  std::int64_t unique = 0;
  std::int64_t dim = 0;
  float* sums = nullptr;  ///< [unique, dim], written whole
  // Room for [gradient_pieces(position_count), dim] floats each.
  float* heads = nullptr;
  float* tails = nullptr;
};

/// Positions that one thread adds up: a row that half a batch reads is shared by many threads.
inline constexpr std::int64_t kGradientPiece = 64;
constexpr std::int64_t gradient_pieces(std::int64_t positions) { return (positions + kGradientPiece - 1) / kGradientPiece; }

/// The kernels' host functions, looked up once.
struct CudaEmbedding {
  explicit CudaEmbedding(const CudaModule& module);

  const char* (*lookup)(StreamHandle stream, const CudaLookup& lookup);
  const char* (*sum_gradients)(StreamHandle stream, const CudaGradientSum& sum);
};

}  // namespace rechost
