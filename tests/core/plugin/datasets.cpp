// A loader's columns in the host's words, and every way in which it can break the contract.
#include <catch2/catch.hpp>
#include <set>
#include <thread>

#include "data/column_values.h"
#include "fixture.h"
#include "plugin/dataset_instance.h"

namespace rechost::test {
namespace {

const Module& mistakes() {
  static const Module kModule = load_plugin(plugin_file("mistakes_data")).front();
  return kModule;
}

std::int64_t arrays_alive() { return *static_cast<const std::int64_t*>(mistakes().interface("test.arrays_alive")); }

DatasetInstance loader(const std::string& mistake) {
  return DatasetInstance(mistakes(), options_of(mistakes(), {{"mistake", value("\"" + mistake + "\"")}}));
}

constexpr std::uint32_t kAll[] = {0, 1, 2, 3, 4, 5, 6};
enum Place { kX, kId, kColor, kTags, kClick, kName, kPrices };

std::unique_ptr<ChunkData> read(ChunkSource& source, std::span<const std::uint32_t> wanted = kAll) {
  return source.read(0, wanted, [](BadRow&&) {});
}

constexpr std::string_view kLabel = "dataset \"mistakes_data\" (mistakes_data.so): ";

std::string open_problem(const std::string& mistake) {
  return complaint<PluginError>(plugin_folder(), [&] { loader(mistake).open("train"); });
}

std::string read_problem(const std::string& mistake) {
  return complaint<PluginError>(plugin_folder(), [&] { read(*loader(mistake).open("train")); });
}

template <typename Value>
std::vector<Value> values(const ColumnView& view, std::int64_t count) {
  const auto* first = static_cast<const Value*>(view.values);
  return {first, first + count};
}

bool bit(const ColumnView& view, std::int64_t row) {
  const std::int64_t at = view.value_offset + row;
  return ((static_cast<const std::uint8_t*>(view.values)[at >> 3] >> (at & 7)) & 1) != 0;
}

}  // namespace

TEST_CASE("a schema becomes columns") {
  const auto source = loader("").open("train");
  const std::vector<ColumnInfo>& columns = source->columns();
  REQUIRE(columns.size() == 7);
  CHECK(columns[kX].name == "x");
  CHECK(columns[kX].role == ColumnRole::kDense);
  CHECK(columns[kX].type == ValueType::kFloat32);
  CHECK_FALSE(columns[kX].nullable);
  CHECK(columns[kId].entity == "user");
  CHECK(columns[kId].is_key);
  CHECK(columns[kId].cardinality == 18);
  CHECK(columns[kColor].type == ValueType::kString);
  CHECK_FALSE(columns[kColor].is_list);
  CHECK(columns[kTags].is_list);
  CHECK(columns[kTags].nullable);
  CHECK(columns[kTags].type == ValueType::kInt64);
  CHECK(columns[kClick].role == ColumnRole::kLabel);
  CHECK(columns[kClick].type == ValueType::kBool);
  CHECK(columns[kName].role == ColumnRole::kId);
  CHECK(columns[kPrices].role == ColumnRole::kCandidates);
  CHECK(source->best_auc() == 0.75);
  CHECK(source->chunk_count() == 2);
  CHECK(source->chunk_rows(1) == 3);
  CHECK(source->fingerprint() == 42);
}

TEST_CASE("a chunk is read where it lies") {
  const auto source = loader("").open("train");
  const auto data = read(*source);
  REQUIRE(data->rows() == 3);
  const auto columns = data->columns();
  CHECK(values<float>(columns[kX], 3) == std::vector<float>{0, 1, 2});
  CHECK(values<std::int32_t>(columns[kId], 3) == std::vector<std::int32_t>{10, 11, 12});
  CHECK(columns[kColor].string(0) == "red");
  CHECK(columns[kColor].string(1) == "green");
  CHECK(columns[kColor].string(2) == "blue");
  CHECK(columns[kX].validity == nullptr);
  CHECK_FALSE(columns[kTags].valid(0));
  CHECK(columns[kTags].valid(1));
  CHECK(columns[kTags].list_begin(2) == 1);
  CHECK(columns[kTags].list_begin(3) == 3);
  CHECK(static_cast<const std::int64_t*>(columns[kTags].values)[1] == 101);
  CHECK((!bit(columns[kClick], 0) && bit(columns[kClick], 1) && !bit(columns[kClick], 2)));
  CHECK(columns[kName].string(0) == "a");
  CHECK(columns[kName].string(2) == "ccc");
  CHECK(columns[kPrices].list_offsets64 != nullptr);
}

TEST_CASE("slices of the chunk, of a column, of list elements and of a dictionary add up") {
  const auto source = loader("sliced").open("train");
  const auto data = read(*source);
  const auto columns = data->columns();
  // The chunk begins at 1, each column at 2: row 0 is element 3.
  CHECK(values<float>(columns[kX], 3) == std::vector<float>{3, 4, 5});
  CHECK(columns[kTags].list_begin(0) == 3);
  CHECK(columns[kTags].list_begin(1) == 3);
  CHECK(columns[kTags].list_begin(2) == 4);
  CHECK(columns[kTags].list_begin(3) == 6);
  CHECK(columns[kTags].validity == nullptr);
  CHECK(static_cast<const std::int64_t*>(columns[kTags].values)[3] == 104);
  CHECK((!bit(columns[kClick], 0) && bit(columns[kClick], 1) && bit(columns[kClick], 2)));
  CHECK(columns[kName].string(0) == "dddd");
  // The dictionary is a slice too: its entry 0 is "green".
  CHECK(columns[kColor].string(0) == "green");
  CHECK(columns[kColor].string(1) == "blue");
}

TEST_CASE("a dictionary may hold integers, and its rows may be null") {
  const auto source = loader("dictionary of integers").open("train");
  CHECK(source->columns()[kColor].type == ValueType::kInt64);
  const auto data = read(*source);
  const ColumnView& colors = data->columns()[kColor];
  CHECK_FALSE(colors.valid(0));
  CHECK(colors.place(0) == 0);
  CHECK(colors.entries == 3);
  std::vector<std::int64_t> found;
  with_numbers(colors, [&](auto read) {
    for (const std::int64_t row : {1, 2}) found.push_back(static_cast<std::int64_t>(read(row)));
  });
  CHECK(found == std::vector<std::int64_t>{102, 101});
}

TEST_CASE("only wanted columns come, in the wanted order") {
  const auto source = loader("").open("train");
  const std::uint32_t wanted[] = {kName, kX};
  const auto data = read(*source, wanted);
  REQUIRE(data->columns().size() == 2);
  CHECK(data->columns()[0].string(1) == "bb");
  CHECK(values<float>(data->columns()[1], 1) == std::vector<float>{0});
  CHECK(read(*source, {})->columns().empty());
  const std::uint32_t beyond[] = {9};
  CHECK_THROWS_WITH(read(*source, beyond), "column 9 of 7 is wanted");
}

TEST_CASE("a chunk's memory is given back with its object") {
  const auto source = loader("").open("train");
  {
    const auto data = read(*source);
    CHECK(arrays_alive() == 1);
  }
  CHECK(arrays_alive() == 0);
}

TEST_CASE("a bad row reaches the host's handler with all that is known") {
  const auto source = loader("bad row").open("train");
  std::vector<BadRow> seen;
  const auto data = source->read(1, kAll, [&](BadRow&& row) { seen.push_back(std::move(row)); });
  CHECK(data->rows() == 2);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].chunk == 1);
  CHECK(seen[0].row_in_chunk == 1);
  CHECK(seen[0].line == 7);
  CHECK(seen[0].source == "part.csv");
  CHECK(seen[0].column == "x");
  CHECK(seen[0].reason == "\"x7\" is not a number");
  CHECK(seen[0].raw == "x7,1");
}

