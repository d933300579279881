#include "plugin/elf_note.h"

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace rechost {
namespace {

constexpr std::string_view kNoteOwner{"rechost\0", 8};  // the ending zero belongs to it
constexpr std::uint32_t kNoteType = 1;
constexpr std::uint64_t kMostNoteBytes = 1 << 20;
constexpr std::uint64_t kMostStringBytes = 1 << 20;

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
constexpr std::string_view kMachineName = "x86-64";
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
constexpr std::string_view kMachineName = "AArch64";
#endif

std::string machine_name(Elf64_Half machine) {
  switch (machine) {
    case EM_386:
      return "32-bit x86";
    case EM_X86_64:
      return "x86-64";
    case EM_ARM:
      return "32-bit ARM";
    case EM_AARCH64:
      return "AArch64";
    case EM_PPC64:
      return "64-bit PowerPC";
    case EM_RISCV:
      return "RISC-V";
    default:
      return fmt::format("machine number {}", machine);
  }
}

/// A file that is read piece by piece; no piece may reach past its end.
class BoundedFile {
 public:
  explicit BoundedFile(const std::filesystem::path& path) : path_(path), stream_(path, std::ios::binary | std::ios::ate) {
    if (!stream_) fail<PluginError>("plugin {}: cannot be opened for reading", path.string());
    size_ = static_cast<std::uint64_t>(stream_.tellg());
  }

  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  void require(std::uint64_t offset, std::uint64_t count, std::string_view what) const {
    if (offset > size_ || count > size_ - offset) {
      fail<PluginError>("plugin {}: the file is cut off or damaged: its {} should end at byte {}, the file has {}", path_.string(), what,
                        static_cast<unsigned __int128>(offset) + count > UINT64_MAX ? UINT64_MAX : offset + count, size_);
    }
  }

  std::string read(std::uint64_t offset, std::uint64_t count, std::string_view what) {
    require(offset, count, what);
    std::string bytes(count, '\0');
    stream_.seekg(static_cast<std::streamoff>(offset));
    if (!stream_.read(bytes.data(), static_cast<std::streamsize>(count))) fail<PluginError>("plugin {}: cannot be read", path_.string());
    return bytes;
  }

  template <typename Header>
  Header read_header(std::uint64_t offset, std::string_view what) {
    Header header;
    std::memcpy(&header, read(offset, sizeof(Header), what).data(), sizeof(Header));
    return header;
  }

 private:
  std::filesystem::path path_;
  std::ifstream stream_;
  std::uint64_t size_ = 0;
};

Elf64_Ehdr read_file_header(BoundedFile& file) {
  const std::string path = file.path().string();
  if (file.size() < SELFMAG || std::memcmp(file.read(0, SELFMAG, "magic number").data(), ELFMAG, SELFMAG) != 0) {
    fail<PluginError>("plugin {}: not an ELF shared library", path);
  }
  const auto header = file.read_header<Elf64_Ehdr>(0, "ELF header");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    fail<PluginError>("plugin {}: not a 64-bit little-endian library; this program is {}", path, kMachineName);
  }
  if (header.e_machine != kMachine) {
    fail<PluginError>("plugin {}: built for {}; this program is {}", path, machine_name(header.e_machine), kMachineName);
  }
  if (header.e_type != ET_DYN) fail<PluginError>("plugin {}: an ELF file, but not a shared library", path);
  if (header.e_phentsize != sizeof(Elf64_Phdr)) {
    fail<PluginError>("plugin {}: the file is damaged: program headers of {} bytes", path, header.e_phentsize);
  }
  // The table of sections is the last thing in a file, so this notices any truncation.
  file.require(header.e_shoff, std::uint64_t{header.e_shnum} * header.e_shentsize, "table of sections");
  return header;
}

std::vector<Elf64_Phdr> read_segments(BoundedFile& file, const Elf64_Ehdr& header) {
  const std::string bytes = file.read(header.e_phoff, std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr), "table of segments");
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  if (!segments.empty()) std::memcpy(segments.data(), bytes.data(), bytes.size());
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD) file.require(segment.p_offset, segment.p_filesz, "segment");
  }
  return segments;
}

std::uint64_t aligned(std::uint64_t size, std::uint64_t alignment) { return (size + alignment - 1) / alignment * alignment; }

/// The descriptor of our note in one PT_NOTE segment, or "".
std::string find_note(BoundedFile& file, const Elf64_Phdr& segment) {
  const std::string damaged = fmt::format("plugin {}: the file is damaged: ", file.path().string());
  if (segment.p_filesz > kMostNoteBytes) fail<PluginError>("{}notes of {} bytes", damaged, segment.p_filesz);
  const std::string bytes = file.read(segment.p_offset, segment.p_filesz, "notes");
  const std::uint64_t alignment = segment.p_align == 8 ? 8 : 4;
  for (std::uint64_t position = 0; position + sizeof(Elf64_Nhdr) <= bytes.size();) {
    Elf64_Nhdr note;
    std::memcpy(&note, bytes.data() + position, sizeof(note));
    const std::uint64_t name_at = position + sizeof(note);
    const std::uint64_t text_at = aligned(name_at + note.n_namesz, alignment);
    // Both sizes have 32 bits, so the sums cannot wrap around.
    if (name_at + note.n_namesz > bytes.size() || text_at + note.n_descsz > bytes.size()) {
      fail<PluginError>("{}a note reaches past its segment", damaged);
    }
    const std::string_view owner(bytes.data() + name_at, note.n_namesz);
    if (owner == kNoteOwner && note.n_type == kNoteType) {
      std::string text = bytes.substr(text_at, note.n_descsz);
      while (!text.empty() && text.back() == '\0') text.pop_back();
      return text;
    }
    position = aligned(text_at + note.n_descsz, alignment);
  }
  return "";
}

