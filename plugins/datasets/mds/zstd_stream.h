// A zstd file that is unpacked a piece at a time, so that what comes out is still in the processor's cache when it is decoded.
#ifndef RECHOST_MDS_ZSTD_STREAM_H
#define RECHOST_MDS_ZSTD_STREAM_H

#include <cstddef>
#include <string>
#include <string_view>

namespace mds {

// One at a time for each thread: they share the thread's context.
class ZstdStream {
 public:
  // Whether it is worth it: frames whose window is no longer than what fits into a cache, as those of large files are unless asked otherwise.
  static bool suits(std::string_view packed);

  // `packed` must outlive the object.
  explicit ZstdStream(std::string_view packed);

  // Unpacks the next `size` bytes into `target`. Empty when all is well, else what is wrong: damaged, cut short.
  std::string read(char* target, std::size_t size);

  // Empty when nothing is left, else what is wrong.
  std::string finish();

 private:
  std::string_view packed_;
  std::size_t taken_ = 0;     // of packed_
  std::size_t wanted_ = 1;    // 0: between frames
};

}  // namespace mds

#endif  // RECHOST_MDS_ZSTD_STREAM_H
