// One shard in memory, checked, as samples.
#ifndef RECHOST_MDS_SHARD_DATA_H
#define RECHOST_MDS_SHARD_DATA_H

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index.h"
#include "rechost/cxx/arrow.hpp"
#include "rechost/cxx/files.hpp"
#include "zstd_stream.h"

namespace mds {

// The file of a shard that is read: the raw one where it lies on this machine or there is no other.
const ShardFile& file_of(const Shard& shard);
// What the index says of it.
rechost::FileExpectation expectation_of(const ShardFile& file, bool check_hashes);

class ShardData {
 public:
  // Reads the file that file_of() names, whole: a shard is the unit of compression and of the hashes. Checks sizes, the table of offsets and the columns that the shard itself names; with `check_hashes` also every hash that is known here.
  // Throws rechost::DataError naming file and shard. `index` must outlive the object.
  ShardData(const Index& index, std::size_t shard, bool check_hashes);
  ~ShardData();
  ShardData(const ShardData&) = delete;  // the stream refers to the buffers
  ShardData& operator=(const ShardData&) = delete;

  // The file that was read.
  const std::string& path() const { return *path_; }

  // Bytes of a sample where all have one size and lie one after the other, as those without a column of varying size do.
  std::optional<std::size_t> stride() const;

  // Such samples in pieces, in their order: use(first, count), which ends it by returning false. Returns whether it went to the end. A piece
  // is valid during the call. Throws DataError when the compressed data is damaged. Once at most, before sample() and bytes_of().
  template <class Use>
  bool each_piece(Use&& use);

  // `payloads` [columns] becomes the encoded values of one sample; they live as long as the object. Throws DataError naming file, shard
  // and sample when the sizes in it do not add up.
  void sample(std::int64_t number, std::vector<std::string_view>& payloads);

  // A sample as it lies in the shard.
  std::string_view bytes_of(std::int64_t number);

 private:
  void load(bool check_hashes);
  void unpack();
  void unpack_head();
  const char* next_piece(std::size_t bytes);
  void end_pieces();
  void fail_if(const std::string& reason) const;
  std::string_view bytes() const { return {static_cast<const char*>(bytes_.exported()), bytes_.size()}; }
  void check_layout();
  std::uint32_t offset(std::int64_t number) const;
  [[noreturn]] void fail(const std::string& reason) const;

  const Index& index_;
  const Shard& shard_;
  const std::string* path_;
  rechost::Buffer packed_;             // the compressed file
  std::optional<ZstdStream> stream_;   // of packed_; then bytes_ are those before the first sample only
  rechost::Buffer bytes_;              // unpacked
};

template <class Use>
bool ShardData::each_piece(Use&& use) {
  const std::size_t size = *stride();
  const auto samples = static_cast<std::size_t>(shard_.samples);
  if (!stream_) return use(bytes().data() + offset(0), samples);
  // Large enough for zstd's blocks to be few, small enough for the second-level cache.
  constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
  const std::size_t most = std::max<std::size_t>(1, kPieceBytes / std::max<std::size_t>(1, size));
  for (std::size_t begin = 0; begin < samples; begin += most) {
    const std::size_t count = std::min(most, samples - begin);
    if (!use(next_piece(count * size), count)) return false;
  }
  end_pieces();
  return true;
}

}  // namespace mds

#endif  // RECHOST_MDS_SHARD_DATA_H
