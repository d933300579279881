#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.h"
#include "base/file.h"
#include "core/train/checkpoint_fixture.h"

using namespace rechost;
using rechost::test::CheckpointedRun;

namespace {

const std::vector<std::int64_t> kWeightShape{2, 3};

std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// Opening and verifying: what `checkpoint verify` does.
void verify(const std::filesystem::path& checkpoint) { CheckpointReader(checkpoint).verify(); }

/// The manifest with one thing replaced and a checksum that fits again: what a wrong program, not a bad disk, would write.
void edit_manifest(const std::filesystem::path& checkpoint, const std::function<void(CheckpointManifest&)>& edit) {
  const std::filesystem::path file = checkpoint / "manifest.json";
  CheckpointManifest manifest = CheckpointManifest::from_text(read_file(file), file.string());
  edit(manifest);
  write_file_atomically(file, manifest.to_text());
}

}  // namespace

TEST_CASE("A checkpoint gives back all that was written") {
  const CheckpointedRun run;
  const std::filesystem::path path = run.write(12);
  CHECK(path == run.checkpoint(12));
  CHECK(path.filename() == "step-0000000012");
  CHECK(std::filesystem::read_symlink(run.checkpoints() / "latest") == "step-0000000012");
  CHECK(names_in(run.checkpoints()) == std::vector<std::string>{"latest", "step-0000000012"});

  const CheckpointReader reader(run.checkpoints() / "latest");
  reader.verify();
  const CheckpointManifest& manifest = reader.manifest();
  CHECK(manifest.position.step == 12);
  CHECK(manifest.position.epoch == 1);
  CHECK(manifest.position.sample_cursor == 384);
  CHECK(manifest.position.seed == 18446744073709551557ull);
  CHECK(manifest.plugins[0].id == "dlrm");
  CHECK(manifest.state["best"] == 0.1);
  CHECK(manifest.files.size() == 5);

  std::vector<float> weights(6);
  reader.read_dense("mlp.0.weight", kWeightShape, weights.data());
  for (std::size_t i = 0; i < 6; ++i) CHECK(weights[i] == CheckpointedRun::dense_value(12, i));
  CHECK(reader.has_dense("optimizer/exp_avg/mlp.0.weight"));
  CHECK(read_file(reader.file("vocabularies/user.json")) == "[\"a\", \"b\"]");

  const CheckpointTable& items = reader.require_table("item/über", CheckpointedRun::kItemRows, 2, 0);
  CHECK(items.parts[0].file == "tables/item%2F%C3%BCber/1-of-1.safetensors");
  std::vector<std::int64_t> ids(2);
  std::vector<float> rows(4);
  reader.read_table(items, 3, 2, rows.data(), nullptr, ids.data());
  CHECK(ids == std::vector<std::int64_t>{3'000'000'021, 4'000'000'028});
  CHECK(rows == std::vector<float>{6, 7, 8, 9});
}

TEST_CASE("Any range of rows can be read, however the table was cut") {
  const CheckpointedRun run;
  const std::int64_t parts = GENERATE(1, 2, 3, 7);
  const CheckpointReader reader(run.write(5, {}, parts));
  const CheckpointTable& table = reader.require_table("user", CheckpointedRun::kUserRows, 4, 1);
  CHECK(table.parts.size() == static_cast<std::size_t>(parts));
  for (const auto& [first, count] : {std::pair<std::int64_t, std::int64_t>{0, 70}, {0, 0}, {69, 1}, {33, 5}, {9, 55}}) {
    std::vector<float> rows(static_cast<std::size_t>(count) * 4);
    std::vector<float> state(static_cast<std::size_t>(count));
    reader.read_table(table, first, count, rows.data(), state.data());
    bool right = true;
    for (std::int64_t i = 0; i < count; ++i) {
      right = right && state[static_cast<std::size_t>(i)] == -CheckpointedRun::user_value(5, first + i, 0);
      for (std::int64_t c = 0; c < 4; ++c)
        right = right && rows[static_cast<std::size_t>(i * 4 + c)] == CheckpointedRun::user_value(5, first + i, c);
    }
    CHECK(right);
  }
  CHECK_THROWS_WITH(reader.read_table(table, 60, 11, nullptr, nullptr), Catch::Contains("which has 70"));
}

