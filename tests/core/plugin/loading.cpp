// Files that are no plugins, or bad ones: each refused with its exact words, most before a single instruction of theirs has run.
#include <elf.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "fixture.h"
#include "plugin/search.h"

namespace rechost::test {
namespace {

std::string load_complaint(const std::filesystem::path& file) {
  return complaint<PluginError>(file.parent_path(), [&] { load_plugin(file); });
}

}  // namespace

TEST_CASE("a plugin with nothing wrong loads") {
  const std::vector<Module> modules = load_plugin(plugin_file("well_behaved"));
  REQUIRE(modules.size() == 1);
  CHECK(modules[0].id() == "well_behaved");
  CHECK(modules[0].kind() == ModuleKind::kModel);
  CHECK(modules[0].plugin_version() == "1.0.0");
  CHECK(without(modules[0].label(), plugin_folder().string() + "/") == "model \"well_behaved\" (well_behaved.so)");
}

TEST_CASE("a plugin is loaded once however often it is asked for") {
  CHECK(load_plugin(plugin_file("plain_c_plugin")).size() == 2);
  CHECK(load_plugin(plugin_folder() / "." / "plain_c_plugin.so").size() == 2);
}

TEST_CASE("each broken plugin is refused with its exact words") {
  struct Case {
    const char* name;
    const char* message;
  };
  const Case cases[] = {
      {"note_wrong_major", "built for SDK 2, this rechost has SDK 1.0; get a plugin or a rechost that fits the other"},
      {"note_newer_minor", "needs SDK 1.99, this rechost has SDK 1.0; get a newer rechost"},
      {"note_missing", "has no note .note.rechost, so it is no plugin of rechost; build it with rechost_add_plugin of the SDK"},
      {"note_not_json", "its note is not JSON (wrong at byte 16)"},
      {"note_incomplete", "its note has no list \"modules\""},
      {"note_without_modules", "its note names neither a model nor a dataset"},
      {"note_broken_promise", "its note names the model \"promised\", its table does not"},
      {"entry_missing", "does not export rechost_plugin_v1; is RECHOST_PLUGIN, or the function, missing in its source?"},
      {"entry_silent", "rechost_plugin_v1 returned neither a plugin nor an error"},
      {"entry_fails", "this machine has no moon"},
      {"entry_throws", "rechost_plugin_v1 threw a C++ exception through the C interface: no fence here"},
      {"table_wrong_major", "rh_plugin.abi_major is 2, this rechost has 1"},
      {"table_newer_minor", "needs SDK 1.99, this rechost has SDK 1.0; get a newer rechost"},
      {"table_too_short", "rh_plugin: struct_size 16 ends before the field module_stride"},
      {"modules_null", "rh_plugin.modules is null"},
      {"modules_none", "rh_plugin.module_count is 0"},
      {"modules_small_stride", "rh_plugin.module_stride is 8, a module has at least 64 bytes"},
      {"modules_same_id", "has two model modules with the id \"modules_same_id\""},
  };
  for (const Case& one : cases) {
    INFO(one.name);
    CHECK(load_complaint(plugin_file(one.name)) == std::string("plugin ") + one.name + ".so: " + one.message);
  }
}

TEST_CASE("each broken module is refused with its exact words") {
  struct Case {
    const char* name;
    const char* message;
  };
  const Case cases[] = {
      {"interface_null", "has no interface rechost.model/1"},
      {"interface_too_short", "rechost.model/1: struct_size 40 ends before the field backward"},
      {"function_null", "rechost.model/1: the function backward is null"},
      {"option_unknown_type", "options[0] \"width\" has the unknown type 9"},
      {"option_same_name", "has two options \"width\""},
      {"option_wrong_default", "options[0] \"width\".default_value: expected an integer, got \"wide\" (a string)"},
      {"option_no_successor", "option \"width\" is replaced by \"size\", which does not exist"},
  };
  for (const Case& one : cases) {
    INFO(one.name);
    CHECK(load_complaint(plugin_file(one.name)) == std::string("model \"") + one.name + "\" (" + one.name + ".so): " + one.message);
  }
}

TEST_CASE("an option must not hide a key of the host") {
  const Module module = load_plugin(plugin_file("option_of_the_host")).front();
  CHECK(complaint<PluginError>(plugin_folder(), [&] { options_of(module); }) ==
        "model \"option_of_the_host\" (option_of_the_host.so): option \"plugin\" has the name of a key of the host's own in [model]");
}

TEST_CASE("a file that others may change is refused before it is looked at") {
  const Folder folder;
  const auto file = folder.write("open.so", bytes_of(plugin_file("well_behaved")));
  chmod(file.c_str(), 0664);
  CHECK(load_complaint(file) == "plugin open.so: others may write to it (mode 0664); run: chmod go-w open.so");
  chmod(file.c_str(), 0646);
  CHECK(load_complaint(file) == "plugin open.so: others may write to it (mode 0646); run: chmod go-w open.so");
  if (geteuid() == 0) {
    chmod(file.c_str(), 0644);
    REQUIRE(chown(file.c_str(), 12345, 12345) == 0);
    CHECK(load_complaint(file) ==
          "plugin open.so: belongs to user number 12345, neither to you nor to root; copy it to have one of your own");
  }
}

TEST_CASE("what is not a whole shared library for this machine is refused") {
  const Folder folder;
  const std::string good = bytes_of(plugin_file("well_behaved"));
  Elf64_Ehdr header;
  std::memcpy(&header, good.data(), sizeof(header));
  const auto changed = [&](const std::function<void(Elf64_Ehdr&)>& change) {
    Elf64_Ehdr copy = header;
    change(copy);
    std::string bytes = good;
    std::memcpy(bytes.data(), &copy, sizeof(copy));
    return folder.write("a.so", bytes);
  };

  CHECK(load_complaint(folder.path() / "missing.so") == "plugin missing.so: there is no such file");
  std::filesystem::create_directory(folder.path() / "folder.so");
  CHECK(load_complaint(folder.path() / "folder.so") == "plugin folder.so: not a file");
  CHECK(load_complaint(folder.write("a.so", "")) == "plugin a.so: not an ELF shared library");
  CHECK(load_complaint(folder.write("a.so", "#!/bin/sh\necho no\n")) == "plugin a.so: not an ELF shared library");
  CHECK(load_complaint(folder.write("a.so", good.substr(0, 20))) ==
        "plugin a.so: the file is cut off or damaged: its ELF header should end at byte 64, the file has 20");
  CHECK(load_complaint(changed([](Elf64_Ehdr& h) { h.e_machine = EM_AARCH64; })) ==
        "plugin a.so: built for AArch64; this program is x86-64");
  CHECK(load_complaint(changed([](Elf64_Ehdr& h) { h.e_ident[EI_CLASS] = ELFCLASS32; })) ==
        "plugin a.so: not a 64-bit little-endian library; this program is x86-64");
  CHECK(load_complaint(changed([](Elf64_Ehdr& h) { h.e_ident[EI_DATA] = ELFDATA2MSB; })) ==
        "plugin a.so: not a 64-bit little-endian library; this program is x86-64");
  CHECK(load_complaint(changed([](Elf64_Ehdr& h) { h.e_type = ET_EXEC; })) == "plugin a.so: an ELF file, but not a shared library");
  CHECK(load_complaint(changed([](Elf64_Ehdr& h) { h.e_phentsize = 8; })) ==
        "plugin a.so: the file is damaged: program headers of 8 bytes");
  CHECK(load_complaint(changed([](Elf64_Ehdr& h) { h.e_phoff = UINT64_MAX - 8; })).find("cut off or damaged: its table of segments") !=
        std::string::npos);
  CHECK(load_complaint(changed([](Elf64_Ehdr& h) { h.e_shoff = UINT64_MAX - 8; })).find("cut off or damaged: its table of sections") !=
        std::string::npos);
}

TEST_CASE("a library cut off anywhere is refused, and never read past its end") {
  const Folder folder;
  const std::string good = bytes_of(plugin_file("well_behaved"));
  for (std::size_t size = 0; size < good.size(); size += 1 + good.size() / 97) {
    INFO(size << " of " << good.size() << " bytes");
    CHECK_FALSE(complaint<PluginError>(folder.path(), [&] { check_plugin_file(folder.write("a.so", good.substr(0, size))); }).empty());
  }
}

TEST_CASE("a library with damaged bytes in its tables is refused or read, never crashed on") {
  const Folder folder;
  const std::string good = bytes_of(plugin_file("well_behaved"));
  // Headers, segments, notes and the dynamic section lie within the first pages and at known places; flip every byte of the former.
  for (std::size_t at = 4; at < 1024; ++at) {
    for (const char mask : {'\x01', '\x80', '\xFF'}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ mask);
      complaint<PluginError>(folder.path(), [&] { check_plugin_file(folder.write("a.so", bytes)); });
    }
  }
  SUCCEED();
}

