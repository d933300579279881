#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rechost {

/// A flat index in FAISS's own format, little endian without padding (faiss/impl/index_write.cpp, `write_index_header` and IndexFlat):
///   4 bytes kind | i32 dim | i64 count | i64 unused | i64 unused | u8 trained | i32 metric | u64 number of floats | f32 vectors
inline constexpr std::string_view kFaissFlatInnerProduct = "IxFI";
inline constexpr std::int64_t kFaissUnused = std::int64_t{1} << 20;  ///< what FAISS itself writes there
inline constexpr std::int32_t kFaissInnerProduct = 0;                ///< faiss::METRIC_INNER_PRODUCT
inline constexpr std::size_t kFaissHeaderBytes = 45;                 ///< all before the vectors

}  // namespace rechost