TEST_CASE("Rows of 16 bits take 16 bits in a file and come back as they were") {
  for (const auto& [precision, type] : {std::pair{RowPrecision::kFp16, ScalarType::kF16}, {RowPrecision::kBf16, ScalarType::kBF16}}) {
    const CheckpointedRun run;
    constexpr std::int64_t kRows = 1000;
    CheckpointTable table;
    table.name = "narrow";
    table.rows = kRows;
    table.dim = 3;
    table.precision = precision;
    table.state_floats = 1;
    const auto value = [](std::int64_t element) { return static_cast<float>(element % 251 - 125) * 0x1p-9f; };
    CheckpointWriter writer(run.checkpoints(), CheckpointedRun::manifest(1));
    writer.add_table(table);
    for (std::int64_t part = 1; part <= 2; ++part) {
      TablePartSource source{.part = part, .parts = 2, .first_row = (part - 1) * 400};
      source.row_count = part == 1 ? 400 : 600;
      source.read_rows = [&](std::int64_t first, std::int64_t count, float* out) {
        for (std::int64_t i = 0; i < count * 3; ++i) out[i] = value(first * 3 + i);
      };
      source.read_state = [](std::int64_t first, std::int64_t count, float* out) {
        for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(first + i) * 0.1f;
      };
      writer.add_part(CheckpointWriter::write_table_part(writer.staging(), table, CheckpointedRun::manifest(1).position, source));
    }
    const CheckpointReader reader(writer.commit());
    reader.verify();
    const CheckpointTable& written = reader.require_table("narrow", kRows, 3, 1);
    CHECK(written.precision == precision);
    const SafetensorsFile file(reader.directory() / written.parts[0].file);
    CHECK(file.find("rows")->type == type);
    CHECK(file.find("rows")->bytes == 400 * 3 * 2);
    CHECK(file.find("state")->type == ScalarType::kF32);
    std::vector<float> rows(300 * 3);
    std::vector<float> state(300);
    reader.read_table(written, 350, 300, rows.data(), state.data());
    for (std::int64_t i = 0; i < 900; ++i) REQUIRE(rows[static_cast<std::size_t>(i)] == value(350 * 3 + i));
    for (std::int64_t i = 0; i < 300; ++i) REQUIRE(state[static_cast<std::size_t>(i)] == static_cast<float>(350 + i) * 0.1f);
  }
}

TEST_CASE("A manifest from before tables had a precision is one of fp32 tables, an unknown one is damage") {
  const CheckpointedRun run;
  const CheckpointManifest manifest = CheckpointReader(run.write(3)).manifest();
  const std::string text = manifest.to_text();
  const auto changed = [&](std::string_view from, std::string_view to) {
    Json json = parse_json(text, "manifest");
    json["checksum"] = "xxh3:0000000000000000";
    std::string other = json_document(json);
    for (std::size_t at = other.find(from); at != std::string::npos; at = other.find(from)) other.replace(at, from.size(), to);
    other.replace(other.find("xxh3:0000000000000000"), 21, checksum_of(other));
    return CheckpointManifest::from_text(other, "manifest.json");
  };
  CHECK(changed("\"precision\"", "\"purpose\"").find_table("user")->precision == RowPrecision::kFp32);
  CHECK_THROWS_WITH(changed("\"fp32\"", "\"fp33\""), Catch::Contains("manifest.json is damaged: unknown precision \"fp33\""));
}

TEST_CASE("What a rank wrote survives the way to rank 0") {
  const CheckpointedRun run;
  CheckpointWriter writer(run.checkpoints(), CheckpointedRun::manifest(1));
  const CheckpointWriter::WrittenPart part = CheckpointWriter::write_table_part(
      writer.staging(), CheckpointedRun::user_table(), CheckpointedRun::manifest(1).position, CheckpointedRun::user_part(1, 1, 1));
  const CheckpointWriter::WrittenPart sent = CheckpointWriter::WrittenPart::from_json(parse_json(json_line(part.to_json()), "message"));
  writer.add_table(CheckpointedRun::user_table());
  writer.add_part(sent);
  verify(writer.commit());
  CHECK_THROWS_AS(CheckpointWriter::WrittenPart::from_json(Json::object()), CheckpointError);
}

TEST_CASE("A checkpoint that is not complete cannot be committed") {
  const CheckpointedRun run;
  {
    CheckpointWriter writer(run.checkpoints(), CheckpointedRun::manifest(1));
    writer.add_table(CheckpointedRun::user_table());
    writer.add_part(
        CheckpointWriter::write_table_part(writer.staging(), CheckpointedRun::user_table(), {}, CheckpointedRun::user_part(1, 1, 2)));
    CHECK_THROWS_WITH(writer.commit(), Catch::Contains("\"user\" has 70 rows, its parts hold 35"));
  }
  CHECK(names_in(run.checkpoints()).empty());
}

