#include "train/checkpoint_reader.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace rechost {

/// Opened when first read, then kept: resharding reads a table in many pieces.
struct CheckpointReader::OpenFiles {
  std::mutex mutex;
  std::map<std::string, SafetensorsFile> by_path;
};

namespace {

CheckpointManifest read_manifest(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / CheckpointManifest::kFileName;
  if (!std::filesystem::is_directory(directory))
    fail<CheckpointError>("{} is not a checkpoint: there is no such directory", directory.string());
  std::string text;
  try {
    text = read_file(file);
  } catch (const Error& error) {
    fail<CheckpointError>("{} is not a complete checkpoint: {}; use another one", directory.string(), error.what());
  }
  return CheckpointManifest::from_text(text, file.string());
}

}  // namespace

CheckpointReader::CheckpointReader(std::filesystem::path directory)
    : directory_(std::move(directory)), manifest_(read_manifest(directory_)), open_files_(std::make_unique<OpenFiles>()) {
  for (const FileRecord& record : manifest_.files) {
    const std::string what = file_defect(directory_, record, CheckDepth::kSizes);
    if (!what.empty()) defect(record.path, what);
  }
  check_extra_files();
}

CheckpointReader::~CheckpointReader() = default;
CheckpointReader::CheckpointReader(CheckpointReader&&) noexcept = default;

void CheckpointReader::defect(std::string_view file, std::string_view what) const {
  fail<CheckpointError>("checkpoint {}: {} {}; restore the file from a copy, or use another checkpoint", directory_.string(), file, what);
}

void CheckpointReader::check_extra_files() const {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_)) {
    if (entry.is_directory()) continue;
    const std::string path = entry.path().lexically_relative(directory_).generic_string();
    if (path != CheckpointManifest::kFileName && manifest_.find_file(path) == nullptr) {
      fail<CheckpointError>(
          "checkpoint {}: {} is not in the manifest; nothing of a checkpoint may be added or renamed: move that file away",
          directory_.string(), path);
    }
  }
}

void CheckpointReader::verify() const {
  for (const FileRecord& record : manifest_.files) {
    std::string what;
    try {
      what = file_defect(directory_, record, CheckDepth::kChecksums);
    } catch (const Error& error) {
      defect(record.path, error.what());
    }
    if (!what.empty()) defect(record.path, what);
  }
  check_dense_file();
  check_table_files();
}

void CheckpointReader::check_dense_file() const {
  if (manifest_.dense.empty()) return;
  const std::string path(CheckpointManifest::kDenseFile);
  const SafetensorsFile& file = open(path);
  if (file.tensors().size() != manifest_.dense.size()) {
    defect(path, fmt::format("holds {} tensors, the manifest lists {}", file.tensors().size(), manifest_.dense.size()));
  }
  for (const DenseTensorInfo& info : manifest_.dense) {
    const SafetensorsFile::Tensor* tensor = file.find(info.name);
    if (tensor == nullptr) defect(path, fmt::format("holds no tensor \"{}\"", info.name));
    if (tensor->shape != info.shape || scalar_name(tensor->type) != info.type) {
      defect(path, fmt::format("holds tensor \"{}\" with another shape or type than the manifest says", info.name));
    }
  }
}

void CheckpointReader::check_table_files() const {
  for (const CheckpointTable& table : manifest_.tables) {
    for (const TablePart& part : table.parts) {
      const SafetensorsFile& file = open(part.file);
      try {
        file.require("rows", rows_type(table.precision), std::vector{part.rows, table.dim});
        if (table.state_floats > 0) file.require("state", ScalarType::kF32, std::vector{part.rows, table.state_floats});
        if (table.has_ids) file.require("ids", ScalarType::kI64, std::vector{part.rows});
      } catch (const Error& error) {
        defect(part.file, fmt::format("does not fit table \"{}\": {}", table.name, error.what()));
      }
    }
  }
}

const SafetensorsFile& CheckpointReader::open(const std::string& path) const {
  const std::lock_guard lock(open_files_->mutex);
  const auto found = open_files_->by_path.find(path);
  if (found != open_files_->by_path.end()) return found->second;
  try {
    return open_files_->by_path.emplace(path, SafetensorsFile(directory_ / path)).first->second;
  } catch (const Error& error) {
    defect(path, fmt::format("cannot be read: {}", error.what()));
  }
}

