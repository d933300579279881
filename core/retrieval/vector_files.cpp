#include "retrieval/vector_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "retrieval/faiss_format.h"

namespace rechost {
namespace {

static_assert(std::endian::native == std::endian::little, "the files hold the vectors as they lie in memory");

void check(const VectorsView& vectors) {
  if (vectors.count < 0 || vectors.dim <= 0) fail("vectors of shape ({}, {}) cannot be written", vectors.count, vectors.dim);
}

/// Header and vectors, without a copy of the vectors: they may be most of the memory.
void write_vectors(const std::filesystem::path& path, std::string_view header, const VectorsView& vectors) {
  const std::filesystem::path sibling = path.parent_path() / fmt::format(".{}.incoming-{}", path.filename().string(), ::getpid());
  try {
    const FileDescriptor file(::open(sibling.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file) fail("cannot write {}: {}", path.string(), std::generic_category().message(errno));
    write_all(file, header.data(), header.size(), sibling);
    write_all(file, vectors.data, static_cast<std::size_t>(vectors.count * vectors.dim) * sizeof(float), sibling);
    sync_file(file, sibling);
    std::filesystem::rename(sibling, path);
    sync_directory(path.has_parent_path() ? path.parent_path() : ".");
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(sibling, ignored);
    throw;
  }
}

/// Appends the bytes of a number.
template <typename Number>
void put(std::string& bytes, Number number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

}  // namespace

void write_npy(const std::filesystem::path& path, const VectorsView& vectors) {
  check(vectors);
  std::string description = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", vectors.count, vectors.dim);
  // Magic, version and length take 10 bytes; the format wants the data to begin at a multiple of 64 and the header to end with a line
  // break.
  constexpr std::size_t kBefore = 10;
  constexpr std::size_t kAlignment = 64;
  description.append((kAlignment - (kBefore + description.size() + 1) % kAlignment) % kAlignment, ' ');
  description += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  put(header, static_cast<std::uint16_t>(description.size()));
  write_vectors(path, header + description, vectors);
}

void write_ids(const std::filesystem::path& path, std::span<const std::string> ids) {
  std::string text;
  for (const std::string& id : ids) {
    for (const char letter : id) {
      if (letter == '\n') {
        text += "\\n";
      } else if (letter == '\r') {
        text += "\\r";
      } else if (letter == '\\') {
        text += "\\\\";
      } else {
        text += letter;
      }
    }
    text += '\n';
  }
  write_file_atomically(path, text);
}

void write_faiss_flat_index(const std::filesystem::path& path, const VectorsView& vectors) {
  check(vectors);
  std::string header(kFaissFlatInnerProduct);
  put(header, static_cast<std::int32_t>(vectors.dim));
  put(header, vectors.count);
  put(header, kFaissUnused);
  put(header, kFaissUnused);
  put(header, std::uint8_t{1});
  put(header, kFaissInnerProduct);
  put(header, static_cast<std::uint64_t>(vectors.count * vectors.dim));
  write_vectors(path, header, vectors);
}

}  // namespace rechost
