#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/philox.h"
#include "data/source.h"

namespace rechost::bench {

constexpr std::size_t kDense = 13;
constexpr std::size_t kSparse = 26;
constexpr std::int64_t kRowsPerChunk = 65536;

/// Rows like those of the Criteo challenge: counts, and ids with Zipf-distributed values, in memory.
class CriteoLike : public ChunkSource {
 public:
  explicit CriteoLike(std::int64_t rows) : rows_(rows) {
    for (std::size_t i = 0; i < kDense; ++i) {
      columns_.push_back({.name = fmt::format("I{}", i + 1), .role = ColumnRole::kDense, .type = ValueType::kFloat32});
    }
    for (std::size_t i = 0; i < kSparse; ++i) {
      columns_.push_back({.name = fmt::format("C{}", i + 1), .role = ColumnRole::kSparse, .type = ValueType::kInt64});
    }
    columns_.push_back({.name = "label", .role = ColumnRole::kLabel, .type = ValueType::kFloat32});
    dense_.resize(kDense);
    sparse_.resize(kSparse);
    const Philox random(1);
    for (std::size_t i = 0; i < kDense; ++i) {
      // Counts whose logarithm is uniform, the larger the later the column.
      for (std::int64_t row = 0; row < rows; ++row) {
        dense_[i].push_back(std::floor(std::exp(uniform_float(random(static_cast<std::uint64_t>(row), i)[0]) * (2.0F + 0.5F * static_cast<float>(i)))) - 1.0F);
      }
    }
    for (std::size_t i = 0; i < kSparse; ++i) {
      // Cardinalities from tens to millions, as in Criteo; log-uniform ranks are Zipf-distributed with exponent 1.
      const double distinct = std::pow(10.0, 1.0 + 6.0 * static_cast<double>(i) / kSparse);
      for (std::int64_t row = 0; row < rows; ++row) {
        const double u = uniform_double(random.word64(static_cast<std::uint64_t>(row), 100 + i));
        const auto rank = static_cast<std::uint64_t>(std::pow(distinct, u));
        sparse_[i].push_back(static_cast<std::int64_t>(derive_seed(rank, i) >> 32));  // values as arbitrary as Criteo's hashes
      }
    }
    for (std::int64_t row = 0; row < rows; ++row) label_.push_back(static_cast<float>(random(static_cast<std::uint64_t>(row), 77)[0] & 1U));
  }

  const std::vector<ColumnInfo>& columns() const override { return columns_; }
  std::int64_t chunk_count() const override { return (rows_ + kRowsPerChunk - 1) / kRowsPerChunk; }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return std::min(kRowsPerChunk, rows_ - chunk * kRowsPerChunk); }
  std::uint64_t fingerprint() override { return 1; }
  std::optional<double> best_auc() const override { return std::nullopt; }

  std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t> wanted, const std::function<void(BadRow&&)>&) override {
    class Views : public ChunkData {
     public:
      std::span<const ColumnView> columns() const override { return views; }
      std::int64_t rows() const override { return row_count; }
      std::vector<ColumnView> views;
      std::int64_t row_count = 0;
    };
    auto data = std::make_unique<Views>();
    data->row_count = chunk_rows(chunk);
    const std::int64_t first = chunk * kRowsPerChunk;
    for (const std::uint32_t column : wanted) {
      ColumnView view;
      view.type = columns_[column].type;
      view.rows = data->row_count;
      view.values = column < kDense             ? static_cast<const void*>(dense_[column].data() + first)
                    : column < kDense + kSparse ? static_cast<const void*>(sparse_[column - kDense].data() + first)
                                                : static_cast<const void*>(label_.data() + first);
      data->views.push_back(view);
    }
    return data;
  }

  std::int64_t rows() const { return rows_; }

  /// As the challenge has it: label, counts and ids in hexadecimal between tabs; a tenth of the values is missing.
  void write_tsv(const std::filesystem::path& path) const {
    const Philox random(2);
    fmt::memory_buffer text;
    const File file(path);
    for (std::int64_t row = 0; row < rows_; ++row) {
      const auto at = static_cast<std::size_t>(row);
      fmt::format_to(std::back_inserter(text), "{:.0f}", label_[at]);
      const auto missing = [&](std::size_t column) { return random(static_cast<std::uint64_t>(row), column)[0] % 10 == 0; };
      for (std::size_t i = 0; i < kDense; ++i) {
        text.push_back('\t');
        if (!missing(i)) fmt::format_to(std::back_inserter(text), "{:.0f}", dense_[i][at]);
      }
      for (std::size_t i = 0; i < kSparse; ++i) {
        text.push_back('\t');
        if (!missing(kDense + i)) fmt::format_to(std::back_inserter(text), "{:08x}", sparse_[i][at]);
      }
      text.push_back('\n');
      if (text.size() > (1u << 20) || row + 1 == rows_) {
        file.write(text.data(), text.size());
        text.clear();
      }
    }
  }

  /// The columns one after the other, label first, as peers.py reads them.
  void write_columns(const std::filesystem::path& path) const {
    const File file(path);
    file.write(label_.data(), label_.size() * sizeof(float));
    for (const auto& column : dense_) file.write(column.data(), column.size() * sizeof(float));
    for (const auto& column : sparse_) file.write(column.data(), column.size() * sizeof(std::int64_t));
  }

 private:
  class File {
   public:
    explicit File(const std::filesystem::path& path) : file_(std::fopen(path.c_str(), "wb"), &std::fclose) {
      if (file_ == nullptr) fail("cannot write {}", path.string());
    }
    void write(const void* bytes, std::size_t size) const {
      if (std::fwrite(bytes, 1, size, file_.get()) != size) fail("cannot write the data of the bench: is the disk full?");
    }

   private:
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  };

  std::int64_t rows_;
  std::vector<ColumnInfo> columns_;
  std::vector<std::vector<float>> dense_;
  std::vector<std::vector<std::int64_t>> sparse_;
  std::vector<float> label_;
};

}  // namespace rechost::bench
