#include "base/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <limits>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"

namespace rechost {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian; a big-endian machine needs swaps here");

struct ScalarKind {
  ScalarType type;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<ScalarKind, 13> kScalars{{{ScalarType::kBool, "BOOL", 1},
                                               {ScalarType::kU8, "U8", 1},
                                               {ScalarType::kI8, "I8", 1},
                                               {ScalarType::kU16, "U16", 2},
                                               {ScalarType::kI16, "I16", 2},
                                               {ScalarType::kF16, "F16", 2},
                                               {ScalarType::kBF16, "BF16", 2},
                                               {ScalarType::kU32, "U32", 4},
                                               {ScalarType::kI32, "I32", 4},
                                               {ScalarType::kF32, "F32", 4},
                                               {ScalarType::kU64, "U64", 8},
                                               {ScalarType::kI64, "I64", 8},
                                               {ScalarType::kF64, "F64", 8}}};

constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::uint64_t kAlignment = 64;
/// As in the Python package: a header is names and shapes, so a larger one is damage or malice.
constexpr std::uint64_t kLargestHeader = 100'000'000;
constexpr std::int64_t kPortionBytes = std::int64_t{4} << 20;

const ScalarKind& kind_of(ScalarType type) {
  return *std::find_if(kScalars.begin(), kScalars.end(), [&](const ScalarKind& kind) { return kind.type == type; });
}

std::string shape_text(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

/// Product of the dimensions; -1 when one is negative or the product does not fit.
std::int64_t element_count(std::span<const std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0 || __builtin_mul_overflow(count, dimension, &count)) return -1;
  }
  return count;
}

std::uint64_t byte_count(const std::filesystem::path& path, const TensorSource& tensor) {
  std::int64_t bytes = element_count(tensor.shape);
  if (bytes < 0 || __builtin_mul_overflow(bytes, static_cast<std::int64_t>(scalar_bytes(tensor.type)), &bytes)) {
    fail("{}: tensor \"{}\" cannot have the shape {}", path.string(), tensor.name, shape_text(tensor.shape));
  }
  return static_cast<std::uint64_t>(bytes);
}

std::string header_text(const std::filesystem::path& path, std::span<const TensorSource> tensors, const TensorMetadata& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  std::uint64_t offset = 0;
  std::set<std::string_view> names;  // a look-up in an ordered_json is a walk: quadratic over many tensors
  for (const TensorSource& tensor : tensors) {
    if (tensor.name == kMetadataKey || !names.insert(tensor.name).second) {
      fail("{}: two tensors are named \"{}\"", path.string(), tensor.name);
    }
    const std::uint64_t end = offset + byte_count(path, tensor);
    header.get_ref<Json::object_t&>().push_back(
        {tensor.name, Json{{"dtype", scalar_name(tensor.type)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}}});
    offset = end;
  }
  std::string text = json_line(header);
  text.resize((text.size() + 8 + kAlignment - 1) / kAlignment * kAlignment - 8, ' ');
  if (text.size() > kLargestHeader) fail("{}: {} tensors make a header of {} bytes, too large", path.string(), tensors.size(), text.size());
  return text;
}

/// Appends to a file and to its checksum.
class CheckedOutput {
 public:
  explicit CheckedOutput(const std::filesystem::path& path)
      : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)) {
    if (!file_) fail("cannot create {}: {}", path.string(), std::strerror(errno));
  }

  void write(const void* bytes, std::size_t count) {
    write_all(file_, bytes, count, path_);
    // The disk begins at once, not when a tenth of all memory waits for it. No more than a hint.
    ::sync_file_range(file_.number(), static_cast<off64_t>(bytes_), static_cast<off64_t>(count), SYNC_FILE_RANGE_WRITE);
    checksum_.add(bytes, count);
    bytes_ += count;
  }

  FileRecord finish() {
    sync_file(file_, path_);
    return {path_.generic_string(), bytes_, checksum_.text()};
  }

 private:
  const std::filesystem::path& path_;
  FileDescriptor file_;
  Checksum checksum_;
  std::uint64_t bytes_ = 0;
};

