#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/command.h"
#include "app/environment.h"
#include "app/error_text.h"
#include "app/last_word.h"
#include "base/error.h"
#include "base/log.h"
#include "base/nearest_name.h"
#include "base/version.h"

namespace {

using namespace rechost;
using namespace rechost::app;

void print_overview() {
  std::string text =
      "rechost trains and serves large recommender models.\n\n"
      "Examples:\n"
      "  rechost run --plugin dlrm                     train a DLRM on synthetic clicks, nothing else needed\n"
      "  rechost run --config configs/dlrm_criteo.toml train on a Criteo-form file\n"
      "  rechost plugins list                          what can be trained and read here\n\n"
      "Commands:\n";
  for (const Command& command : commands()) {
    const std::string name = command.noun.empty() ? std::string(command.verb) : fmt::format("{} {}", command.verb, command.noun);
    text += fmt::format("  {:<22} {}\n", name, command.summary);
  }
  text += "\nrechost COMMAND --help says more. Exit codes: 0 done, 1 failed, 2 usage, 75 stopped with a checkpoint, 76 peer lost, 78 bad config.\n";
  print(text);
}

int dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h" || arguments[0] == "help") {
    print_overview();
    return arguments.empty() ? kUsage : kDone;
  }
  if (arguments[0] == "--version") {
    print(fmt::format("rechost {}\n", version()));
    return kDone;
  }
  std::vector<std::string> verbs;
  std::vector<std::string> nouns;
  for (const Command& command : commands()) {
    if (std::find(verbs.begin(), verbs.end(), command.verb) == verbs.end()) verbs.emplace_back(command.verb);
    if (command.verb == arguments[0] && !command.noun.empty()) nouns.emplace_back(command.noun);
  }
  if (std::find(verbs.begin(), verbs.end(), arguments[0]) == verbs.end()) {
    throw UsageError(fmt::format("there is no command \"{}\"{}; rechost --help lists them", arguments[0], suggestion(arguments[0], verbs)));
  }
  const std::span<const std::string> rest(arguments);
  if (nouns.empty()) return find_command(arguments[0], "").run(rest.subspan(1));
  if (arguments.size() < 2 || std::find(nouns.begin(), nouns.end(), arguments[1]) == nouns.end()) {
    const std::string given = arguments.size() < 2 ? "" : arguments[1];
    if (given == "--help" || given == "-h") {
      for (const Command& command : commands()) {
        if (command.verb == arguments[0]) print(fmt::format("rechost {} {:<10} {}\n", command.verb, command.noun, command.summary));
      }
      return kDone;
    }
    throw UsageError(fmt::format("rechost {} needs one of: {}{}", arguments[0], fmt::join(nouns, ", "), suggestion(given, nouns)));
  }
  return find_command(arguments[0], arguments[1]).run(rest.subspan(2));
}

/// What was printed must have arrived before the program says that it is done.
int printed(int code) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) fail("cannot write standard output: is the disk full?");
  return code;
}

int say(int code, const std::string& message) {
  write_log(LogLevel::kError, message);
  leave_word(code == kPeerLost ? LastWord::kOfAnother : LastWord::kOwn, message);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  try {
    return printed(dispatch(std::vector<std::string>(argv + 1, argv + argc)));
  } catch (const UsageError& error) {
    return say(kUsage, error.what());
  } catch (const rechost::ConfigError& error) {
    return say(kBadConfig, error.what());
  } catch (const rechost::CommError& error) {
    return say(kPeerLost, error.what());
  } catch (const std::exception& error) {
    return say(kFailed, error_text(error));
  }
}
