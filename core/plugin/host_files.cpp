#include "plugin/host_files.h"

#include <mutex>
#include <utility>

#include "base/checksum.h"
#include "plugin/host_table.h"

namespace rechost {
namespace {

struct Slot {
  std::mutex mutex;
  std::weak_ptr<Storage> storage;
};

Slot& slot() {
  static Slot only;
  return only;
}

thread_local const std::shared_ptr<Storage>* storage_of_this_call = nullptr;

std::shared_ptr<Storage> storage_in_use() {
  if (storage_of_this_call != nullptr) return *storage_of_this_call;
  Slot& place = slot();
  const std::lock_guard lock(place.mutex);
  if (std::shared_ptr<Storage> storage = place.storage.lock()) return storage;
  // Without a cache it reads what is local; a static one would outlive the log.
  return std::make_shared<Storage>(StorageSettings{});
}

/// Calls from plugins come through C: nothing may leave them but the error.
template <typename Body>
rh_error* answered(Body&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const ConfigError&) {
    return error_from_exception(RH_ERROR_CONFIG);
  } catch (...) {
    return error_from_exception(RH_ERROR_DATA);
  }
}

FileExpectation read_expectation(const rh_file_expectation* given) {
  FileExpectation expectation;
  if (given == nullptr) return expectation;
  if (!RH_HAS(given, digest_stride)) fail<PluginError>("rechost.files/1: an expectation ends before the field digest_stride");
  if (given->size >= 0) expectation.size = static_cast<std::uint64_t>(given->size);
  const auto* at = reinterpret_cast<const char*>(given->digests);
  if (given->digest_count > 0 && at == nullptr) fail<PluginError>("rechost.files/1: digests are counted, and there are none");
  for (std::uint32_t i = 0; i < given->digest_count; ++i, at += given->digest_stride) {
    const auto& digest = *reinterpret_cast<const rh_file_digest*>(at);
    expectation.digests.emplace_back(to_view(digest.name, "digest name"), to_view(digest.value, "digest value"));
  }
  return expectation;
}

Location location_of(rh_string text) { return Location::parse(to_view(text, "location")); }

rh_error* look(const rh_host*, rh_string location, rh_file_state* state) noexcept {
  return answered([&] {
    if (state == nullptr || !RH_HAS(state, version)) fail<PluginError>("rechost.files/1: look: the state is null or ends before the field version");
    const FileState found = storage_in_use()->look(location_of(location));
    state->kind = found.kind == FileKind::kFile ? RH_FILE_FILE : found.kind == FileKind::kFolder ? RH_FILE_FOLDER : RH_FILE_NONE;
    state->size = static_cast<std::int64_t>(found.size);
    // The text of the checksum is "xxh3:" and 16 digits.
    state->version = std::stoull(checksum_of(fmt::format("{} {}", found.size, found.version)).substr(5), nullptr, 16);
  });
}

rh_error* list(const rh_host*, rh_string folder, void* context, rh_error* (*file)(void*, rh_string, std::int64_t)) noexcept {
  std::vector<FolderFile> files;
  if (rh_error* error = answered([&] { files = storage_in_use()->list(location_of(folder)); })) return error;
  for (const FolderFile& each : files) {
    if (rh_error* error = file(context, to_abi(each.name), static_cast<std::int64_t>(each.size))) return error;
  }
  return nullptr;
}

rh_error* open(const rh_host*, rh_string location, const rh_file_expectation* expectation, std::int32_t* descriptor) noexcept {
  return answered([&] {
    if (descriptor == nullptr) fail<PluginError>("rechost.files/1: open: no place for the descriptor");
    FileDescriptor file = storage_in_use()->open(location_of(location), read_expectation(expectation));
    *descriptor = file.release();
  });
}

rh_error* read(const rh_host*, rh_string location, const rh_file_expectation* expectation, void* target) noexcept {
  return answered([&] {
    const FileExpectation expected = read_expectation(expectation);
    if (!expected.size || (target == nullptr && *expected.size > 0)) fail<PluginError>("rechost.files/1: read: no target, or no size");
    storage_in_use()->read(location_of(location), expected, static_cast<char*>(target));
  });
}

rh_error* read_ahead(const rh_host*, const void* reader, const rh_wanted_file* files, std::uint64_t count, std::uint32_t stride) noexcept {
  return answered([&] {
    std::vector<Storage::Wanted> wanted;
    const auto* at = reinterpret_cast<const char*>(files);
    for (std::uint64_t i = 0; i < count; ++i, at += stride) {
      const auto& file = *reinterpret_cast<const rh_wanted_file*>(at);
      wanted.push_back({location_of(file.location), read_expectation(file.expectation)});
    }
    storage_in_use()->read_ahead(reader, std::move(wanted));
  });
}

}  // namespace

StorageScope::StorageScope(const std::shared_ptr<Storage>& storage) : before_(storage_of_this_call) {
  if (storage != nullptr) storage_of_this_call = &storage;
}

StorageScope::~StorageScope() { storage_of_this_call = before_; }

void use_storage(const std::shared_ptr<Storage>& storage) {
  Slot& place = slot();
  const std::lock_guard lock(place.mutex);
  place.storage = storage;
}

const rh_files* files_extension() {
  static const rh_files files{.struct_size = sizeof(rh_files), .reserved = 0, .look = look, .list = list, .open = open, .read_ahead = read_ahead, .read = read};
  return &files;
}

}  // namespace rechost
