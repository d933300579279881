#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/safetensors.h"
#include "train/checkpoint_manifest.h"

namespace rechost {

/// A checkpoint on disk. Every defect is one CheckpointError that names the file and what to do. Any thread, once made.
class CheckpointReader {
 public:
  /// Reads the manifest and checks that every file is there with its size, and nothing else.
  /// `directory`: of the checkpoint itself (a symbolic link will do).
  explicit CheckpointReader(std::filesystem::path directory);
  ~CheckpointReader();
  CheckpointReader(CheckpointReader&&) noexcept;

  const std::filesystem::path& directory() const { return directory_; }
  const CheckpointManifest& manifest() const { return manifest_; }

  /// Reads every byte: checksums, and that each tensor file holds what the manifest says.
  void verify() const;

  /// A dense tensor whole. Its shape must be this one and its type F32.
  void read_dense(std::string_view name, std::span<const std::int64_t> shape, float* out) const;
  bool has_dense(std::string_view name) const;

  /// The table must have this shape. The message names both.
  const CheckpointTable& require_table(std::string_view name, std::int64_t rows, std::int64_t dim, std::int64_t state_floats) const;

  /// Any rows, whatever parts hold them, as float32 whatever their precision. `rows` [count, dim], `state` [count, state_floats], `ids` [count]; null skips.
  void read_table(const CheckpointTable& table, std::int64_t first, std::int64_t count, float* rows, float* state,
                  std::int64_t* ids = nullptr) const;

  /// Where a further file is. Throws when the manifest does not list it.
  std::filesystem::path file(std::string_view path) const;

 private:
  struct OpenFiles;
  const SafetensorsFile& open(const std::string& path) const;
  [[noreturn]] void defect(std::string_view file, std::string_view what) const;
  void check_extra_files() const;
  void check_dense_file() const;
  void check_table_files() const;

  std::filesystem::path directory_;
  CheckpointManifest manifest_;
  std::unique_ptr<OpenFiles> open_files_;
};

}  // namespace rechost
