#include "plugin/dataset_instance.h"

#include <algorithm>
#include <exception>
#include <type_traits>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "plugin/arrow_chunk.h"
#include "plugin/arrow_schema.h"
#include "plugin/host_files.h"
#include "plugin/host_table.h"
#include "rechost/dataset.h"

namespace rechost {
namespace {

constexpr std::uint32_t kMostSplits = 16;
/// Of a bad row: many of them are kept at a time, and a row may be of any size.
constexpr std::size_t kMostRawBytes = 16384;

/// Takes down one read's bad rows. The loader is C: what the handler throws waits here until it has returned.
class BadRowRecorder {
 public:
  BadRowRecorder(std::int64_t chunk, std::int64_t declared, const std::function<void(BadRow&&)>& handler)
      : chunk_(chunk), declared_(declared), handler_(handler) {}

  static rh_error* record(void* context, const rh_bad_row* row) {
    auto* self = static_cast<BadRowRecorder*>(context);
    try {
      // After a failure nothing more is told; the loader should have stopped already.
      if (self->failure_ == nullptr) self->add(row);
    } catch (...) {
      self->failure_ = std::current_exception();
    }
    return self->failure_ == nullptr ? nullptr : new_error(RH_ERROR_DATA, "the host ends the read");
  }

  std::int64_t count() const { return count_; }
  void rethrow() const {
    if (failure_ != nullptr) std::rethrow_exception(failure_);
  }
  bool failed() const { return failure_ != nullptr; }

 private:
  void add(const rh_bad_row* row) {
    if (row == nullptr || !RH_HAS(row, raw)) fail<PluginError>("bad_row: the row is null or ends before the field raw");
    if (row->row_in_chunk <= last_ || row->row_in_chunk >= declared_) {
      fail<PluginError>("bad_row: row {} after row {}; rows ascend and the chunk has {}", row->row_in_chunk, last_, declared_);
    }
    last_ = row->row_in_chunk;
    ++count_;
    BadRow bad;
    bad.chunk = chunk_;
    bad.row_in_chunk = row->row_in_chunk;
    bad.line = row->line;
    bad.source = to_view(row->source, "bad_row: source");
    bad.column = to_view(row->column, "bad_row: column");
    bad.reason = to_view(row->reason, "bad_row: reason");
    const std::string_view raw = to_view(row->raw, "bad_row: raw");
    bad.raw = raw.substr(0, kMostRawBytes);
    bad.raw_bytes = static_cast<std::int64_t>(raw.size());
    handler_(std::move(bad));
  }

  std::int64_t chunk_;
  std::int64_t declared_;
  const std::function<void(BadRow&&)>& handler_;
  std::int64_t count_ = 0;
  std::int64_t last_ = -1;
  std::exception_ptr failure_;
};

/// One opened split.
class PluginSource final : public ChunkSource {
 public:
  PluginSource(const Module& module, const rh_dataset_interface* table, rh_dataset* dataset, std::shared_ptr<Storage> storage)
      : storage_(std::move(storage)), label_(module.label()), id_(module.id()), table_(table), dataset_(dataset) {
    // From here on the destructor closes the dataset only when the constructor has ended, so failures must close it themselves.
    try {
      read_schema();
      count_chunks();
    } catch (...) {
      close();
      throw;
    }
  }
  ~PluginSource() override { close(); }
  PluginSource(const PluginSource&) = delete;  // one owner of the plugin's object
  PluginSource& operator=(const PluginSource&) = delete;

  const std::vector<ColumnInfo>& columns() const override { return schema_.columns; }
  std::int64_t chunk_count() const override { return static_cast<std::int64_t>(chunk_rows_.size()); }
  std::int64_t chunk_rows(std::int64_t chunk) const override { return chunk_rows_.at(static_cast<std::size_t>(chunk)); }
  std::optional<double> best_auc() const override { return schema_.best_auc; }

  std::uint64_t fingerprint() override {
    std::uint64_t value = 0;
    throw_if(call("fingerprint", [&] { return table_->fingerprint(dataset_, &value); }), id_);
    return value;
  }

  void read_ahead(std::span<const std::int64_t> chunks) override {
    if (!RH_HAS(table_, prefetch_chunks) || table_->prefetch_chunks == nullptr) return;
    throw_if(call("prefetch_chunks", [&] { return table_->prefetch_chunks(dataset_, chunks.data(), chunks.size()); }), id_);
  }

  bool remote() const override { return storage_ != nullptr && storage_->remote_in_use(); }

  void show_rows(std::int64_t chunk, std::span<const std::int64_t> rows, const std::function<void(BadRow&&)>& show) override {
    if (!RH_HAS(table_, show_rows) || table_->show_rows == nullptr) return;
    BadRowRecorder recorder(chunk, chunk_rows(chunk), show);
    const rh_read_request request{.struct_size = sizeof(rh_read_request), .chunk = chunk, .context = &recorder, .bad_row = &BadRowRecorder::record};
    rh_error* error = guarded(label_, "show_rows", [&] { return table_->show_rows(dataset_, &request, rows.data(), rows.size()); });
    if (recorder.failed()) {
      host_table()->error_free(error);
      rethrow_labelled([&] { recorder.rethrow(); });
    }
    throw_if(error, id_);
  }

