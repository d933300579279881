#include "retrieval/vector_files.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/base/temporary_directory.h"
#include "base/error.h"
#include "base/file.h"
#include "retrieval/flat_index.h"

namespace rechost {
namespace {

using test::TemporaryDirectory;

const std::vector<float> kThreeVectors{1.0F, 2.0F, -3.0F, 0.5F, 0.0F, 4.0F};
const VectorsView kThreeOfTwo{kThreeVectors.data(), 3, 2};

TEST_CASE("an npy file is the header that NumPy writes, then the floats") {
  const TemporaryDirectory folder;
  write_npy(folder / "vectors.npy", kThreeOfTwo);
  const std::string bytes = read_file(folder / "vectors.npy");
  std::string header("\x93NUMPY\x01\x00\x76\x00", 10);
  header += "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
  header.append(127 - header.size(), ' ');
  header += '\n';
  REQUIRE(bytes.size() == 128 + 24);
  REQUIRE(bytes.substr(0, 128) == header);
  REQUIRE(std::memcmp(bytes.data() + 128, kThreeVectors.data(), 24) == 0);
}

TEST_CASE("no vectors are a file too, of every format") {
  const TemporaryDirectory folder;
  write_npy(folder / "vectors.npy", {nullptr, 0, 7});
  REQUIRE(read_file(folder / "vectors.npy").find("'shape': (0, 7), }") != std::string::npos);
  write_faiss_flat_index(folder / "index.faiss", {nullptr, 0, 7});
  const FlatIndex index = FlatIndex::read_faiss(folder / "index.faiss");
  REQUIRE(index.count() == 0);
  REQUIRE(index.dim() == 7);
  ThreadPool pool(1);
  REQUIRE(index.search({kThreeVectors.data(), 0, 7}, 5, {}, pool).positions.empty());
}

TEST_CASE("identifiers are one a line, whatever is in them") {
  const TemporaryDirectory folder;
  const std::vector<std::string> ids{"0", "two words", "a\nb", "c\\d", ""};
  write_ids(folder / "ids.txt", ids);
  REQUIRE(read_file(folder / "ids.txt") == "0\ntwo words\na\\nb\nc\\\\d\n\n");
}

TEST_CASE("an index file has the bytes that FAISS writes for the same vectors") {
  const TemporaryDirectory folder;
  write_faiss_flat_index(folder / "index.faiss", kThreeOfTwo);
  std::string expected("IxFI\x02\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00", 16);
  for (int i = 0; i < 2; ++i) expected += std::string("\x00\x00\x10\x00\x00\x00\x00\x00", 8);
  expected += std::string("\x01\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00", 13);
  expected.append(reinterpret_cast<const char*>(kThreeVectors.data()), 24);
  REQUIRE(expected.size() == 69);
  REQUIRE(read_file(folder / "index.faiss") == expected);
}

TEST_CASE("an index comes back from its file and finds the best, without what is excluded") {
  const TemporaryDirectory folder;
  write_faiss_flat_index(folder / "index.faiss", kThreeOfTwo);
  const FlatIndex index = FlatIndex::read_faiss(folder / "index.faiss");
  REQUIRE(std::vector<float>(index.view().data, index.view().data + 6) == kThreeVectors);
  ThreadPool pool(2);
  const std::vector<float> queries{1.0F, 0.0F, 0.0F, 1.0F};
  const std::vector<std::int64_t> offsets{0, 0, 1};
  const std::vector<std::int32_t> excluded{2};
  const SearchResult found = index.search({queries.data(), 2, 2}, 10, {offsets, excluded}, pool);
  REQUIRE(found.k == 3);
  REQUIRE(found.positions == std::vector<std::int32_t>{0, 2, 1, 0, 1, -1});
  REQUIRE(found.scores[0] == 1.0F);
  REQUIRE(found.scores[3] == 2.0F);
  REQUIRE(found.scores[5] == -std::numeric_limits<float>::infinity());
}

TEST_CASE("a file that is no such index is refused with a reason") {
  const TemporaryDirectory folder;
  write_faiss_flat_index(folder / "index.faiss", kThreeOfTwo);
  const std::string whole = read_file(folder / "index.faiss");
  const auto refused = [&](std::string bytes, const std::string& reason) {
    write_file_atomically(folder / "index.faiss", bytes);
    REQUIRE_THROWS_WITH(FlatIndex::read_faiss(folder / "index.faiss"), Catch::Contains(reason));
    REQUIRE_THROWS_AS(FlatIndex::read_faiss(folder / "index.faiss"), DataError);
  };
  refused(whole.substr(0, 20), "too few");
  refused(whole.substr(0, 68), "damaged");
  refused(whole + "more", "damaged");
  refused("IxF2" + whole.substr(4), "begins with \"IxF2\"");
  std::string other_metric = whole;
  other_metric[33] = '\x01';
  refused(other_metric, "metric 1");
  std::string negative_dim = whole;
  negative_dim[7] = '\xff';
  refused(negative_dim, "damaged");
}

TEST_CASE("a folder that is not there is named") {
  const TemporaryDirectory folder;
  REQUIRE_THROWS_WITH(write_npy(folder / "none" / "vectors.npy", kThreeOfTwo), Catch::Contains("none/vectors.npy"));
}

}  // namespace
}  // namespace rechost