void write_tensor(CheckedOutput& output, const TensorSource& tensor, std::vector<std::byte>& buffer) {
  const std::int64_t elements = element_count(tensor.shape);
  if (elements == 0) return;
  const std::int64_t row = tensor.shape.size() > 1 ? elements / tensor.shape[0] : 1;
  const auto element_bytes = static_cast<std::int64_t>(scalar_bytes(tensor.type));
  const std::int64_t portion = std::max<std::int64_t>(1, kPortionBytes / (row * element_bytes)) * row;
  buffer.resize(static_cast<std::size_t>(std::min(portion, elements) * element_bytes));
  for (std::int64_t first = 0; first < elements; first += portion) {
    const std::int64_t count = std::min(portion, elements - first);
    tensor.read(first, count, buffer.data());
    output.write(buffer.data(), static_cast<std::size_t>(count * element_bytes));
  }
}

template <typename Value>
TensorSource borrowed(std::string name, ScalarType type, std::vector<std::int64_t> shape, std::span<const Value> values) {
  if (element_count(shape) != static_cast<std::int64_t>(values.size())) {
    fail("tensor \"{}\" of shape {} cannot hold {} values", name, shape_text(shape), values.size());
  }
  return {std::move(name), type, std::move(shape), [values](std::int64_t first, std::int64_t count, void* out) {
            std::memcpy(out, values.data() + first, static_cast<std::size_t>(count) * sizeof(Value));
          }};
}

void read_at(const FileDescriptor& file, const std::filesystem::path& path, std::uint64_t offset, void* out, std::size_t count) {
  auto* next = static_cast<char*>(out);
  while (count > 0) {
    const ssize_t got = ::pread(file.number(), next, count, static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      fail("cannot read {} at byte {}: {}", path.string(), offset, std::strerror(errno));
    }
    if (got == 0) fail("{} ends at byte {}: the file was cut short", path.string(), offset);
    next += got;
    offset += static_cast<std::uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

SafetensorsFile::Tensor parse_tensor(const std::string& name, const Json& entry, std::uint64_t data_bytes, const std::string& origin) {
  SafetensorsFile::Tensor tensor;
  tensor.name = name;
  const auto reject = [&](std::string_view what) { fail("{}: tensor \"{}\" {}", origin, name, what); };
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") || !entry.contains("data_offsets")) {
    reject("needs exactly dtype, shape and data_offsets");
  }
  const auto kind = std::find_if(kScalars.begin(), kScalars.end(), [&](const ScalarKind& k) { return entry["dtype"] == k.name; });
  if (kind == kScalars.end()) reject(fmt::format("has the unknown dtype {}", entry["dtype"].dump()));
  tensor.type = kind->type;
  const Json& shape = entry["shape"];
  const auto is_size = [](const Json& value) {
    return value.is_number_unsigned() && value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max();
  };
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), is_size)) reject("has a bad shape");
  tensor.shape = shape.get<std::vector<std::int64_t>>();
  const Json& offsets = entry["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !std::all_of(offsets.begin(), offsets.end(), is_size)) reject("has bad data_offsets");
  const auto begin = offsets[0].get<std::uint64_t>();
  const auto end = offsets[1].get<std::uint64_t>();
  if (begin > end || end > data_bytes) {
    reject(fmt::format("lies at bytes {} to {}, the file has {} bytes of data: cut short or damaged", begin, end, data_bytes));
  }
  std::int64_t bytes = element_count(tensor.shape);
  if (bytes < 0 || __builtin_mul_overflow(bytes, static_cast<std::int64_t>(kind->bytes), &bytes) ||
      static_cast<std::uint64_t>(bytes) != end - begin) {
    reject(fmt::format("of shape {} and type {} does not fill its {} bytes", shape_text(tensor.shape), kind->name, end - begin));
  }
  tensor.begin = begin;
  tensor.bytes = end - begin;
  return tensor;
}

/// The format allows neither overlaps nor holes: each byte belongs to one tensor.
void require_gapless(const std::vector<SafetensorsFile::Tensor>& tensors, std::uint64_t data_bytes, const std::string& origin) {
  std::uint64_t end = 0;
  for (const SafetensorsFile::Tensor& tensor : tensors) {
    if (tensor.begin != end) {
      fail("{}: tensor \"{}\" begins at byte {} of the data, the one before ends at {}", origin, tensor.name, tensor.begin, end);
    }
    end = tensor.begin + tensor.bytes;
  }
  if (end != data_bytes) fail("{}: {} bytes after the last tensor belong to none", origin, data_bytes - end);
}

}  // namespace

std::size_t scalar_bytes(ScalarType type) { return kind_of(type).bytes; }
std::string_view scalar_name(ScalarType type) { return kind_of(type).name; }

TensorSource tensor_of(std::string name, std::vector<std::int64_t> shape, std::span<const float> values) {
  return borrowed(std::move(name), ScalarType::kF32, std::move(shape), values);
}

