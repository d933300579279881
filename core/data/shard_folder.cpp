#include "data/shard_folder.h"

#include "base/checksum.h"
#include "base/error.h"
#include "base/file.h"

namespace rechost {

void ShardFolder::make() const {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error) fail("cannot make the folder {}: {}", path_.string(), error.message());
}

bool ShardFolder::is_whole(const Shard& shard) const {
  std::error_code error;
  const std::filesystem::path file = path_ / shard.file;
  return std::filesystem::file_size(file, error) == shard.bytes && !error && checksum_of(read_file(file)) == shard.checksum;
}

void ShardFolder::write_file(Shard& shard, const std::string& contents) const {
  write_file_atomically(path_ / shard.file, contents);
  shard.bytes = contents.size();
  shard.checksum = checksum_of(contents);
}

}  // namespace rechost