/// Where the byte that will lie at `address` is in the file.
std::uint64_t file_offset(const BoundedFile& file, const std::vector<Elf64_Phdr>& segments, std::uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz) {
      return segment.p_offset + (address - segment.p_vaddr);
    }
  }
  fail<PluginError>("plugin {}: the file is damaged: its table of names lies outside of every segment", file.path().string());
}

void read_dynamic(BoundedFile& file, const std::vector<Elf64_Phdr>& segments, const Elf64_Phdr& dynamic, ElfFacts& facts) {
  const std::string bytes = file.read(dynamic.p_offset, dynamic.p_filesz, "dynamic section");
  std::uint64_t names_address = 0;
  std::uint64_t names_size = 0;
  std::vector<std::uint64_t> needed;
  std::vector<std::uint64_t> paths;
  for (std::uint64_t at = 0; at + sizeof(Elf64_Dyn) <= bytes.size(); at += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry;
    std::memcpy(&entry, bytes.data() + at, sizeof(entry));
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_STRTAB) names_address = entry.d_un.d_ptr;
    if (entry.d_tag == DT_STRSZ) names_size = entry.d_un.d_val;
    if (entry.d_tag == DT_NEEDED) needed.push_back(entry.d_un.d_val);
    if (entry.d_tag == DT_RPATH || entry.d_tag == DT_RUNPATH) paths.push_back(entry.d_un.d_val);
  }
  if (needed.empty() && paths.empty()) return;
  if (names_size > kMostStringBytes * 64) fail<PluginError>("plugin {}: the file is damaged: too many names", file.path().string());
  const std::string names = file.read(file_offset(file, segments, names_address), names_size, "table of names");
  const auto name_at = [&](std::uint64_t offset) {
    const std::size_t end = offset < names.size() ? names.find('\0', offset) : std::string::npos;
    if (end == std::string::npos) fail<PluginError>("plugin {}: the file is damaged: a name without end", file.path().string());
    return names.substr(offset, end - offset);
  };
  for (const std::uint64_t offset : needed) facts.needed.push_back(name_at(offset));
  for (const std::uint64_t offset : paths) {
    std::string list = name_at(offset);
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(':', begin), list.size());
      if (end > begin) facts.search_paths.push_back(list.substr(begin, end - begin));
      begin = end + 1;
    }
  }
}

using Json = nlohmann::json;

/// A member of the note of the right type, or an error that names it.
template <typename Value>
Value member(const Json& object, const char* name, bool (Json::*is_type)() const noexcept, std::string_view type,
             const std::filesystem::path& file) {
  const auto found = object.find(name);
  if (found == object.end() || !((*found).*is_type)()) fail<PluginError>("plugin {}: its note has no {} \"{}\"", file.string(), type, name);
  return found->get<Value>();
}

}  // namespace

std::string_view name_of(ModuleKind kind) { return kind == ModuleKind::kModel ? "model" : "dataset"; }

ElfFacts read_elf(const std::filesystem::path& path) {
  BoundedFile file(path);
  const Elf64_Ehdr header = read_file_header(file);
  const std::vector<Elf64_Phdr> segments = read_segments(file, header);
  ElfFacts facts;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_NOTE && facts.note.empty()) facts.note = find_note(file, segment);
    if (segment.p_type == PT_DYNAMIC) read_dynamic(file, segments, segment, facts);
  }
  return facts;
}

PluginNote parse_note(const std::string& text, const std::filesystem::path& file) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    fail<PluginError>("plugin {}: its note is not JSON (wrong at byte {})", file.string(), error.byte);
  }
  if (!json.is_object()) fail<PluginError>("plugin {}: its note is not a JSON object", file.string());
  PluginNote note;
  const auto integer = &Json::is_number_integer;
  const auto string = &Json::is_string;
  note.sdk_major = member<int>(json, "sdk_major", integer, "number", file);
  // A note of another major may look different in all that follows.
  if (note.sdk_major != 1) return note;
  note.sdk_minor_needed = member<int>(json, "sdk_minor_needed", integer, "number", file);
  note.name = member<std::string>(json, "name", string, "string", file);
  note.version = member<std::string>(json, "version", string, "string", file);
  for (const Json& module : member<Json>(json, "modules", &Json::is_array, "list", file)) {
    if (!module.is_object()) fail<PluginError>("plugin {}: its note has a module that is not an object", file.string());
    const auto kind = member<std::string>(module, "kind", string, "string", file);
    const auto id = member<std::string>(module, "id", string, "string", file);
    // Kinds that a later SDK may add are none of ours.
    if (kind == name_of(ModuleKind::kModel)) note.modules.push_back({ModuleKind::kModel, id});
    if (kind == name_of(ModuleKind::kDataset)) note.modules.push_back({ModuleKind::kDataset, id});
  }
  if (const auto torch = json.find("torch"); torch != json.end() && torch->is_object()) {
    const auto cuda = torch->find("cuda");
    note.torch = PluginNote::Torch{.version = member<std::string>(*torch, "version", string, "string", file),
                                   .cuda = cuda != torch->end() && cuda->is_string() ? cuda->get<std::string>() : ""};
  }
  return note;
}

}  // namespace rechost
