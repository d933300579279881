// One shard in memory, checked, as samples.
#ifndef RECHOST_MDS_SHARD_DATA_H
#define RECHOST_MDS_SHARD_DATA_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "index.h"
#include "rechost/cxx/arrow.hpp"
#include "rechost/cxx/files.hpp"

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

  // The file that was read.
  const std::string& path() const { return *path_; }

  // Where all samples have one size, as those without a column of varying size do: the first of them, and how far apart they are.
  struct Strided {
    const char* first;
    std::size_t stride;
  };
  std::optional<Strided> strided() const;

  // `payloads` [columns] becomes the encoded values of one sample; they live as long as the object. Throws DataError naming file, shard
  // and sample when the sizes in it do not add up.
  void sample(std::int64_t number, std::vector<std::string_view>& payloads) const;

  // A sample as it lies in the shard.
  std::string_view bytes_of(std::int64_t number) const;

 private:
  void load(bool check_hashes);
  void unpack(std::string_view compressed);
  std::string_view bytes() const { return {static_cast<const char*>(bytes_.exported()), bytes_.size()}; }
  void check_layout();
  std::uint32_t offset(std::int64_t number) const;
  [[noreturn]] void fail(const std::string& reason) const;

  const Index& index_;
  const Shard& shard_;
  const std::string* path_;
  rechost::Buffer bytes_;
};

}  // namespace mds

#endif  // RECHOST_MDS_SHARD_DATA_H