TEST_CASE("Files that would not belong into a checkpoint are refused") {
  const CheckpointedRun run;
  CheckpointWriter writer(run.checkpoints(), CheckpointedRun::manifest(1));
  writer.add_file("a.json", "{}");
  for (const char* path : {"../a.json", "/tmp/a.json", "", "x/../../a", "manifest.json", "a.json"}) {
    INFO(path);
    CHECK_THROWS_AS(writer.add_file(path, "{}"), CheckpointError);
  }
  writer.add_table(CheckpointedRun::user_table());
  CHECK_THROWS_WITH(writer.add_table(CheckpointedRun::user_table()), Catch::Contains("\"user\" already"));
  const std::vector<float> value(1);
  CHECK_THROWS_WITH(writer.write_dense(std::vector<DenseTensor>{{"parameter", tensor_of("optimizer/a", {1}, value)}}),
                    Catch::Contains("belong to optimizer state"));
}

TEST_CASE("An error of the caller's own passes as it is, and nothing stays behind") {
  const CheckpointedRun run;
  {
    CheckpointWriter writer(run.checkpoints(), CheckpointedRun::manifest(1));
    TablePartSource source = CheckpointedRun::user_part(1, 1, 1);
    source.read_rows = [](std::int64_t, std::int64_t, float*) { fail<DeviceError>("the device is gone"); };
    CHECK_THROWS_AS(CheckpointWriter::write_table_part(writer.staging(), CheckpointedRun::user_table(), {}, source), DeviceError);
  }
  CHECK(names_in(run.checkpoints()).empty());
}

TEST_CASE("Removing, cutting or changing any file is found and named") {
  const CheckpointedRun run;
  const std::filesystem::path good = run.write(3);
  std::vector<std::string> files{"manifest.json"};
  const CheckpointManifest manifest = CheckpointReader(good).manifest();
  for (const FileRecord& record : manifest.files) files.push_back(record.path);
  REQUIRE(files.size() == 6);
  for (const std::string& file : files) {
    INFO(file);
    const std::filesystem::path bad = run.path() / "bad";
    const auto damaged = [&](const std::function<void(const std::filesystem::path&)>& damage) {
      std::filesystem::remove_all(bad);
      std::filesystem::copy(good, bad, std::filesystem::copy_options::recursive);
      damage(bad / file);
      CHECK_THROWS_AS(verify(bad), CheckpointError);
      CHECK_THROWS_WITH(verify(bad), Catch::Contains(file) && Catch::Contains("another"));
    };
    damaged([](const std::filesystem::path& path) { std::filesystem::remove(path); });
    damaged([](const std::filesystem::path& path) { test::cut_file(path, 1); });
    damaged([](const std::filesystem::path& path) { std::filesystem::resize_file(path, 0); });
    damaged([](const std::filesystem::path& path) { std::ofstream(path, std::ios::app) << "x"; });
    const std::uintmax_t bytes = std::filesystem::file_size(good / file);
    for (const std::uintmax_t position : {std::uintmax_t{0}, bytes / 3, bytes / 2, bytes - 1}) {
      INFO("byte " << position);
      damaged([&](const std::filesystem::path& path) { test::flip_byte(path, position); });
    }
  }
}

TEST_CASE("Every changed byte of the manifest is found") {
  const CheckpointedRun run;
  const std::filesystem::path path = run.write(3);
  const std::string good = read_file(path / "manifest.json");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0x01);
    bool refused = false;
    try {
      CheckpointManifest::from_text(bad, "manifest.json");
    } catch (const CheckpointError&) {
      refused = true;
    }
    if (!refused) FAIL("byte " << i << " of the manifest may change unseen");
  }
}

TEST_CASE("A file that is not in the manifest is found") {
  const CheckpointedRun run;
  const std::filesystem::path path = run.write(3);
  write_file_atomically(path / "tables/user/notes.txt", "x");
  CHECK_THROWS_WITH(CheckpointReader(path), Catch::Contains("tables/user/notes.txt is not in the manifest"));
}

