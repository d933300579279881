#include "app/output_file.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace rechost::app {

OutputFile::OutputFile(const std::string& path, Existing existing)
    : name_(path == "-" ? "standard output" : path),
      file_(path == "-" ? stdout : std::fopen(path.c_str(), existing == Existing::kRefuse ? "wxe" : "we")) {
  if (file_ == nullptr) fail("cannot write {}: {}", path, std::strerror(errno));
}

void OutputFile::write(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size()) fail_to_write();
}

void OutputFile::finish() {
  if (std::fflush(file_.get()) != 0) fail_to_write();
}

void OutputFile::fail_to_write() const { fail("cannot write {}: is the disk full?", name_); }

void OutputFile::Close::operator()(std::FILE* file) const {
  if (file != stdout) std::fclose(file);
}

}  // namespace rechost::app
