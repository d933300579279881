#pragma once

#include <boost/program_options.hpp>

#include "app/setup.h"

namespace rechost::app {

/// --plugin, --config and --set, of verbs that look at a configuration.
void add_config_options(boost::program_options::options_description& visible);

/// What they say. Throws UsageError when they say nothing. `local_processes` as for load_setup().
Setup setup_from(const boost::program_options::variables_map& values, int local_processes = 1);

}  // namespace rechost::app
