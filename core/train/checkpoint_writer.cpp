#include "train/checkpoint_writer.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <typeinfo>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/time.h"
#include "base/version.h"
#include "train/checkpoint_store.h"

namespace rechost {
namespace {

/// Failures of files become CheckpointErrors; those of the caller's callbacks pass as they are.
template <typename Action>
auto writing(Action&& action) {
  try {
    return action();
  } catch (const Error& error) {
    if (typeid(error) != typeid(Error)) throw;
    fail<CheckpointError>("the checkpoint was not written, older ones are unharmed: {}", error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    fail<CheckpointError>("the checkpoint was not written, older ones are unharmed: {}", error.what());
  }
}

std::filesystem::path make_staging(const std::filesystem::path& checkpoints, std::int64_t step) {
  std::filesystem::create_directories(checkpoints);
  for (int attempt = 0;; ++attempt) {
    const std::filesystem::path staging =
        checkpoints / fmt::format("{}{}-{}-{}", kStagingPrefix, checkpoint_directory_name(step), ::getpid(), attempt);
    if (std::filesystem::create_directory(staging)) return staging;
  }
}

TensorSource table_tensor(std::string name, ScalarType type, std::vector<std::int64_t> shape, std::int64_t first_row,
                          std::function<void(std::int64_t, std::int64_t, void*)> read_rows) {
  const std::int64_t row_elements = shape.size() > 1 ? shape[1] : 1;
  return {std::move(name), type, std::move(shape),
          [row_elements, first_row, read = std::move(read_rows)](std::int64_t first, std::int64_t count, void* out) {
            read(first_row + first / row_elements, count / row_elements, out);
          }};
}

/// Values come as float32, whatever the precision of the table; back to that of the table they are what they were.
std::function<void(std::int64_t, std::int64_t, void*)> rows_of(const CheckpointTable& table, const ReadTableFloats& read) {
  return [read, precision = table.precision, dim = table.dim, values = std::vector<float>()](std::int64_t first, std::int64_t count, void* out) mutable {
    if (precision == RowPrecision::kFp32) {
      read(first, count, static_cast<float*>(out));
      return;
    }
    values.resize(static_cast<std::size_t>(count * dim));
    read(first, count, values.data());
    narrow_values(precision, values.data(), count * dim, out);
  };
}

}  // namespace

std::string optimizer_state_name(std::string_view state, std::string_view parameter) {
  return fmt::format("optimizer/{}/{}", state, parameter);
}

CheckpointWriter::CheckpointWriter(std::filesystem::path checkpoints, CheckpointManifest manifest, CheckpointWriterSettings settings)
    : checkpoints_(std::move(checkpoints)), manifest_(std::move(manifest)), settings_(std::move(settings)) {
  before("create the staging directory");
  manifest_.tables.clear();
  manifest_.dense.clear();
  manifest_.files.clear();
  staging_ = writing([&] { return make_staging(checkpoints_, manifest_.position.step); });
}

CheckpointWriter::~CheckpointWriter() {
  if (committed_) return;
  std::error_code ignored;  // what stays is removed at the next start
  std::filesystem::remove_all(staging_, ignored);
}

void CheckpointWriter::before(std::string_view step) const {
  if (settings_.before_step) settings_.before_step(step);
}

std::filesystem::path CheckpointWriter::prepare_file(const std::string& path) const {
  const std::filesystem::path relative = std::filesystem::path(path).lexically_normal();
  if (relative.empty() || relative.is_absolute() || relative.generic_string() != path || *relative.begin() == "..") {
    fail<CheckpointError>("\"{}\" cannot be a file of a checkpoint: the path must be relative and plain", path);
  }
  if (path == CheckpointManifest::kFileName || manifest_.find_file(path) != nullptr) {
    fail<CheckpointError>("the checkpoint has a file {} already", path);
  }
  const std::filesystem::path absolute = staging_ / relative;
  std::filesystem::create_directories(absolute.parent_path());
  return absolute;
}

void CheckpointWriter::write_dense(std::span<const DenseTensor> tensors) {
  before("write the dense tensors");
  std::vector<TensorSource> sources;
  for (const DenseTensor& tensor : tensors) {
    const bool is_state = tensor.source.name.starts_with("optimizer/");
    if (is_state != (tensor.role == "optimizer_state")) {
      fail<CheckpointError>("dense tensor \"{}\" of role {}: names in optimizer/ belong to optimizer state", tensor.source.name,
                            tensor.role);
    }
    sources.push_back(tensor.source);
    manifest_.dense.push_back({tensor.source.name, tensor.role, std::string(scalar_name(tensor.source.type)), tensor.source.shape});
  }
  writing([&] {
    const std::string path(CheckpointManifest::kDenseFile);
    FileRecord record = write_safetensors(prepare_file(path), sources, {{"step", std::to_string(manifest_.position.step)}});
    record.path = path;
    manifest_.files.push_back(std::move(record));
  });
}

Json CheckpointWriter::WrittenPart::to_json() const {
  return {{"table", table},    {"first_row", part.first_row}, {"rows", part.rows},
          {"file", file.path}, {"bytes", file.bytes},         {"checksum", file.checksum}};
}

CheckpointWriter::WrittenPart CheckpointWriter::WrittenPart::from_json(const Json& json) {
  try {
    WrittenPart part;
    part.table = json.at("table").get<std::string>();
    part.file = {json.at("file").get<std::string>(), json.at("bytes").get<std::uint64_t>(), json.at("checksum").get<std::string>()};
    part.part = {json.at("first_row").get<std::int64_t>(), json.at("rows").get<std::int64_t>(), part.file.path};
    return part;
  } catch (const Json::exception& error) {
    fail<CheckpointError>("another rank's report of a written table part cannot be read: {}", error.what());
  }
}

void CheckpointWriter::add_table(CheckpointTable table) {
  if (manifest_.find_table(table.name) != nullptr) fail<CheckpointError>("the checkpoint has a table \"{}\" already", table.name);
  table.parts.clear();
  manifest_.tables.push_back(std::move(table));
}

void CheckpointWriter::add_part(const WrittenPart& part) {
  before(fmt::format("add {}", part.file.path));
  const auto table = std::find_if(manifest_.tables.begin(), manifest_.tables.end(),
                                  [&](const CheckpointTable& candidate) { return candidate.name == part.table; });
  if (table == manifest_.tables.end()) fail<CheckpointError>("{} belongs to table \"{}\", which was not added", part.file.path, part.table);
  if (manifest_.find_file(part.file.path) != nullptr) fail<CheckpointError>("the checkpoint has a file {} already", part.file.path);
  table->parts.push_back(part.part);
  manifest_.files.push_back(part.file);
}

CheckpointWriter::WrittenPart CheckpointWriter::write_table_part(const std::filesystem::path& staging, const CheckpointTable& table,
                                                                 const CheckpointPosition& position, const TablePartSource& source) {
  std::vector<TensorSource> tensors;
  const std::int64_t rows = source.row_count;
  const auto floats = [](const ReadTableFloats& read) {
    return [read](std::int64_t first, std::int64_t count, void* out) { read(first, count, static_cast<float*>(out)); };
  };
  if (table.has_ids) {
    tensors.push_back(table_tensor("ids", ScalarType::kI64, {rows}, source.first_row,
                                   [read = source.read_ids](std::int64_t first, std::int64_t count, void* out) {
                                     read(first, count, static_cast<std::int64_t*>(out));
                                   }));
  }
  tensors.push_back(table_tensor("rows", rows_type(table.precision), {rows, table.dim}, source.first_row, rows_of(table, source.read_rows)));
  if (table.state_floats > 0) {
    tensors.push_back(table_tensor("state", ScalarType::kF32, {rows, table.state_floats}, source.first_row, floats(source.read_state)));
  }
  return writing([&] {
    const std::string path = table_part_path(table.name, source.part, source.parts);
    std::filesystem::create_directories((staging / path).parent_path());
    WrittenPart written;
    written.table = table.name;
    written.part = {source.first_row, rows, path};
    written.file = write_safetensors(staging / path, tensors,
                                     {{"table", table.name},
                                      {"part", fmt::format("{} of {}", source.part, source.parts)},
                                      {"first_row", std::to_string(source.first_row)},
                                      {"step", std::to_string(position.step)}});
    written.file.path = path;
    return written;
  });
}

void CheckpointWriter::add_file(const std::string& path, std::string_view contents) {
  add_file(path, [&](const std::filesystem::path& absolute) { write_file_atomically(absolute, contents); });
}

void CheckpointWriter::add_file(const std::string& path, const std::function<void(const std::filesystem::path&)>& write) {
  before(fmt::format("write {}", path));
  writing([&] {
    const std::filesystem::path absolute = prepare_file(path);
    write(absolute);
    const FileDescriptor file(::open(absolute.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) fail("{} was not written", absolute.string());
    sync_file(file, absolute);
    manifest_.files.push_back(record_file(staging_, absolute));
  });
}

bool CheckpointWriter::link_files(const std::filesystem::path& checkpoint, std::span<const FileRecord> files) {
  before("link files of an earlier checkpoint");
  // A damaged file must not spread into the checkpoints that follow.
  for (const FileRecord& file : files) {
    if (!file_defect(checkpoint, file, CheckDepth::kChecksums).empty()) return false;
  }
  return writing([&] {
    std::vector<std::filesystem::path> linked;
    for (const FileRecord& file : files) {
      const std::filesystem::path target = prepare_file(file.path);
      std::error_code reason;
      std::filesystem::create_hard_link(checkpoint / file.path, target, reason);
      if (reason) {
        for (const std::filesystem::path& path : linked) std::filesystem::remove(path);
        return false;
      }
      linked.push_back(target);
    }
    manifest_.files.insert(manifest_.files.end(), files.begin(), files.end());
    return true;
  });
}

void CheckpointWriter::require_complete() {
  for (CheckpointTable& table : manifest_.tables) {
    std::sort(table.parts.begin(), table.parts.end(),
              [](const TablePart& a, const TablePart& b) { return std::pair(a.first_row, a.rows) < std::pair(b.first_row, b.rows); });
    std::int64_t next = 0;
    for (const TablePart& part : table.parts) {
      if (part.first_row != next) {
        fail<CheckpointError>("table \"{}\": a part begins at row {}, the one before ends at {}", table.name, part.first_row, next);
      }
      next += part.rows;
    }
    if (next != table.rows) fail<CheckpointError>("table \"{}\" has {} rows, its parts hold {}", table.name, table.rows, next);
  }
}

void CheckpointWriter::sync_staging() const {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(staging_)) {
    if (entry.is_directory()) sync_directory(entry.path());
  }
  sync_directory(staging_);
}

std::filesystem::path CheckpointWriter::commit() {
  require_complete();
  return writing([&] {
    std::sort(manifest_.files.begin(), manifest_.files.end(), [](const FileRecord& a, const FileRecord& b) { return a.path < b.path; });
    manifest_.created = utc_text(std::chrono::system_clock::now());
    manifest_.rechost_version = version();
    const std::vector<StoredCheckpoint> older = list_checkpoints(checkpoints_);
    manifest_.sequence = older.empty() ? 1 : older.front().sequence + 1;

    before("write the manifest");
    write_file_atomically(staging_ / CheckpointManifest::kFileName, manifest_.to_text());
    before("sync the staging directory");
    sync_staging();
    const std::string name = checkpoint_directory_name(manifest_.position.step);
    publish_checkpoint(staging_, checkpoints_, name, settings_.before_step);
    committed_ = true;
    before("switch latest");
    switch_symlink(checkpoints_ / "latest", name);
    prune_checkpoints(checkpoints_, settings_.keep, settings_.keep_steps, settings_.before_step);
    return checkpoints_ / name;
  });
}

}  // namespace rechost