  std::unique_ptr<ChunkData> read(std::int64_t chunk, std::span<const std::uint32_t> wanted,
                                  const std::function<void(BadRow&&)>& bad_row) override {
    for (const std::uint32_t column : wanted) {
      if (column >= schema_.columns.size()) fail("column {} of {} is wanted", column, schema_.columns.size());
    }
    const std::int64_t declared = chunk_rows(chunk);
    BadRowRecorder recorder(chunk, declared, bad_row);
    const rh_read_request request{.struct_size = sizeof(rh_read_request),
                                  .column_count = static_cast<std::uint32_t>(wanted.size()),
                                  .chunk = chunk,
                                  .columns = wanted.data(),
                                  .context = &recorder,
                                  .bad_row = &BadRowRecorder::record};
    OwnedArray array;
    rh_error* error = call("read_chunk", [&] { return table_->read_chunk(dataset_, &request, array.get()); });
    // Ownership moves only on success: what a failed call left in the array is none of ours.
    if (error != nullptr) array->release = nullptr;
    if (recorder.failed()) {
      host_table()->error_free(error);
      rethrow_labelled([&] { recorder.rethrow(); });
    }
    throw_if(error, id_);
    if (array->release == nullptr) fail<PluginError>("{}: read_chunk({}) filled no array", label_, chunk);
    if (array->length != declared - recorder.count()) {
      fail<PluginError>("{}: read_chunk({}) gave {} rows and {} bad ones, {} were declared", label_, chunk, array->length, recorder.count(),
                        declared);
    }
    std::unique_ptr<ChunkData> data;
    rethrow_labelled([&] { data = read_arrow_chunk(std::move(array), schema_, wanted); });
    return data;
  }

 private:
  /// The loader's function, with its storage at hand.
  template <typename Function>
  std::invoke_result_t<Function&> call(std::string_view name, Function&& function) const {
    const StorageScope scope(storage_);
    return guarded(label_, name, function);
  }

  /// Puts the plugin's label before a breach of contract; everything else passes.
  template <typename Body>
  void rethrow_labelled(Body&& body) const {
    try {
      body();
    } catch (const PluginError& error) {
      fail<PluginError>("{}: {}", label_, error.what());
    }
  }

  void read_schema() {
    ArrowSchema schema{};
    throw_if(call("schema", [&] { return table_->schema(dataset_, &schema); }), id_);
    if (schema.release == nullptr) fail<PluginError>("{}: schema filled nothing", label_);
    struct Release {
      ArrowSchema& schema;
      ~Release() { schema.release(&schema); }
    } release{schema};
    rethrow_labelled([&] { schema_ = read_arrow_schema(schema); });
  }

  void count_chunks() {
    const std::int64_t count = call("chunk_count", [&] { return table_->chunk_count(dataset_); });
    if (count < 0) fail<PluginError>("{}: chunk_count is {}", label_, count);
    chunk_rows_.reserve(static_cast<std::size_t>(count));
    for (std::int64_t chunk = 0; chunk < count; ++chunk) {
      const std::int64_t rows = call("chunk_rows", [&] { return table_->chunk_rows(dataset_, chunk); });
      if (rows < 0) fail<PluginError>("{}: chunk_rows({}) is {}", label_, chunk, rows);
      chunk_rows_.push_back(rows);
    }
  }

  void close() {
    try {
      call("close", [&] { table_->close(dataset_); });
    } catch (const PluginError& error) {
      log_warning("{}", error.what());
    }
  }

  std::shared_ptr<Storage> storage_;  ///< stays until the plugin's object is closed
  std::string label_;
  std::string id_;
  const rh_dataset_interface* table_;
  rh_dataset* dataset_;
  ArrowColumns schema_;
  std::vector<std::int64_t> chunk_rows_;
};

const rh_dataset_interface* table_of(const Module& module) {
  return static_cast<const rh_dataset_interface*>(module.interface(RH_DATASET_INTERFACE));
}

}  // namespace

DatasetInstance::DatasetInstance(Module module, ModuleOptions options, std::shared_ptr<Storage> storage)
    : module_(std::move(module)), options_(std::move(options)), storage_(std::move(storage)) {
  table_of(module_);  // of the right kind, or an error now
  if (storage_ != nullptr) use_storage(storage_);
}

std::vector<std::string> DatasetInstance::list_splits() const {
  const StorageScope scope(storage_);
  std::array<rh_string, kMostSplits> names{};
  std::uint32_t count = 0;
  throw_if(guarded(module_.label(), "list_splits",
                   [&] { return table_of(module_)->list_splits(host_table(), options_.abi(), names.data(), kMostSplits, &count); }),
           module_.id());
  if (count == 0) fail<PluginError>("{}: list_splits names no split", module_.label());
  std::vector<std::string> splits;
  for (std::uint32_t i = 0; i < std::min(count, kMostSplits); ++i) {
    const std::string split(to_view(names[i], fmt::format("{}: list_splits: name {}", module_.label(), i)));
    if (split != "train" && split != "valid" && split != "test" && split != "all") {
      fail<PluginError>("{}: list_splits names \"{}\"; there are train, valid and test, or all", module_.label(), split);
    }
    if (std::find(splits.begin(), splits.end(), split) != splits.end()) {
      fail<PluginError>("{}: list_splits names \"{}\" twice", module_.label(), split);
    }
    splits.push_back(split);
  }
  if (count > 1 && std::find(splits.begin(), splits.end(), "all") != splits.end()) {
    fail<PluginError>("{}: list_splits names \"all\" beside others", module_.label());
  }
  return splits;
}

std::unique_ptr<ChunkSource> DatasetInstance::open(std::string_view split) const {
  const StorageScope scope(storage_);
  const rh_dataset_interface* table = table_of(module_);
  rh_dataset* dataset = nullptr;
  throw_if(guarded(module_.label(), "open", [&] { return table->open(host_table(), options_.abi(), to_abi(split), &dataset); }),
           module_.id());
  if (dataset == nullptr) fail<PluginError>("{}: open returned neither a dataset nor an error", module_.label());
  return std::make_unique<PluginSource>(module_, table, dataset, storage_);
}

}  // namespace rechost
