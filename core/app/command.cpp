#include "app/command.h"

#include <algorithm>
#include <cstdio>
#include <sstream>

#include <fmt/format.h>

#include "base/nearest_name.h"

namespace rechost::app {

namespace options = boost::program_options;

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

const Command& find_command(std::string_view verb, std::string_view noun) {
  const auto all = commands();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Command& command) { return command.verb == verb && command.noun == noun; });
  if (found == all.end()) throw UsageError(fmt::format("there is no command {} {}", verb, noun));
  return *found;
}

namespace {

void print_help(const Command& command, const options::options_description& visible) {
  std::ostringstream listed;
  listed << visible;
  const std::string name = command.noun.empty() ? std::string(command.verb) : fmt::format("{} {}", command.verb, command.noun);
  print(fmt::format("{}\n\nExamples:\n{}\nUsage: rechost {} {}\n\n{}", command.summary, command.examples, name, command.usage, listed.str()));
}

}  // namespace

bool parse_arguments(const Command& command, std::span<const std::string> arguments, const options::options_description& visible,
                     const options::positional_options_description& positional, options::variables_map& values) {
  options::options_description all = visible;
  if (visible.find_nothrow("help", false) == nullptr) all.add_options()("help,h", "this text");
  try {
    const std::vector<std::string> list(arguments.begin(), arguments.end());
    options::store(options::command_line_parser(list)
                       .options(all)
                       .positional(positional)
                       .style(options::command_line_style::unix_style & ~options::command_line_style::allow_guessing)
                       .run(),
                   values);
    if (values.count("help") != 0) {
      print_help(command, all);
      return false;
    }
    options::notify(values);
  } catch (const options::unknown_option& error) {
    std::vector<std::string> names;
    for (const auto& option : all.options()) {
      if (!option->long_name().empty()) names.push_back("--" + option->long_name());
    }
    throw UsageError(fmt::format("unknown option {}{}", error.get_option_name(), suggestion(error.get_option_name(), names)));
  } catch (const options::too_many_positional_options_error&) {
    throw UsageError(fmt::format("too many arguments; usage: rechost {} {} {}", command.verb, command.noun, command.usage));
  } catch (const options::error& error) {
    throw UsageError(error.what());
  }
  return true;
}

void add_output_option(options::options_description& description) {
  description.add_options()("output", options::value<std::string>()->default_value("text"), "text or json");
}

bool wants_json(const options::variables_map& values) {
  const std::string& form = values["output"].as<std::string>();
  if (form != "text" && form != "json") throw UsageError(fmt::format("--output is text or json, not {}", form));
  return form == "json";
}

}  // namespace rechost::app
