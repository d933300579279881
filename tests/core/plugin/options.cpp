// The keys of [model] and [data] that belong to a module: checked against its own list.
#include <filesystem>
#include <catch2/catch.hpp>

#include "fixture.h"
#include "rechost/abi.h"

namespace rechost::test {
namespace {

/// A model with one option of each type.
const Module& module() {
  static const Module kModule = load_plugin(plugin_file("all_options")).front();
  return kModule;
}

ModuleOptions resolve(ConfigNode::Table keys, bool with_folder = true) {
  if (with_folder) keys.emplace("folder", value("\"here\""));
  return ModuleOptions(module(), given(keys),
                       {.section = "model", .seed = 5, .threads = 2, .lookup = [](std::string_view) { return std::string("/root"); }});
}

const rh_option_value& find(const ModuleOptions& options, std::string_view name) {
  for (std::uint64_t i = 0; i < options.abi()->value_count; ++i) {
    const rh_option_value& one = options.abi()->values[i];
    if (std::string_view(one.name.data, one.name.size) == name) return one;
  }
  throw std::runtime_error("no such option");
}

}  // namespace

TEST_CASE("without keys every option has its default") {
  const ModuleOptions options = resolve({});
  CHECK(options.abi()->value_count == 10);
  CHECK(options.abi()->seed == 5);
  CHECK(options.abi()->threads == 2);
  CHECK(find(options, "flag").integer == 1);
  CHECK(find(options, "size").integer == 8);
  CHECK(find(options, "rate").real == 0.5);
  CHECK(std::string(find(options, "mode").text.data, find(options, "mode").text.size) == "dot");
  CHECK(std::string(find(options, "path").text.data, find(options, "path").text.size) == "/root/x");
  REQUIRE(find(options, "layers").count == 2);
  CHECK(find(options, "layers").integers[1] == 32);
  REQUIRE(find(options, "shares").count == 2);
  CHECK(find(options, "shares").reals[1] == 1.0);
  CHECK(find(options, "files").count == 0);
  CHECK(find(options, "width").integer == 0);
  CHECK(options.resolved().find("size")->origin == "plugin default");
  CHECK(options.resolved().find("folder")->origin == "a.toml:3");
  CHECK(options.resolved().find("width") == nullptr);
}

TEST_CASE("given keys replace defaults, integers do for numbers, typed text does for strings") {
  ConfigNode typed = value("7");
  typed.typed = "7";
  const ModuleOptions options =
      resolve({{"rate", value("2")}, {"shares", value("[1, 2.5]")}, {"files", value("[\"a\", \"b\"]")}, {"path", typed}});
  CHECK(find(options, "rate").real == 2.0);
  CHECK(find(options, "shares").reals[0] == 1.0);
  CHECK(find(options, "files").count == 2);
  CHECK(std::string(find(options, "files").texts[1].data, 1) == "b");
  CHECK(std::string(find(options, "path").text.data, find(options, "path").text.size) == "7");
  CHECK(std::get<std::string>(options.resolved().find("path")->value) == (std::filesystem::current_path() / "7").string());
}

TEST_CASE("a deprecated option is moved to its successor") {
  const ModuleOptions options = resolve({{"width", value("16")}});
  CHECK(find(options, "size").integer == 16);
  CHECK(options.resolved().find("size")->text() == "16");
  CHECK(options.resolved().find("width") == nullptr);
}

TEST_CASE("wrong options are errors with file, line, full key and what to do") {
  struct Case {
    const char* name;
    const char* text;
    const char* message;
  };
  const Case cases[] = {
      {"sizes", "1", "unknown key model.sizes (did you mean \"size\"?); \"rechost plugins inspect all_options\" lists the options"},
      {"plugn", "1", "unknown key model.plugn (did you mean \"plugin\"?); \"rechost plugins inspect all_options\" lists the options"},
      {"zzzzzzz", "1", "unknown key model.zzzzzzz; \"rechost plugins inspect all_options\" lists the options"},
      {"size", "1.5", "model.size: expected an integer, got 1.5 (a number)"},
      {"size", "\"8\"", "model.size: expected an integer, got \"8\" (a string)"},
      {"size", "0", "model.size: 0 is not between 1 and 100"},
      {"width", "0", "model.width: 0 is not between 1 and 100"},
      {"rate", "true", "model.rate: expected a number, got true (true or false)"},
      {"flag", "1", "model.flag: expected true or false, got 1 (an integer)"},
      {"mode", "\"cats\"", "model.mode: \"cats\" is not one of \"dot\", \"cat\""},
      {"mode", "3", "model.mode: expected a string, got 3 (an integer)"},
      {"layers", "64", "model.layers: expected a list of integers, got 64 (an integer)"},
      {"layers", "[64, 0]", "model.layers: 0 is not between 1 and 1000"},
      {"layers", "[64, \"x\"]", "model.layers: expected an integer, got \"x\" (a string)"},
      {"shares", "{ a = 1 }", "model.shares: expected a list of numbers, got { a = 1 } (a table)"},
      {"files", "[1]", "model.files: expected a string, got 1 (an integer)"},
  };
  for (const Case& one : cases) {
    INFO(one.name << " = " << one.text);
    CHECK(complaint<ConfigError>("/", [&] { resolve({{one.name, value(one.text)}}); }) == std::string("a.toml:3: ") + one.message);
  }
  CHECK(complaint<ConfigError>("/", [&] {
          resolve({{"width", value("2")}, {"size", value("2")}});
        }) == "a.toml:3: model.width is the former name of model.size, which is given too; remove one");
  CHECK(complaint<ConfigError>("/", [&] { resolve({}, false); }) ==
        "model.folder is missing: model \"all_options\" needs it (what it does); write it in the configuration, or --set model.folder=...");
}

}  // namespace rechost::test