TEST_CASE("what the handler throws passes through the loader") {
  const auto source = loader("bad row").open("train");
  CHECK_THROWS_WITH(source->read(0, kAll, [](BadRow&&) { throw DataError("too many bad rows"); }), "too many bad rows");
  CHECK(arrays_alive() == 0);
}

TEST_CASE("each mistake in the schema is named with the column") {
  const std::pair<const char*, const char*> cases[] = {
      {"open returns nothing", "open returned neither a dataset nor an error"},
      {"schema of nothing", "schema filled nothing"},
      {"schema format", "schema: the format is \"f\", not \"+s\" (a struct of columns)"},
      {"schema without columns", "schema: has no columns"},
      {"column without name", "schema: column 0 has no name"},
      {"column twice", "schema: column \"x\": is there twice"},
      {"column null", "schema: column 1 is null"},
      {"column without role", "schema: column \"x\": has no metadata rechost.role"},
      {"unknown role", "schema: column \"x\": rechost.role is \"numeric\", not one of dense, sparse, label, weight, id, time, candidates"},
      {"unknown type",
       "schema: column \"x\": the Arrow format \"tdD\" is not understood; use f g c s i l C S I b u U z, or lists of these"},
      {"dense text", "schema: column \"x\": a dense column must be one number per row"},
      {"float ids", "schema: column \"x\": a column of ids must hold integers or text"},
      {"cardinality", "schema: column \"id\": rechost.cardinality is \"-5\", not a positive integer"},
      {"cardinality of floats", "schema: column \"x\": rechost.cardinality is only for integers"},
      {"label kind", "schema: column \"click\": rechost.label_kind is \"ordinal\", not one of binary, regression, multiclass"},
      {"entity", "schema: column \"id\": rechost.entity is \"shop\", not one of user, item, "},
      {"dictionary of numbers", "schema: column \"color\": a dictionary from \"c\" to \"f\"; only integers to text or to integers are understood"},
      {"list of nothing", "schema: column \"tags\": a list with 0 children"},
      {"best auc", "schema: rechost.reference.best_auc is \"1.5\", not a number from 0 to 1"},
      {"negative chunks", "chunk_count is -1"},
      {"negative rows", "chunk_rows(1) is -3"},
  };
  for (const auto& [mistake, message] : cases) {
    INFO(mistake);
    CHECK(open_problem(mistake) == std::string(kLabel) + message);
  }
}