TensorSource tensor_of(std::string name, std::vector<std::int64_t> shape, std::span<const std::int64_t> values) {
  return borrowed(std::move(name), ScalarType::kI64, std::move(shape), values);
}

FileRecord write_safetensors(const std::filesystem::path& path, std::span<const TensorSource> tensors, const TensorMetadata& metadata) {
  const std::string header = header_text(path, tensors, metadata);
  CheckedOutput output(path);
  const std::uint64_t header_bytes = header.size();
  output.write(&header_bytes, sizeof header_bytes);
  output.write(header.data(), header.size());
  std::vector<std::byte> buffer;
  for (const TensorSource& tensor : tensors) write_tensor(output, tensor, buffer);
  return output.finish();
}

std::int64_t SafetensorsFile::Tensor::elements() const { return element_count(shape); }

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : path_(std::move(path)), file_(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)) {
  const std::string origin = path_.string();
  if (!file_) fail("cannot open {}: {}", origin, std::strerror(errno));
  struct stat status {};
  if (::fstat(file_.number(), &status) != 0 || !S_ISREG(status.st_mode)) fail("{} is not a file", origin);
  const auto file_bytes = static_cast<std::uint64_t>(status.st_size);
  std::uint64_t header_bytes = 0;
  if (file_bytes < sizeof header_bytes) fail("{}: {} bytes are too few for safetensors: cut short?", origin, file_bytes);
  read_at(file_, path_, 0, &header_bytes, sizeof header_bytes);
  if (header_bytes > kLargestHeader || header_bytes > file_bytes - sizeof header_bytes) {
    fail("{}: a header of {} bytes does not fit a file of {} bytes: not safetensors, or cut short", origin, header_bytes, file_bytes);
  }
  std::string text(header_bytes, '\0');
  read_at(file_, path_, sizeof header_bytes, text.data(), text.size());
  if (text.empty() || text.front() != '{') fail("{}: the header does not begin with '{{': not safetensors", origin);
  const Json header = parse_json(text, origin);

  const std::uint64_t data_begin = sizeof header_bytes + header_bytes;
  for (const auto& [name, entry] : header.items()) {
    if (name != kMetadataKey) {
      tensors_.push_back(parse_tensor(name, entry, file_bytes - data_begin, origin));
      continue;
    }
    if (!entry.is_object()) fail("{}: {} is not an object", origin, kMetadataKey);
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) fail("{}: \"{}\" in {} is not a string", origin, key, kMetadataKey);
      metadata_[key] = value.get<std::string>();
    }
  }
  // Empty tensors share their place with the next one: they come first.
  std::stable_sort(tensors_.begin(), tensors_.end(),
                   [](const Tensor& a, const Tensor& b) { return std::pair(a.begin, a.bytes) < std::pair(b.begin, b.bytes); });
  require_gapless(tensors_, file_bytes - data_begin, origin);
  for (Tensor& tensor : tensors_) tensor.begin += data_begin;
}

const SafetensorsFile::Tensor* SafetensorsFile::find(std::string_view name) const {
  const auto found = std::find_if(tensors_.begin(), tensors_.end(), [&](const Tensor& tensor) { return tensor.name == name; });
  return found == tensors_.end() ? nullptr : &*found;
}

const SafetensorsFile::Tensor& SafetensorsFile::require(std::string_view name, ScalarType type, std::span<const std::int64_t> shape) const {
  const Tensor* tensor = find(name);
  if (tensor == nullptr) fail("{} holds no tensor \"{}\"", path_.string(), name);
  if (tensor->type != type || !std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end())) {
    fail("{}: tensor \"{}\" is {} {}, wanted is {} {}", path_.string(), name, scalar_name(tensor->type), shape_text(tensor->shape),
         scalar_name(type), shape_text(shape));
  }
  return *tensor;
}

void SafetensorsFile::read(const Tensor& tensor, std::int64_t first, std::int64_t count, void* out) const {
  if (first < 0 || count < 0 || first > tensor.elements() - count) {
    fail("{}: elements {} to {} of tensor \"{}\", which has {}", path_.string(), first, first + count, tensor.name, tensor.elements());
  }
  const std::size_t bytes = scalar_bytes(tensor.type);
  read_at(file_, path_, tensor.begin + static_cast<std::uint64_t>(first) * bytes, out, static_cast<std::size_t>(count) * bytes);
}

}  // namespace rechost
