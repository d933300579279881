#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace rechost {

/// An array that is written afresh for every batch: grows and never shrinks, and does not clear what it hands out.
template <typename Element>
class ReusedArray {
 public:
  /// Elements are unspecified after the call.
  void resize_unspecified(std::int64_t size) {
    if (size > capacity_) {
      // A quarter more than asked: batches with lists differ a little in size, and each growth is a page-fault storm.
      capacity_ = size + size / 4;
      elements_ = std::make_unique_for_overwrite<Element[]>(static_cast<std::size_t>(capacity_));
    }
    size_ = size;
  }

  std::int64_t size() const { return size_; }
  Element* data() { return elements_.get(); }
  const Element* data() const { return elements_.get(); }
  Element& operator[](std::int64_t index) { return elements_[static_cast<std::size_t>(index)]; }
  const Element& operator[](std::int64_t index) const { return elements_[static_cast<std::size_t>(index)]; }
  std::span<const Element> view() const { return {elements_.get(), static_cast<std::size_t>(size_)}; }

 private:
  std::unique_ptr<Element[]> elements_;
  std::int64_t size_ = 0;
  std::int64_t capacity_ = 0;
};

}  // namespace rechost
