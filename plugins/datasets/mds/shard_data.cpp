#include "shard_data.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <nlohmann/json.hpp>

#include "rechost/cxx/plugin.hpp"
#include "unpack.h"

namespace mds {
namespace {

std::uint32_t load_count(const char* bytes) {
  std::uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Memory of the last shard that this thread read. The kernel clears what it gives, which would cost as much as unpacking does.
struct KeptBuffers {
  rechost::Buffer packed, bytes;
};
// A shard has 64 MiB unless its writer was told otherwise; the memory of much larger ones is given back.
constexpr std::size_t kMostKept = std::size_t{96} << 20;

KeptBuffers& kept_buffers() {
  thread_local KeptBuffers kept;
  return kept;
}

void take(rechost::Buffer& kept, rechost::Buffer& buffer) {
  buffer = std::move(kept);
  buffer.shrink(0);
}

void keep(rechost::Buffer& buffer, rechost::Buffer& kept) {
  if (buffer.size() <= kMostKept) kept = std::move(buffer);
}

}  // namespace

const ShardFile& file_of(const Shard& shard) {
  if (!shard.zip) return shard.raw;
  std::error_code error;
  return !rechost::is_remote(shard.raw.path) && std::filesystem::exists(shard.raw.path, error) ? shard.raw : *shard.zip;
}

rechost::FileExpectation expectation_of(const ShardFile& file, bool check_hashes) {
  rechost::FileExpectation expectation{.size = static_cast<std::int64_t>(file.bytes)};
  if (check_hashes) expectation.digests = file.hashes;
  return expectation;
}

ShardData::ShardData(const Index& index, std::size_t shard, bool check_hashes)
    : index_(index), shard_(index.shards[shard]), path_(&shard_.raw.path) {
  take(kept_buffers().packed, packed_);
  take(kept_buffers().bytes, bytes_);
  load(check_hashes);
  check_layout();
}

ShardData::~ShardData() {
  keep(packed_, kept_buffers().packed);
  keep(bytes_, kept_buffers().bytes);
}

void ShardData::fail(const std::string& reason) const { throw rechost::DataError("'" + *path_ + "', " + describe(shard_) + ": " + reason); }

void ShardData::load(bool check_hashes) {
  const ShardFile& file = file_of(shard_);
  path_ = &file.path;
  const bool packed = &file != &shard_.raw;
  rechost::Buffer& content = packed ? packed_ : bytes_;
  try {
    // A wrong index must not make us take gigabytes: what is there is looked at before any memory is taken.
    if (!rechost::is_remote(file.path)) rechost::open_file(file.path, expectation_of(file, false));
    rechost::read_file(file.path, expectation_of(file, check_hashes), content.grow(file.bytes));
  } catch (const rechost::Error& error) {
    throw rechost::Error(error.code(), describe(shard_) + ": " + error.what());
  }
  if (!packed) return;
  const bool fixed = std::all_of(index_.encodings.begin(), index_.encodings.end(), [](const Encoding& encoding) { return encoding.size.has_value(); });
  if (fixed && compression_family(shard_.compression) == "zstd" && ZstdStream::suits({packed_.data(), packed_.size()}))
    unpack_head();
  else
    unpack();
}

void ShardData::fail_if(const std::string& reason) const {
  if (!reason.empty()) fail(reason);
}

void ShardData::unpack() {
  stream_.reset();
  bytes_.shrink(0);
  bytes_.grow(shard_.raw.bytes);
  fail_if(mds::unpack(compression_family(shard_.compression), {packed_.data(), packed_.size()}, bytes_.data(), bytes_.size()));
}

// All before the first sample; check_layout() judges it.
void ShardData::unpack_head() {
  const std::uint64_t table_end = 4 + 4 * (static_cast<std::uint64_t>(shard_.samples) + 1);
  if (shard_.raw.bytes < table_end) return unpack();
  stream_.emplace(std::string_view(packed_.data(), packed_.size()));
  char* const table = bytes_.grow(table_end);
  fail_if(stream_->read(table, table_end));
  const std::uint64_t begin = offset(0);
  if (begin < table_end || begin > shard_.raw.bytes) return unpack();
  char* const header = bytes_.grow(begin - table_end);
  fail_if(stream_->read(header, begin - table_end));
}

const char* ShardData::next_piece(std::size_t bytes) {
  // Its pages stay, from shard to shard.
  thread_local std::vector<char> piece;
  if (piece.size() < bytes) piece.resize(bytes);
  fail_if(stream_->read(piece.data(), bytes));
  return piece.data();
}

void ShardData::end_pieces() { fail_if(stream_->finish()); }

// offset() is only safe once this has passed.
void ShardData::check_layout() {
  const std::uint64_t table_end = 4 + 4 * (static_cast<std::uint64_t>(shard_.samples) + 1);
  const std::uint64_t size = shard_.raw.bytes;
  if (size < table_end) fail("is too short to hold the offsets of " + std::to_string(shard_.samples) + " samples");
  if (const std::uint32_t samples = load_count(bytes().data()); samples != shard_.samples)
    fail("holds " + std::to_string(samples) + " samples, the index says " + std::to_string(shard_.samples));
  if (offset(0) < table_end) fail("sample 0 begins at byte " + std::to_string(offset(0)) + ", inside the table of offsets");
  for (std::int64_t number = 0; number < shard_.samples; ++number)
    if (offset(number + 1) < offset(number) || offset(number + 1) > size)
      fail("sample " + std::to_string(number) + " reaches from byte " + std::to_string(offset(number)) + " to " +
           std::to_string(offset(number + 1)) + " of " + std::to_string(size));
  if (offset(shard_.samples) != size)
    fail("the last sample ends at byte " + std::to_string(offset(shard_.samples)) + " of " + std::to_string(size));
  // An index that belongs to other shards would otherwise be found out only where sizes happen to differ.
  const auto header = nlohmann::json::parse(bytes().begin() + static_cast<std::ptrdiff_t>(table_end),
                                            bytes().begin() + static_cast<std::ptrdiff_t>(offset(0)), nullptr, false);
  std::vector<std::string> encodings;
  for (const Encoding& encoding : index_.encodings) encodings.push_back(encoding.name);
  if (!header.is_object() || header.value("column_names", nlohmann::json()) != nlohmann::json(index_.names) ||
      header.value("column_encodings", nlohmann::json()) != nlohmann::json(encodings))
    fail("the columns that it names itself are not those of the index");
}

std::uint32_t ShardData::offset(std::int64_t number) const { return load_count(bytes().data() + 4 + 4 * number); }

std::optional<std::size_t> ShardData::stride() const {
  std::uint64_t stride = 0;
  for (const Encoding& encoding : index_.encodings) {
    if (!encoding.size) return std::nullopt;
    stride += *encoding.size;
  }
  const std::uint64_t first = offset(0);
  bool even = true;
  for (std::int64_t number = 1; number <= shard_.samples; ++number) even &= offset(number) == first + static_cast<std::uint64_t>(number) * stride;
  // Else the sizes do not add up, and reading sample by sample says where.
  if (!even) return std::nullopt;
  return static_cast<std::size_t>(stride);
}

std::string_view ShardData::bytes_of(std::int64_t number) {
  if (stream_) unpack();
  return bytes().substr(offset(number), offset(number + 1) - offset(number));
}

void ShardData::sample(std::int64_t number, std::vector<std::string_view>& payloads) {
  const std::string_view sample = bytes_of(number);
  payloads.resize(index_.encodings.size());
  std::size_t head = 0;
  for (const Encoding& encoding : index_.encodings) head += encoding.size ? 0 : 4;
  std::size_t size_at = 0, at = head;
  for (std::size_t column = 0; column < payloads.size(); ++column) {
    std::size_t size = 0;
    if (index_.encodings[column].size) {
      size = *index_.encodings[column].size;
    } else if (size_at + 4 <= sample.size()) {
      size = load_count(sample.data() + size_at);
      size_at += 4;
    } else {
      at = sample.size() + 1;
    }
    if (at > sample.size() || size > sample.size() - at)
      fail("sample " + std::to_string(number) + ", column '" + index_.names[column] + "': its value does not fit into the " +
           std::to_string(sample.size()) + " bytes of the sample");
    payloads[column] = sample.substr(at, size);
    at += size;
  }
  if (at != sample.size())
    fail("sample " + std::to_string(number) + ": its values take " + std::to_string(at) + " bytes, the sample has " + std::to_string(sample.size()));
}

}  // namespace mds
