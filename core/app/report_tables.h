#pragma once

#include <string>
#include <vector>

#include "base/json.h"

namespace rechost::app {

/// The tables panel of a run's summary as a card; empty when there is none.
std::string tables_html(const Json& summary);

/// What sentinels found, from the events of a run: a line each.
std::string findings_html(const std::vector<Json>& events);

}  // namespace rechost::app
