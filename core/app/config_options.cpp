#include "app/config_options.h"

#include <optional>
#include <string>
#include <vector>

#include "app/command.h"

namespace rechost::app {

namespace options = boost::program_options;

void add_config_options(options::options_description& visible) {
  visible.add_options()("plugin,p", options::value<std::string>(), "model: its example configuration")(
      "config,c", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "configuration file; may be repeated")(
      "set,s", options::value<std::vector<std::string>>()->default_value({}, "")->composing(), "key=value over everything else");
}

Setup setup_from(const options::variables_map& values, int local_processes) {
  std::optional<std::string> plugin;
  if (values.count("plugin") != 0) plugin = values["plugin"].as<std::string>();
  auto files = values["config"].as<std::vector<std::string>>();
  if (files.empty() && !plugin) throw UsageError("say which configuration: --plugin NAME or --config FILE");
  return load_setup(requested_config(plugin, std::move(files), values["set"].as<std::vector<std::string>>()), local_processes);
}

}  // namespace rechost::app
