// Whatever bytes a file holds, a loader reads it or says what is wrong: it does not crash and loses no row in silence.
#include <catch2/catch.hpp>
#include <random>

#include "plugins/datasets/compressed_text.h"
#include "plugins/datasets/opened_split.h"
#include "plugins/datasets/written_file.h"

using namespace datasets_test;

namespace {

struct Case {
  std::string loader, sample;
  Options options;
};

const std::vector<Case>& cases() {
  static const std::string table = "label,a,b,c\n1,2,x|y,\"q\"\n0,3.5,z,\"r,s\"\n1,,,\n";
  static const std::vector<Case> list{
      {"criteo", criteo_lines(20), {}},
      {"criteo", criteo_lines(20), {{"categorical", "\"hexadecimal\""}}},
      {"csv", table, {{"dense", "[\"a\"]"}, {"multi_hot", "[\"b\"]"}, {"sparse", "[\"c\"]"}}},
      {"ratings", "user,item,rating,time\n1,2,3,4\n1,5,1,9\n7,8,1.5,2\n7,2,2,2\n", {{"history", "3"}}},
      {"ratings", "1 2 3 4\n2 5\n3 2 9\n", {{"format", "\"lists\""}, {"holdout", "\"leave_one_out\""}}},
      {"ratings", "1::2::3::4\n1::5::1::9\n", {{"columns", toml_list({"user", "item", "rating", "time"})}, {"holdout", "\"ratio\""}}},
  };
  return list;
}

// Changes, cuts, doubles or puts in a few bytes; those that mean something in such files come up often.
std::string damaged(std::string text, std::mt19937& random) {
  static constexpr std::string_view kBytes("\0\n\r\t,\"|:0-x \xff\xc3", 14);
  for (std::size_t changes = 1 + random() % 6; changes > 0 && !text.empty(); --changes) {
    const std::size_t at = random() % text.size();
    const char byte = random() % 2 == 0 ? kBytes[random() % kBytes.size()] : static_cast<char>(random());
    switch (random() % 4) {
      case 0:
        text[at] = byte;
        break;
      case 1:
        text.insert(at, 1, byte);
        break;
      case 2:
        text.erase(at, 1 + random() % 8);
        break;
      default:
        text.insert(at, text.substr(at, random() % 40));
        break;
    }
  }
  return text;
}

void read_or_refuse(const Case& subject, const Folder& folder, const std::string& bytes) {
  Options options = subject.options;
  options["path"] = toml_text(folder.write("x", bytes));
  options["chunk_rows"] = "3";
  try {
    const Loader loader(subject.loader);
    for (const std::string& split : loader.splits(options)) {
      const OpenedSplit opened(loader, options, split);
      const Table table = opened.read_all();
      CHECK(table.rows + static_cast<int64_t>(table.bad_rows.size()) == opened.declared_rows());
    }
  } catch (const PluginError& error) {
    CHECK(std::string_view(error.what()).size() > 10);
  }
}

}  // namespace

TEST_CASE("damaged text is read or refused") {
  const Folder folder;
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 150; ++round)
    for (const Case& subject : cases()) read_or_refuse(subject, folder, damaged(subject.sample, random));
}

TEST_CASE("damaged and cut compressed text is read or refused") {
  const Folder folder;
  const unsigned seed = std::random_device()();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 60; ++round)
    for (const Case& subject : cases()) {
      std::string packed = round % 2 == 0 ? gzipped(subject.sample) : zstandard(subject.sample);
      if (round % 3 == 0)
        packed.resize(random() % packed.size());
      else
        packed = damaged(packed, random);
      read_or_refuse(subject, folder, packed);
    }
}
