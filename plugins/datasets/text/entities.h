// Whose columns are, from the options user_columns, item_columns, user_key and item_key, which loaders of tables share.
#ifndef RECHOST_TEXT_ENTITIES_H
#define RECHOST_TEXT_ENTITIES_H

#include <string>
#include <vector>

#include "rechost/cxx/dataset.hpp"

namespace text {

// Those four options.
std::vector<rechost::Option> entity_options();

// The column of that name. Throws ConfigError with the option that named it when it is not among those that are read.
rechost::Column& find_column(std::vector<rechost::Column>& columns, const std::string& name, const std::string& option);

// Sets entity and key of the columns that the options name. Throws ConfigError when one is not there, belongs to both, or is a key but no
// sparse column.
void describe_entities(const rechost::Config& config, std::vector<rechost::Column>& columns);

}  // namespace text

#endif  // RECHOST_TEXT_ENTITIES_H