TEST_CASE("the note and the needed libraries are read without loading") {
  const ElfFacts facts = read_elf(plugin_file("plain_c_plugin"));
  CHECK(facts.note.rfind("{\"sdk_major\":1", 0) == 0);
  // Which libraries depends on the build (sanitizers stand in for libc), that there are some does not.
  REQUIRE_FALSE(facts.needed.empty());
  for (const std::string& library : facts.needed) CHECK(library.find(".so") != std::string::npos);
  const PluginNote note = check_plugin_file(plugin_file("plain_c_plugin"));
  CHECK(note.name == "plain_c_plugin");
  REQUIRE(note.modules.size() == 2);
  CHECK(note.modules[1].kind == ModuleKind::kDataset);
  CHECK_FALSE(note.torch.has_value());
}

TEST_CASE("a note is checked word by word") {
  const auto problem = [](const std::string& json) { return complaint<PluginError>("x", [&] { parse_note(json, "a.so"); }); };
  CHECK(problem("[]") == "plugin a.so: its note is not a JSON object");
  CHECK(problem("{}") == "plugin a.so: its note has no number \"sdk_major\"");
  CHECK(problem("{\"sdk_major\":\"1\"}") == "plugin a.so: its note has no number \"sdk_major\"");
  CHECK(problem("{\"sdk_major\":1,\"sdk_minor_needed\":0,\"name\":1}") == "plugin a.so: its note has no string \"name\"");
  CHECK(problem("{\"sdk_major\":1,\"sdk_minor_needed\":0,\"name\":\"a\",\"version\":\"1\",\"modules\":[1]}") ==
        "plugin a.so: its note has a module that is not an object");
  CHECK(problem("{\"sdk_major\":1,\"sdk_minor_needed\":0,\"name\":\"a\",\"version\":\"1\",\"modules\":[{\"kind\":\"model\"}]}") ==
        "plugin a.so: its note has no string \"id\"");
  CHECK(problem("{\"sdk_major\":1,\"sdk_minor_needed\":0,\"name\":\"a\",\"version\":\"1\",\"modules\":[],\"torch\":{\"version\":2}}") ==
        "plugin a.so: its note has no string \"version\"");
  CHECK(problem("{\"sdk_major\":7}") == "");
}

}  // namespace rechost::test