TEST_CASE("each mistake in a chunk is named with the column, and nothing leaks") {
  const std::pair<const char*, const char*> cases[] = {
      {"read throws", "read_chunk threw a C++ exception through the C interface: thrown by read_chunk"},
      {"no array", "read_chunk(0) filled no array"},
      {"too few rows", "read_chunk(0) gave 2 rows and 0 bad ones, 3 were declared"},
      {"bad row counted as good", "read_chunk(0) gave 3 rows and 1 bad ones, 3 were declared"},
      {"bad rows descend", "bad_row: row 1 after row 2; rows ascend and the chunk has 3"},
      {"bad row outside", "bad_row: row 3 after row -1; rows ascend and the chunk has 3"},
      {"too few columns", "read_chunk: 6 columns, 7 were wanted"},
      {"missing column", "read_chunk: column \"x\": is null"},
      {"row null", "read_chunk: a row is null as a whole"},
      {"short column", "read_chunk: column \"x\": 2 rows, the chunk has 3"},
      {"wrong buffers", "read_chunk: column \"x\": 3 buffers, its type has 2"},
      {"children of a number", "read_chunk: column \"x\": 1 children, its type has 0"},
      {"no values", "read_chunk: column \"x\": has no values"},
      {"null not allowed", "read_chunk: column \"x\": holds a null, but its schema does not say that it may"},
      {"no dictionary", "read_chunk: column \"color\": has no dictionary"},
      {"null entry", "read_chunk: column \"color\": an entry of its dictionary is null; make the rows null"},
      {"dictionary entry", "read_chunk: column \"color\": row 1 is entry 3 of a dictionary of 3"},
      {"no offsets", "read_chunk: column \"tags\": has no offsets"},
      {"offsets descend", "read_chunk: column \"tags\": offset 2 is 1, after 2"},
      {"offsets negative", "read_chunk: column \"tags\": the first offset is -1"},
      {"offsets beyond", "read_chunk: column \"tags\": offsets reach to 9, there are 8 elements"},
      {"null in list", "read_chunk: column \"tags\": a list holds a null; leave it out of the list"},
      {"text offsets descend", "read_chunk: column \"name\": offset 2 is 1, after 3"},
  };
  for (const auto& [mistake, message] : cases) {
    INFO(mistake);
    CHECK(read_problem(mistake) == std::string(kLabel) + message);
    CHECK(arrays_alive() == 0);
  }
}

TEST_CASE("errors that the loader reports are errors of the data") {
  CHECK(complaint<DataError>(plugin_folder(), [] { loader("open fails").open("train"); }) == "mistakes_data: no such folder: /data/x");
  CHECK(complaint<DataError>(plugin_folder(), [] { read(*loader("read fails").open("train")); }) ==
        "mistakes_data: part.csv: ended in the middle of a row");
  CHECK(complaint<DataError>(plugin_folder(), [] { loader("fingerprint fails").open("train")->fingerprint(); }) ==
        "mistakes_data: a file is gone");
}

TEST_CASE("the list of splits is checked") {
  CHECK(loader("").list_splits() == std::vector<std::string>{"train", "test"});
  const std::pair<const char*, const char*> cases[] = {
      {"no split", "list_splits names no split"},
      {"unknown split", "list_splits names \"training\"; there are train, valid and test, or all"},
      {"split twice", "list_splits names \"train\" twice"},
      {"all beside others", "list_splits names \"all\" beside others"},
  };
  for (const auto& [mistake, message] : cases) {
    INFO(mistake);
    CHECK(complaint<PluginError>(plugin_folder(), [&] { loader(mistake).list_splits(); }) == std::string(kLabel) + message);
  }
}

TEST_CASE("the plain C loader is read from several threads") {
  const Module module = load_plugin(plugin_file("plain_c_plugin"))[1];
  const DatasetInstance dataset(module, options_of(module, {{"rows", value("1050")}, {"chunk_rows", value("100")}}));
  const auto source = dataset.open("train");
  REQUIRE(source->chunk_count() == 11);
  CHECK(source->chunk_rows(10) == 50);
  CHECK_THROWS_AS(dataset.open("valid"), DataError);
  const std::uint32_t wanted[] = {4, 5};
  std::vector<double> clicks(11);
  std::vector<std::thread> threads;
  for (int start = 0; start < 4; ++start) {
    threads.emplace_back([&, start] {
      for (std::int64_t chunk = start; chunk < 11; chunk += 4) {
        const auto data = source->read(chunk, wanted, [](BadRow&&) {});
        for (const float click : values<float>(data->columns()[1], data->rows())) clicks[static_cast<std::size_t>(chunk)] += click;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  double total = 0.0;
  for (const double one : clicks) total += one;
  CHECK(total > 400);
  CHECK(total < 650);
  CHECK(dataset.open("train")->fingerprint() != dataset.open("test")->fingerprint());
}

}  // namespace rechost::test
