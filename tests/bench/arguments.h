#pragma once

#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <string_view>

#include <boost/program_options.hpp>
#include <fmt/format.h>

namespace rechost::bench {

/// What every bench is told.
struct Arguments {
  bool quick = false;
  bool peers = false;
  std::string only;
  std::string_view no_peer = {};  ///< said where --peers is asked for in vain; empty: there are some

  bool wants(std::string_view name) const { return name.find(only) != std::string_view::npos; }
};

/// The whole main() of a bench: reads `arguments` and what `more` names, then calls `body`. `description`: for --help, behind the options.
/// Returns 2 when the command line is wrong, 1 when `body` throws; one line on standard error says why.
inline int run_bench(int argc, char** argv, Arguments& arguments, std::string_view description, const std::function<void()>& body,
                     const boost::program_options::options_description& more = {}) {
  namespace options = boost::program_options;
  const std::string name = std::filesystem::path(argv[0]).filename();
  options::options_description all;
  all.add_options()("help", "this text")("quick", options::bool_switch(&arguments.quick), "few repetitions of small cases: a smoke test, not a measurement")(
      "peers", options::bool_switch(&arguments.peers), "what others make of the same, in turns with ours; a bench without any says so")(
      "only", options::value(&arguments.only)->value_name("TEXT"), "only cases whose name holds TEXT");
  all.add(more);
  try {
    options::variables_map given;
    options::store(options::command_line_parser(argc, argv).options(all).positional({}).run(), given);
    options::notify(given);
    if (given.contains("help")) {
      std::ostringstream listed;
      listed << all;
      fmt::print("usage: {} [options]\n{}\n{}\n", name, listed.str(), description);
      return 0;
    }
  } catch (const options::error& error) {
    fmt::print(stderr, "{}: {}; see --help\n", name, error.what());
    return 2;
  }
  if (arguments.peers && !arguments.no_peer.empty()) fmt::print(stderr, "{}: {}\n", name, arguments.no_peer);
  try {
    body();
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 1;
  }
  return 0;
}

}  // namespace rechost::bench
