// Every message about a wrong configuration, word for word: users search for them and scripts read them.
#include <catch2/catch.hpp>

#include "config/parse.h"
#include "fixture.h"

namespace rechost::test {
namespace {

struct Case {
  const char* text;     // of the file a.toml
  const char* message;  // all of it
};

std::string load_error(const Case& one) {
  const Folder folder;
  const auto file = folder.write("a.toml", one.text);
  return complaint(folder, [&] { load_config({.files = {file}, .environment = {}, .settings = {}, .lookup = {}}); });
}

std::string setting_error(const std::string& setting) {
  const Folder folder;
  return complaint(folder, [&] { load_config({.files = {}, .environment = {}, .settings = {setting}, .lookup = {}}); });
}

std::string variable_error(const std::string& name, const std::string& value) {
  const Folder folder;
  return complaint(folder, [&] { load_config({.files = {}, .environment = {{name, value}}, .settings = {}, .lookup = {}}); });
}

}  // namespace

TEST_CASE("an unknown name is an error with file, line and the nearest name") {
  const Case cases[] = {
      {"[run]\nsede = 1\n", "a.toml:2: unknown key run.sede (did you mean \"seed\"?)"},
      {"\n\n[runn]\nseed = 1\n", "a.toml:3: unknown section [runn] (did you mean \"run\"?)"},
      {"[optimiser.dense]\nlr = 1\n", "a.toml:1: unknown section [optimiser] (did you mean \"optimizer\"?)"},
      {"[optimizer.spars]\nlr = 1\n", "a.toml:1: unknown key optimizer.spars (did you mean \"sparse\"?)"},
      {"[optimizer.dense]\nlearning_rate = 1\n", "a.toml:2: unknown key optimizer.dense.learning_rate"},
      {"seed = 3\n", "a.toml:1: unknown key seed outside of a section (did you mean \"run.seed\"?)"},
      {"sections = 3\n", "a.toml:1: unknown key sections outside of a section"},
      {"evl = 3\n", "a.toml:1: unknown key evl outside of a section (did you mean \"eval\"?)"},
      {"[data.split]\nvalidation = 0.1\n", "a.toml:2: unknown key data.split.validation"},
      {"[data.split]\nvali = 0.1\n", "a.toml:2: unknown key data.split.vali (did you mean \"valid\"?)"},
      {"[eval.retrieval]\nkk = [1]\n", "a.toml:2: unknown key eval.retrieval.kk (did you mean \"k\"?)"},
      {"[checkpoint]\n\"keep \" = 1\n", "a.toml:2: unknown key checkpoint.\"keep \" (did you mean \"keep\"?)"},
      {"[features.\"c*\"]\nknd = \"dense\"\n", "a.toml:2: unknown key features.\"c*\".knd (did you mean \"kind\"?)"},
      {"[tables.user]\ndimension = 3\n", "a.toml:2: unknown key tables.user.dimension"},
      {"[schedule]\nwarmup_step = 5\n", "a.toml:2: unknown key schedule.warmup_step (did you mean \"warmup_steps\"?)"},
  };
  for (const Case& one : cases) {
    INFO(one.text);
    CHECK(load_error(one) == one.message);
  }
}

TEST_CASE("a value of the wrong type is an error that shows what was expected and what was found") {
  const Case cases[] = {
      {"[run]\nseed = \"abc\"\n", "a.toml:2: run.seed: expected an integer, got \"abc\" (a string)"},
      {"[run]\nseed = 1.5\n", "a.toml:2: run.seed: expected an integer, got 1.5 (a number)"},
      {"[run]\nseed = true\n", "a.toml:2: run.seed: expected an integer, got true (true or false)"},
      {"[run]\ndeterministic = 1\n", "a.toml:2: run.deterministic: expected true or false, got 1 (an integer)"},
      {"[run]\nname = 7\n", "a.toml:2: run.name: expected a string, got 7 (an integer)"},
      {"[run]\nname = [\"a\"]\n", "a.toml:2: run.name: expected a string, got a list"},
      {"[run.seed]\nx = 1\n", "a.toml:1: run.seed: expected an integer, got a table"},
      {"[optimizer.dense]\nlr = \"0.1\"\n", "a.toml:2: optimizer.dense.lr: expected a number, got \"0.1\" (a string)"},
      {"[eval.retrieval]\nk = 10\n", "a.toml:2: eval.retrieval.k: expected a list of integers such as [10, 20], got 10"},
      {"[eval.retrieval]\nk = [10, 2.5]\n", "a.toml:2: eval.retrieval.k: expected a list of integers such as [10, 20], got [10, 2.5]"},
      {"run = 3\n", "a.toml:1: run is a section [run] with keys, got 3 (an integer)"},
      {"[data]\nsplit = \"train\"\n", "a.toml:2: data.split is a section [data.split] with keys, got \"train\" (a string)"},
      {"features = \"all\"\n", "a.toml:1: features is a section [features] with keys, got \"all\" (a string)"},
      {"[features]\nc1 = \"dense\"\n", "a.toml:2: features.c1 is a section [features.c1] with keys, got \"dense\" (a string)"},
      {"[run]\nname = 1979-05-27\n", "a.toml:2: dates and times are not used in configurations; put it in quotes"},
  };
  for (const Case& one : cases) {
    INFO(one.text);
    CHECK(load_error(one) == one.message);
  }
}

TEST_CASE("a value out of its range or not among its choices is an error that names both") {
  const Case cases[] = {
      {"[run]\nseed = -1\n", "a.toml:2: run.seed: -1 is less than 0"},
      {"[data]\nbatch_size = 0\n", "a.toml:2: data.batch_size: 0 is less than 1"},
      {"[data]\nprefetch = 65\n", "a.toml:2: data.prefetch: 65 is not between 1 and 64"},
      {"[data.split]\nvalid = 1\n", "a.toml:2: data.split.valid: 1 is not between 0 and 0.9"},
      {"[data.split]\nvalid = nan\n", "a.toml:2: data.split.valid: nan is not between 0 and 0.9"},
      {"[optimizer.sparse]\nlr = nan\n", "a.toml:2: optimizer.sparse.lr: nan is less than 0"},
      {"[optimizer.sparse]\nbeta1 = 1.5\n", "a.toml:2: optimizer.sparse.beta1: 1.5 is not between 0 and 1"},
      {"[run]\ndevice = \"gpu\"\n", "a.toml:2: run.device: \"gpu\" is not one of \"auto\", \"cpu\", \"cuda\""},
      {"[run]\nprecision = \"half\"\n", "a.toml:2: run.precision: \"half\" is not one of \"fp32\", \"bf16\", \"bf16_emulated\""},
      {"[features.a]\npooling = \"max\"\n", "a.toml:2: features.a.pooling: \"max\" is not one of \"sum\", \"mean\", \"none\""},
      {"[tables.\"u.*\"]\nlr = -0.5\n", "a.toml:2: tables.\"u.*\".lr: -0.5 is less than 0"},
  };
  for (const Case& one : cases) {
    INFO(one.text);
    CHECK(load_error(one) == one.message);
  }
}

TEST_CASE("what cannot be read at all is an error with the place") {
  CHECK(load_error({"[run\n", ""}).substr(0, 11) == "a.toml:1:5:");
  CHECK(load_error({"[run]\nseed = 1\nseed = 2\n", ""}).substr(0, 9) == "a.toml:3:");
  const Case cases[] = {
      {"include = \"b.toml\"\n", "a.toml:1: include: expected a list of file names such as [\"base.toml\"], got \"b.toml\""},
      {"include = [1]\n", "a.toml:1: include: expected a list of file names such as [\"base.toml\"], got [1]"},
      {"include = [\"b.toml\"]\n", "a.toml:1: cannot read the configuration file b.toml: there is no such file"},
      {"\ninclude = [\"a.toml\"]\n", "a.toml:2: include of a.toml goes round in a circle: a.toml -> a.toml"},
      {"[data]\npath = \"${NOWHERE}/x\"\n",
       "a.toml:2: data.path: the environment variable NOWHERE is not set; set it, or write the value itself"},
      {"[data]\nfiles = [\"a\", \"${NOWHERE}\"]\n",
       "a.toml:2: data.files[1]: the environment variable NOWHERE is not set; set it, or write the value itself"},
      {"[data]\npath = \"${}/x\"\n", "a.toml:2: data.path: \"${}/x\" has a ${ that is not a ${NAME}; write $${ where ${ itself is meant"},
      {"[data]\npath = \"${HOME/x\"\n",
       "a.toml:2: data.path: \"${HOME/x\" has a ${ that is not a ${NAME}; write $${ where ${ itself is meant"},
  };
  for (const Case& one : cases) {
    INFO(one.text);
    CHECK(load_error(one) == one.message);
  }
  const Folder folder;
  const auto missing = folder.path() / "missing.toml";
  CHECK(complaint(folder, [&] { load_document({.files = {missing}, .environment = {}, .settings = {}, .lookup = {}}); }) ==
        "cannot read the configuration file missing.toml: there is no such file");
  CHECK(complaint(folder, [&] {
          load_document({.files = {folder.path()}, .environment = {}, .settings = {}, .lookup = {}});
        }).find("not a readable file") != std::string::npos);
}

TEST_CASE("settings and environment name themselves instead of a file") {
  CHECK(setting_error("run.sede=1") == "--set: unknown key run.sede (did you mean \"seed\"?)");
  CHECK(setting_error("run.seed=x") == "--set: run.seed: expected an integer, got \"x\" (a string)");
  CHECK(setting_error("run.seed") == "--set run.seed: expected section.key=value, such as --set run.seed=7");
  CHECK(setting_error("run..seed=1") == "--set run..seed=1: expected section.key=value, such as --set run.seed=7");
  CHECK(setting_error("=1") == "--set =1: expected section.key=value, such as --set run.seed=7");
  CHECK(setting_error("data.path=${NO}") == "--set: data.path: the environment variable NO is not set; set it, or write the value itself");
  CHECK(variable_error("RECHOST_RUN__SEDE", "1") == "RECHOST_RUN__SEDE: unknown key run.sede (did you mean \"seed\"?)");
  CHECK(variable_error("RECHOST_RUN__SEED", "-4") == "RECHOST_RUN__SEED: run.seed: -4 is less than 0");
  CHECK(variable_error("RECHOST_RUN__", "1") == "RECHOST_RUN__: expected RECHOST_<SECTION>__<KEY>, such as RECHOST_RUN__SEED");
  CHECK(variable_error("RECHOST_RUNN__SEED", "1") == "RECHOST_RUNN__SEED: unknown section [runn] (did you mean \"run\"?)");
}

TEST_CASE("a pattern that matches no feature is an error with the nearest name") {
  const Folder folder;
  const auto file =
      folder.write("a.toml", "[features.\"c*\"]\nkind = \"sparse\"\n[features.price]\nkind = \"dense\"\n[tables.itm]\nlr = 1\n");
  const Config config = load_config({.files = {file}, .environment = {}, .settings = {}, .lookup = {}});
  const std::vector<std::string> names{"c1", "c2", "prices"};
  const std::vector<std::string> tables{"item"};
  CHECK(complaint(folder, [&] { check_patterns(config, names, tables); }) ==
        "a.toml:3: [features.price] matches no feature of this run (did you mean \"prices\"?)");
  const std::vector<std::string> right{"c1", "price"};
  CHECK(complaint(folder, [&] { check_patterns(config, right, tables); }) ==
        "a.toml:5: [tables.itm] matches no table of this run (did you mean \"item\"?)");
  const std::vector<std::string> right_tables{"itm"};
  CHECK(complaint(folder, [&] { check_patterns(config, right, right_tables); }) == "");
}

}  // namespace rechost::test
