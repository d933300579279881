#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/checksum.h"
#include "base/file.h"

/// safetensors, the format that Python's `safetensors` package reads: 8 bytes little-endian header length, a JSON header, the tensors.
/// https://github.com/huggingface/safetensors#format
namespace rechost {

enum class ScalarType { kBool, kU8, kI8, kU16, kI16, kF16, kBF16, kU32, kI32, kF32, kU64, kI64, kF64 };

std::size_t scalar_bytes(ScalarType type);
/// "F32": as in the header.
std::string_view scalar_name(ScalarType type);

/// A tensor to be written. Its bytes are asked for in portions, so that no tensor need be in memory as a whole.
struct TensorSource {
  std::string name;
  ScalarType type = ScalarType::kF32;
  std::vector<std::int64_t> shape;  ///< row-major; empty: a scalar

  /// Writes `count` elements from flat element `first` on to `out`. Asked in ascending order without gaps; `first` and `count` are
  /// multiples of the last dimensions' product (whole rows) when shape has more than one dimension.
  std::function<void(std::int64_t first, std::int64_t count, void* out)> read;
};

/// Borrows `values` until the file is written. Their number must fit the shape.
TensorSource tensor_of(std::string name, std::vector<std::int64_t> shape, std::span<const float> values);
TensorSource tensor_of(std::string name, std::vector<std::int64_t> shape, std::span<const std::int64_t> values);

using TensorMetadata = std::map<std::string, std::string>;

/// Creates `path` (which must not exist), writes the tensors in the order given and fsyncs. Data begin at a multiple of 64 bytes, so that
/// readers may map the file. Returns size and checksum, with `path` as given. Throws Error.
FileRecord write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors, const TensorMetadata& metadata);

/// An open file. Its header was checked whole: sizes, types, names given twice, overlaps, holes. Any thread.
class SafetensorsFile {
 public:
  struct Tensor {
    std::string name;
    ScalarType type = ScalarType::kF32;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;  ///< bytes from the start of the file
    std::uint64_t bytes = 0;

    std::int64_t elements() const;
  };

  /// Throws Error naming the file and the defect.
  explicit SafetensorsFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }  ///< in order of offset
  const TensorMetadata& metadata() const { return metadata_; }
  const Tensor* find(std::string_view name) const;

  /// Error, with what the file holds, when the name, type or shape is another.
  const Tensor& require(std::string_view name, ScalarType type, std::span<const std::int64_t> shape) const;

  /// Reads `count` elements from flat element `first` on.
  void read(const Tensor& tensor, std::int64_t first, std::int64_t count, void* out) const;

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
  std::vector<Tensor> tensors_;
  TensorMetadata metadata_;
};

}  // namespace rechost