TEST_CASE("A manifest that does not fit the files is found, though its checksum does") {
  const CheckpointedRun run;
  const std::filesystem::path path = run.write(3);
  const auto refused = [&](const std::function<void(CheckpointManifest&)>& edit, const std::string& reason) {
    const std::string good = read_file(path / "manifest.json");
    edit_manifest(path, edit);
    CHECK_THROWS_WITH(verify(path), Catch::Contains(reason));
    CHECK_THROWS_AS(verify(path), CheckpointError);
    write_file_atomically(path / "manifest.json", good);
  };
  refused([](CheckpointManifest& m) { m.tables[0].dim = 5; }, "does not fit table \"user\"");
  refused([](CheckpointManifest& m) { m.tables[0].rows = 71; }, "has 71 rows, its parts hold 70");
  refused([](CheckpointManifest& m) { m.tables[0].parts[1].first_row = 34; }, "do not follow each other");
  refused([](CheckpointManifest& m) { m.tables[0].parts[0].file = "tables/none"; }, "tables/none is not in its list of files");
  refused([](CheckpointManifest& m) { m.dense[0].shape = {3, 2}; }, "another shape or type");
  refused([](CheckpointManifest& m) { m.dense.pop_back(); }, "holds 2 tensors, the manifest lists 1");
  refused([](CheckpointManifest& m) { m.dense[0].name = "other"; }, "holds no tensor \"other\"");
  refused([](CheckpointManifest& m) { m.files[0].path = "../elsewhere"; }, "outside the checkpoint");
}

TEST_CASE("A newer format, another file and no file are told apart") {
  const CheckpointedRun run;
  const std::filesystem::path path = run.write(3);
  std::string text = read_file(path / "manifest.json");
  text.replace(text.find("\"format_version\": 1"), 19, "\"format_version\": 2");
  write_file_atomically(path / "manifest.json", text);
  CHECK_THROWS_WITH(CheckpointReader(path), Catch::Contains("format version 2") && Catch::Contains("use the rechost that wrote it"));
  write_file_atomically(path / "manifest.json", "{}");
  CHECK_THROWS_WITH(CheckpointReader(path), Catch::Contains("not the manifest of a checkpoint"));
  CHECK_THROWS_WITH(CheckpointReader(run.path() / "nowhere"), Catch::Contains("nowhere") && Catch::Contains("no such directory"));
}

TEST_CASE("A run that does not fit the checkpoint learns why") {
  const CheckpointedRun run;
  const CheckpointReader reader(run.write(3));
  std::vector<float> out(6);
  CHECK_THROWS_WITH(reader.read_dense("mlp.1.weight", kWeightShape, out.data()), Catch::Contains("no dense tensor \"mlp.1.weight\""));
  CHECK_THROWS_WITH(reader.read_dense("mlp.0.weight", std::vector<std::int64_t>{3, 2}, out.data()),
                    Catch::Contains("wanted is F32 [3, 2]"));
  CHECK_THROWS_WITH(reader.require_table("nobody", 1, 1, 0), Catch::Contains("no table \"nobody\""));
  CHECK_THROWS_WITH(reader.require_table("user", 71, 4, 1), Catch::Contains("70 rows of dim 4") && Catch::Contains("71 of dim 4"));
  CHECK_THROWS_WITH(reader.file("absent.json"), Catch::Contains("absent.json"));
}

TEST_CASE("Python's json and struct modules read a whole checkpoint") {
  const CheckpointedRun run;
  const std::filesystem::path path = run.write(3);
  write_file_atomically(run.path() / "read.py", R"(
import json, os, struct, sys
root = sys.argv[1]
m = json.load(open(root + '/manifest.json'))
assert m['step'] == 3 and m['seed'] == 18446744073709551557
assert all(os.path.getsize(root + '/' + f['path']) == f['bytes'] for f in m['files'])
table = m['tables'][0]
total = 0
for part in table['parts']:
    b = open(root + '/' + part['file'], 'rb').read()
    n, = struct.unpack('<Q', b[:8])
    h = json.loads(b[8:8 + n])
    assert h['__metadata__']['table'] == 'user' and h['rows']['shape'] == [part['rows'], 4] and h['state']['shape'] == [part['rows'], 1]
    lo, hi = h['rows']['data_offsets']
    values = struct.unpack('<%df' % ((hi - lo) // 4), b[8 + n + lo:8 + n + hi])
    assert values[0] == 3000 + part['first_row'] * 4
    total += part['rows']
assert total == table['rows'] == 70
)");
  CHECK(std::system(("python3 '" + (run.path() / "read.py").string() + "' '" + path.string() + "'").c_str()) == 0);
}
