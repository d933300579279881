#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/program_options.hpp>

namespace rechost::app {

/// What the process ends with (conventions: the command line).
enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 2,
  kStopped = 75,   ///< stopped early with a checkpoint written: run me again
  kPeerLost = 76,  ///< run me again
  kBadConfig = 78,
};

/// A wrong command line. Exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One verb of the program, or one noun of a verb ("plugins list").
struct Command {
  std::string_view verb;
  std::string_view noun;     ///< empty for verbs without nouns
  std::string_view summary;  ///< one line
  std::string_view usage;    ///< what follows the name
  std::string_view examples; ///< lines, first thing in --help
  int (*run)(std::span<const std::string> arguments);
};

/// All commands, in the order of the help.
std::span<const Command> commands();

/// Parses the arguments of `command`. --help is understood everywhere: prints examples, usage and options to stdout and returns false.
/// Throws UsageError with the nearest option for an unknown one.
bool parse_arguments(const Command& command, std::span<const std::string> arguments,
                     const boost::program_options::options_description& visible,
                     const boost::program_options::positional_options_description& positional,
                     boost::program_options::variables_map& values);

/// The registered entry of a verb and noun.
const Command& find_command(std::string_view verb, std::string_view noun);

/// Adds --output text|json, checked.
void add_output_option(boost::program_options::options_description& options);
bool wants_json(const boost::program_options::variables_map& values);

/// Writes to stdout: data. Everything else goes to stderr through the log.
void print(std::string_view text);

}  // namespace rechost::app