bool CheckpointReader::has_dense(std::string_view name) const {
  return std::any_of(manifest_.dense.begin(), manifest_.dense.end(), [&](const DenseTensorInfo& info) { return info.name == name; });
}

void CheckpointReader::read_dense(std::string_view name, std::span<const std::int64_t> shape, float* out) const {
  const std::string path(CheckpointManifest::kDenseFile);
  if (!has_dense(name)) {
    fail<CheckpointError>("checkpoint {} has no dense tensor \"{}\": it was written by another model, or other options of it",
                          directory_.string(), name);
  }
  const SafetensorsFile& file = open(path);
  try {
    const SafetensorsFile::Tensor& tensor = file.require(name, ScalarType::kF32, shape);
    file.read(tensor, 0, tensor.elements(), out);
  } catch (const Error& error) {
    fail<CheckpointError>("the checkpoint does not fit the model or its options: {}", error.what());
  }
}

const CheckpointTable& CheckpointReader::require_table(std::string_view name, std::int64_t rows, std::int64_t dim,
                                                       std::int64_t state_floats) const {
  const CheckpointTable* table = manifest_.find_table(name);
  if (table == nullptr) {
    fail<CheckpointError>("checkpoint {} has no table \"{}\": it was written by another model, or for other features", directory_.string(),
                          name);
  }
  if (table->rows != rows || table->dim != dim || table->state_floats != state_floats) {
    fail<CheckpointError>(
        "checkpoint {}: table \"{}\" has {} rows of dim {} with {} floats of optimizer state each ({}), the run's has {} of dim {} with "
        "{}: "
        "go on with the configuration and data that it was written with",
        directory_.string(), name, table->rows, table->dim, table->state_floats, table->optimizer, rows, dim, state_floats);
  }
  return *table;
}

void CheckpointReader::read_table(const CheckpointTable& table, std::int64_t first, std::int64_t count, float* rows, float* state,
                                  std::int64_t* ids) const {
  if (first < 0 || count < 0 || first > table.rows - count) {
    fail<CheckpointError>("rows {} to {} of table \"{}\", which has {}", first, first + count, table.name, table.rows);
  }
  for (const TablePart& part : table.parts) {
    const std::int64_t begin = std::max(first, part.first_row);
    const std::int64_t end = std::min(first + count, part.first_row + part.rows);
    if (begin >= end) continue;
    const SafetensorsFile& file = open(part.file);
    const auto read = [&](std::string_view tensor, ScalarType type, std::vector<std::int64_t> shape, auto* out) {
      const std::int64_t row = shape.size() > 1 ? shape[1] : 1;
      file.read(file.require(tensor, type, shape), (begin - part.first_row) * row, (end - begin) * row, out + (begin - first) * row);
    };
    try {
      if (rows != nullptr && table.precision == RowPrecision::kFp32) read("rows", ScalarType::kF32, {part.rows, table.dim}, rows);
      if (rows != nullptr && table.precision != RowPrecision::kFp32) {
        std::vector<std::uint16_t> narrow(static_cast<std::size_t>(count * table.dim));
        read("rows", rows_type(table.precision), {part.rows, table.dim}, narrow.data());
        const std::int64_t before = (begin - first) * table.dim;
        widen_values(table.precision, narrow.data() + before, (end - begin) * table.dim, rows + before);
      }
      if (state != nullptr && table.state_floats > 0) read("state", ScalarType::kF32, {part.rows, table.state_floats}, state);
      if (ids != nullptr && table.has_ids) read("ids", ScalarType::kI64, {part.rows}, ids);
    } catch (const Error& error) {
      defect(part.file, fmt::format("cannot be read: {}", error.what()));
    }
  }
}

std::filesystem::path CheckpointReader::file(std::string_view path) const {
  if (manifest_.find_file(path) == nullptr) fail<CheckpointError>("checkpoint {} has no file {}", directory_.string(), path);
  return directory_ / path;
}

}  // namespace rechost
