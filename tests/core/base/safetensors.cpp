#include "base/safetensors.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "core/base/temporary_directory.h"

using namespace rechost;
using rechost::test::TemporaryDirectory;

namespace {

/// A file with any header, as a stranger might write it.
std::filesystem::path write_raw(const TemporaryDirectory& directory, const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string bytes(sizeof length, '\0');
  std::memcpy(bytes.data(), &length, sizeof length);
  write_file_atomically(directory / "raw.safetensors", bytes + header + std::string(data_bytes, '\0'));
  return directory / "raw.safetensors";
}

std::vector<float> counting(std::size_t count) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), 0.5f);
  return values;
}

}  // namespace

TEST_CASE("Tensors come back as they were written") {
  const TemporaryDirectory directory;
  const std::vector<float> weights = counting(15);
  const std::vector<std::int64_t> ids{7, -1, 1ll << 40};
  const std::vector<float> none;
  const std::vector<TensorSource> tensors{tensor_of("mlp.0.weight", {3, 5}, weights), tensor_of("ids", {3}, ids),
                                          tensor_of("none", {0, 4}, none), tensor_of("scalar", {}, std::span(weights).first(1))};
  const std::filesystem::path path = directory / "a.safetensors";
  const FileRecord record = write_safetensors(path, tensors, {{"step", "12"}, {"odd \"key\"", "ü"}});
  CHECK(record.bytes == std::filesystem::file_size(path));
  CHECK(record.checksum == record_file(directory.path(), path).checksum);

  const SafetensorsFile file(path);
  CHECK(file.metadata().at("step") == "12");
  CHECK(file.metadata().at("odd \"key\"") == "ü");
  CHECK(file.tensors().size() == 4);
  CHECK(file.find("absent") == nullptr);
  CHECK(file.tensors().front().begin % 64 == 0);
  std::vector<float> read(15);
  file.read(file.require("mlp.0.weight", ScalarType::kF32, std::vector<std::int64_t>{3, 5}), 0, 15, read.data());
  CHECK(read == weights);
  float one = 0.0f;
  file.read(*file.find("mlp.0.weight"), 14, 1, &one);
  CHECK(one == weights[14]);
  std::vector<std::int64_t> read_ids(3);
  file.read(*file.find("ids"), 0, 3, read_ids.data());
  CHECK(read_ids == ids);
  CHECK(file.find("none")->elements() == 0);
  CHECK(file.find("scalar")->elements() == 1);
}

