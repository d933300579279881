#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace rechost::app {

/// A text file that a command writes, or standard output.
class OutputFile {
 public:
  enum class Existing { kReplace, kRefuse };

  /// "-": standard output. Throws Error with the path and the system's reason.
  explicit OutputFile(const std::string& path, Existing existing = Existing::kReplace);

  /// Throws Error when the bytes have no room.
  void write(std::string_view text);
  /// All that was written has left this process. Without it nobody would hear of a disk that was full at the very end.
  void finish();

 private:
  [[noreturn]] void fail_to_write() const;

  struct Close {
    void operator()(std::FILE* file) const;
  };
  std::string name_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace rechost::app
