#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "kernels/top_k.h"

namespace rechost {

/// Vectors as files that other programs read. Every function replaces the file whole: readers see the old contents or these, never a part.
/// Throws Error with the path and the system's reason.

/// NumPy's format 1.0: float32, little endian, C order, shape (count, dim).
void write_npy(const std::filesystem::path& path, const VectorsView& vectors);

/// One identifier a line, in the order of the vectors. Line breaks and backslashes inside one are written as \n, \r and \\.
void write_ids(const std::filesystem::path& path, std::span<const std::string> ids);

/// FAISS's flat index for the inner product (IndexFlatIP), as faiss.read_index opens it. Search results are positions in the vectors, so
/// the file goes with the list of write_ids().
void write_faiss_flat_index(const std::filesystem::path& path, const VectorsView& vectors);

}  // namespace rechost
