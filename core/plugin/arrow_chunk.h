#pragma once

#include <memory>
#include <span>

#include "data/source.h"
#include "plugin/arrow_schema.h"
#include "rechost/dataset.h"

namespace rechost {

/// An ArrowArray that is released at its end.
class OwnedArray {
 public:
  OwnedArray() = default;
  ~OwnedArray() {
    if (array_.release != nullptr) array_.release(&array_);
  }
  OwnedArray(OwnedArray&& other) noexcept : array_(other.array_) { other.array_.release = nullptr; }
  OwnedArray& operator=(OwnedArray&&) = delete;  // never needed
  ArrowArray* operator->() { return &array_; }
  ArrowArray* get() { return &array_; }
  const ArrowArray& operator*() const { return array_; }

 private:
  ArrowArray array_{};
};

/// Takes a struct array with the wanted children. Nothing is copied but the indices of dictionaries that are not int32 or
/// where some are null. Every length, offset
/// and null is checked. Throws PluginError, without a label, naming the column.
std::unique_ptr<ChunkData> read_arrow_chunk(OwnedArray array, const ArrowColumns& schema, std::span<const std::uint32_t> wanted);

}  // namespace rechost
