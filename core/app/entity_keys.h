#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "data/catalogue.h"

namespace rechost::app {

/// Original ids of users and items. ConfigError when the keys are hashed: the ids are then gone.

/// By entry. [catalogue.size()]
std::vector<std::string> keys_of(const Catalogue& catalogue, const Vocabularies& vocabularies);

/// The entry of each id.
std::unordered_map<std::string, std::int32_t> entries_by_key(const Catalogue& catalogue, const Vocabularies& vocabularies);

}  // namespace rechost::app