TEST_CASE("A large tensor is asked for in whole rows, in order, a few MiB at a time") {
  const TemporaryDirectory directory;
  constexpr std::int64_t kRows = 30'001;
  constexpr std::int64_t kDim = 100;
  std::int64_t next = 0;
  const TensorSource source{"rows", ScalarType::kF32, {kRows, kDim}, [&](std::int64_t first, std::int64_t count, void* out) {
                              REQUIRE(first == next);
                              REQUIRE(count % kDim == 0);
                              REQUIRE(count * 4 <= (4 << 20));
                              next += count;
                              for (std::int64_t i = 0; i < count; ++i)
                                static_cast<float*>(out)[i] = static_cast<float>((first + i) % 1'000'003);
                            }};
  const std::filesystem::path path = directory / "a.safetensors";
  const FileRecord record = write_safetensors(path, std::span(&source, 1), {});
  CHECK(next == kRows * kDim);
  CHECK(record.checksum == record_file(directory.path(), path).checksum);
  const SafetensorsFile file(path);
  std::vector<float> row(kDim);
  file.read(file.tensors()[0], 29'999 * kDim, kDim, row.data());
  for (std::int64_t i = 0; i < kDim; ++i) CHECK(row[static_cast<std::size_t>(i)] == static_cast<float>((29'999 * kDim + i) % 1'000'003));
}

TEST_CASE("A file is never overwritten") {
  const TemporaryDirectory directory;
  const std::vector<float> values = counting(2);
  const TensorSource tensor = tensor_of("a", {2}, values);
  write_safetensors(directory / "a.safetensors", std::span(&tensor, 1), {});
  CHECK_THROWS_WITH(write_safetensors(directory / "a.safetensors", std::span(&tensor, 1), {}), Catch::Contains("File exists"));
}

TEST_CASE("Tensors that cannot be written are refused") {
  const TemporaryDirectory directory;
  const std::vector<float> values = counting(2);
  const std::vector<TensorSource> twice{tensor_of("a", {2}, values), tensor_of("a", {2}, values)};
  CHECK_THROWS_WITH(write_safetensors(directory / "a", twice, {}), Catch::Contains("\"a\""));
  CHECK_THROWS_WITH(tensor_of("a", {3}, values), Catch::Contains("[3]") && Catch::Contains("2 values"));
}

TEST_CASE("A wanted tensor of another type or shape is an error that shows both") {
  const TemporaryDirectory directory;
  const std::vector<float> values = counting(6);
  const TensorSource tensor = tensor_of("a", {2, 3}, values);
  write_safetensors(directory / "a.safetensors", std::span(&tensor, 1), {});
  const SafetensorsFile file(directory / "a.safetensors");
  CHECK_THROWS_WITH(file.require("a", ScalarType::kF32, std::vector<std::int64_t>{3, 2}),
                    Catch::Contains("F32 [2, 3], wanted is F32 [3, 2]"));
  CHECK_THROWS_WITH(file.require("a", ScalarType::kI64, std::vector<std::int64_t>{2, 3}), Catch::Contains("wanted is I64"));
  CHECK_THROWS_WITH(file.require("b", ScalarType::kF32, std::vector<std::int64_t>{2, 3}), Catch::Contains("no tensor \"b\""));
  float out[2];
  CHECK_THROWS_WITH(file.read(file.tensors()[0], 5, 2, out), Catch::Contains("which has 6"));
}

TEST_CASE("A header that breaks the rules of the format is refused") {
  const TemporaryDirectory directory;
  const auto opening = [&](const std::string& header, std::size_t data_bytes) {
    const std::filesystem::path path = write_raw(directory, header, data_bytes);
    return [path] { const SafetensorsFile file(path); };
  };
  const auto refused = [](const auto& open, const std::string& reason) { CHECK_THROWS_WITH(open(), Catch::Contains(reason)); };

  CHECK_NOTHROW(opening(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}  )", 8)());
  CHECK_NOTHROW(opening("{}", 0)());
  refused(opening("[]", 0), "does not begin with");
  refused(opening("{", 0), "not valid JSON");
  refused(opening(R"({"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})", 8), "unknown dtype");
  refused(opening(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})", 8), "cut short");
  refused(opening(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "does not fill");
  refused(opening(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), "bad shape");
  refused(opening(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8), "bad shape");
  refused(opening(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}})", 0), "does not fill");
  refused(opening(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "lies at bytes");
  refused(opening(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "needs exactly");
  refused(opening(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 12), "belong to none");
  refused(opening(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})", 6),
          "the one before ends at 4");
  refused(opening(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})", 12),
          "the one before ends at 4");
  refused(opening(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
          "twice");
  refused(opening(R"({"__metadata__":{"x":1}})", 0), "not a string");
}

TEST_CASE("A header length that does not fit the file is refused before memory is taken for it") {
  const TemporaryDirectory directory;
  write_file_atomically(directory / "a", std::string("\xff\xff\xff\xff\xff\xff\xff\x7f{}", 10));
  CHECK_THROWS_WITH(SafetensorsFile(directory / "a"), Catch::Contains("does not fit"));
  write_file_atomically(directory / "a", "1234567");
  CHECK_THROWS_WITH(SafetensorsFile(directory / "a"), Catch::Contains("too few"));
  CHECK_THROWS_WITH(SafetensorsFile(directory.path()), Catch::Contains("not a file"));
}

TEST_CASE("Damaged files are read or refused, never worse") {
  const TemporaryDirectory directory;
  const std::vector<float> values = counting(32);
  const std::vector<TensorSource> tensors{tensor_of("a", {4, 4}, std::span(values).first(16)),
                                          tensor_of("b", {16}, std::span(values).last(16))};
  write_safetensors(directory / "good", tensors, {{"k", "v"}});
  const std::string good = read_file(directory / "good");
  constexpr std::uint32_t kSeed = 20240607;
  std::mt19937 random(kSeed);
  INFO("seed " << kSeed);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = good;
    const std::size_t changes = 1 + random() % 4;
    for (std::size_t i = 0; i < changes; ++i) bytes[random() % std::min<std::size_t>(bytes.size(), 200)] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    {
      std::FILE* raw = std::fopen((directory / "bad").c_str(), "wb");
      std::fwrite(bytes.data(), 1, bytes.size(), raw);
      std::fclose(raw);
    }
    try {
      const SafetensorsFile file(directory / "bad");
      for (const SafetensorsFile::Tensor& tensor : file.tensors()) {
        std::vector<char> out(tensor.bytes);
        file.read(tensor, 0, tensor.elements(), out.data());
      }
    } catch (const Error&) {
    }
  }
}

TEST_CASE("Python's struct and json modules read the file") {
  const TemporaryDirectory directory;
  const std::vector<float> values = counting(6);
  const std::vector<std::int64_t> ids{3, 1, 2};
  const std::vector<TensorSource> tensors{tensor_of("w", {2, 3}, values), tensor_of("ids", {3}, ids)};
  write_safetensors(directory / "a.safetensors", tensors, {{"table", "user"}});
  const std::string script = R"(
import json, struct, sys
b = open(sys.argv[1], 'rb').read()
n, = struct.unpack('<Q', b[:8])
h = json.loads(b[8:8 + n]); d = b[8 + n:]
assert (8 + n) % 64 == 0 and b[8:9] == b'{'
assert h.pop('__metadata__') == {'table': 'user'}
assert h['w']['dtype'] == 'F32' and h['w']['shape'] == [2, 3]
lo, hi = h['w']['data_offsets']
assert struct.unpack('<6f', d[lo:hi]) == (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)
lo, hi = h['ids']['data_offsets']
assert struct.unpack('<3q', d[lo:hi]) == (3, 1, 2)
assert hi == len(d)
)";
  write_file_atomically(directory / "read.py", script);
  const std::string command = "python3 '" + (directory / "read.py").string() + "' '" + (directory / "a.safetensors").string() + "'";
  CHECK(std::system(command.c_str()) == 0);
}
