// Where plugins are looked for, which one wins, and what is said when none is there.
#include <catch2/catch.hpp>
#include <chrono>

#include "fixture.h"
#include "plugin/search.h"

namespace rechost::test {
namespace {

/// Copies a test plugin; `name` with its extension.
std::filesystem::path put(const Folder& folder, const std::string& plugin, const std::string& name) {
  return folder.write(name, bytes_of(plugin_file(plugin)));
}

}  // namespace

TEST_CASE("the search path goes from the user's choice to the packaged folder") {
  const PluginPath path = plugin_path({.plugin_path = "/a:relative:/b/:", .home = "/home/me", .program = "/opt/rechost/bin/rechost"});
  REQUIRE(path.size() == 6);
  CHECK(path[0] == "/a");
  CHECK(path[1] == "/b/");
  CHECK(path[2] == "/home/me/.local/lib/rechost/plugins");
  CHECK(path[3] == "/usr/local/lib/rechost/plugins");
  CHECK(path[4] == "/opt/rechost/lib/rechost/plugins");
  CHECK(path[5] == "/opt/rechost/lib/x86_64-linux-gnu/rechost/plugins");
}

TEST_CASE("no folder is searched twice, and without home there is none of the user's") {
  const PluginPath path = plugin_path({.plugin_path = "", .home = "", .program = "/usr/local/bin/rechost"});
  REQUIRE(path.size() == 2);
  CHECK(path[0] == "/usr/local/lib/rechost/plugins");
}

TEST_CASE("the first folder wins and what it shadows is listed") {
  const Folder folder;
  put(folder, "well_behaved", "first/z.so");
  put(folder, "well_behaved", "second/b.so");
  put(folder, "plain_c_plugin", "second/a.so");
  put(folder, "note_missing", "second/c.so");
  folder.write("second/readme.txt", "not looked at");
  put(folder, "plain_c_plugin", "second/deeper/d.so");
  const PluginPath path{folder.path() / "first", folder.path() / "nowhere", folder.path() / "second"};
  const std::vector<PluginFile> files = list_plugins(path);
  REQUIRE(files.size() == 4);
  CHECK(files[0].path.filename() == "z.so");
  CHECK(files[1].path.filename() == "a.so");
  CHECK(files[1].note.modules.size() == 2);
  CHECK(files[2].path.filename() == "b.so");
  REQUIRE(files[2].shadowed.size() == 1);
  CHECK(files[2].shadowed[0].id == "well_behaved");
  CHECK(files[2].shadowed[0].by == folder.path() / "first" / "z.so");
  CHECK(files[3].problem.find("has no note") != std::string::npos);
  CHECK(load_module(ModuleKind::kModel, "well_behaved", path).file() == folder.path() / "first" / "z.so");
}

TEST_CASE("an unusable file does not hide a usable one behind it") {
  const Folder folder;
  const auto bad = put(folder, "well_behaved", "first/well_behaved.so");
  chmod(bad.c_str(), 0666);
  put(folder, "well_behaved", "second/well_behaved.so");
  const Module module = load_module(ModuleKind::kModel, "well_behaved", {folder.path() / "first", folder.path() / "second"});
  CHECK(module.file() == folder.path() / "second" / "well_behaved.so");
}

TEST_CASE("an id that is not there is an error with the nearest one and the folders") {
  const Folder folder;
  put(folder, "plain_c_plugin", "plain.so");
  const auto bad = put(folder, "well_behaved", "well_behaved.so");
  chmod(bad.c_str(), 0666);
  const PluginPath path{folder.path()};
  const std::string looked = "; looked in " + folder.path().string();
  const auto problem = [&](ModuleKind kind, const std::string& id) {
    try {
      load_module(kind, id, path);
    } catch (const PluginError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(problem(ModuleKind::kModel, "plainc") == "there is no model plugin \"plainc\" (did you mean \"plain_c\"?)" + looked);
  CHECK(problem(ModuleKind::kDataset, "criteo") == "there is no dataset plugin \"criteo\"" + looked);
  CHECK(problem(ModuleKind::kModel, "well_behaved") == "there is no model plugin \"well_behaved\"" + looked + "; plugin " + bad.string() +
                                                           ": others may write to it (mode 0666); run: chmod go-w " + bad.string());
}

TEST_CASE("a name with a slash is a file") {
  const std::string file = plugin_file("plain_c_plugin").string();
  CHECK(load_module(ModuleKind::kModel, file, {}).id() == "plain_c");
  CHECK(load_module(ModuleKind::kDataset, file, {}).kind() == ModuleKind::kDataset);
  CHECK(load_module(ModuleKind::kModel, file + ":plain_c", {}).id() == "plain_c");
  const auto problem = [&](ModuleKind kind, const std::string& name) {
    return complaint<PluginError>(plugin_folder(), [&] { load_module(kind, name, {}); });
  };
  CHECK(problem(ModuleKind::kModel, file + ":other") == "plugin plain_c_plugin.so: has no model \"other\"; it has \"plain_c\"");
  CHECK(problem(ModuleKind::kDataset, plugin_file("well_behaved").string()) == "plugin well_behaved.so: has no dataset");
  CHECK(problem(ModuleKind::kModel, plugin_file("nowhere").string()) == "plugin nowhere.so: there is no such file");
}

TEST_CASE("a LibTorch of another version, or none, is named before loading") {
  // A stand-in for a torch plugin: the loader's view of it is a DT_NEEDED entry and a search path, which the linker writes.
  const Folder folder;
  const std::string library = (folder.path() / "torch/lib/libtorch_cpu.so").string();
  std::filesystem::create_directories(folder.path() / "torch/lib");
  folder.write("torch/include/torch/headeronly/version.h",
               "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n");
  folder.write("empty.c", "void rechost_test_symbol(void) {}\n");
  folder.write(
      "user.c",
      "__asm__(\".pushsection .note.rechost,\\\"a\\\",@note\\n.balign 4\\n.long 8\\n.long 2f-1f\\n.long 1\\n.asciz \\\"rechost\\\"\\n"
      "1: .ascii \\\"{\\\\\\\"sdk_major\\\\\\\":1,\\\\\\\"sdk_minor_needed\\\\\\\":0,\\\\\\\"name\\\\\\\":\\\\\\\"t\\\\\\\","
      "\\\\\\\"version\\\\\\\":\\\\\\\"1\\\\\\\",\\\\\\\"modules\\\\\\\":[{\\\\\\\"kind\\\\\\\":\\\\\\\"model\\\\\\\",\\\\\\\"id\\\\\\\":"
      "\\\\\\\"t\\\\\\\"}],\\\\\\\"torch\\\\\\\":{\\\\\\\"version\\\\\\\":\\\\\\\"2.9.1+cpu\\\\\\\"}}\\\"\\n2: .balign "
      "4\\n.popsection\\n\");\n"
      "void rechost_test_symbol(void);\nvoid user(void) { rechost_test_symbol(); }\n");
  const std::string at = folder.path().string() + "/";
  const std::string command = "cc -shared -fPIC " + at + "empty.c -o " + library + " && cc -shared -fPIC " + at + "user.c -o " + at +
                              "user.so -L" + at + "torch/lib -ltorch_cpu -Wl,-rpath,'$ORIGIN/torch/lib' && chmod 755 " + at + "user.so";
  REQUIRE(std::system(command.c_str()) == 0);
  const auto problem = [&] { return complaint<PluginError>(folder.path(), [&] { check_plugin_file(folder.path() / "user.so"); }); };
  CHECK(problem() ==
        "plugin user.so: compiled against LibTorch 2.9.1+cpu, but torch/lib/libtorch_cpu.so is LibTorch 2.11.0; install "
        "2.9.1+cpu or build the plugin again");
  folder.write("torch/include/torch/headeronly/version.h",
               "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 9\n#define TORCH_VERSION_PATCH 1\n");
  CHECK(problem() == "");
  std::filesystem::remove_all(folder.path() / "torch/include");
  folder.write("torch/version.py", "__version__ = '2.10.0+cu128'\n");
  CHECK(problem().find("is LibTorch 2.10.0;") != std::string::npos);
  std::filesystem::remove(library);
  CHECK(problem() ==
        "plugin user.so: needs libtorch_cpu.so of LibTorch 2.9.1+cpu, which is not in torch/lib; install LibTorch 2.9.1+cpu "
        "there (rechost's own: packaging/libtorch)");
}

TEST_CASE("listing the plugins of the tests reads notes only and is quick") {
  const auto begin = std::chrono::steady_clock::now();
  const std::vector<PluginFile> files = list_plugins({plugin_folder()});
  const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
  CHECK(files.size() >= 25);
  // One file takes about 0.1 ms; the limit leaves room for a busy machine.
  CHECK(taken.count() < 500.0);
}

}  // namespace rechost::test
