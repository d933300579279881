#include "entities.h"

namespace text {

using rechost::Column;
using rechost::ConfigError;

std::vector<rechost::Option> entity_options() {
  return {
      rechost::option_string_list("user_columns", {}, "columns that describe the user"),
      rechost::option_string_list("item_columns", {}, "columns that describe the item"),
      rechost::option_string("user_key", "", "the sparse column that identifies the user"),
      rechost::option_string("item_key", "", "the sparse column that identifies the item"),
  };
}

Column& find_column(std::vector<Column>& columns, const std::string& name, const std::string& option) {
  for (Column& column : columns)
    if (column.name == name) return column;
  throw ConfigError("option " + option + ": column '" + name + "' is not among the columns that are read (label, dense, sparse, ...)");
}

void describe_entities(const rechost::Config& config, std::vector<Column>& columns) {
  for (const char* entity : {"user", "item"}) {
    const std::string list_option = entity + std::string("_columns"), key_option = entity + std::string("_key");
    for (const std::string& name : config.get_string_list(list_option)) {
      Column& column = find_column(columns, name, list_option);
      if (!column.entity.empty())
        throw ConfigError("option " + list_option + ": column '" + name + "' is already one of the " + column.entity + "'s");
      column.entity = entity;
    }
    const std::string& key = config.get_string(key_option);
    if (key.empty()) continue;
    Column& column = find_column(columns, key, key_option);
    if (column.role != rechost::Role::kSparse || column.list)
      throw ConfigError("option " + key_option + ": column '" + key + "' must be one of sparse");
    if (!column.entity.empty() && column.entity != entity)
      throw ConfigError("option " + key_option + ": column '" + key + "' is one of the " + column.entity + "'s");
    column.entity = entity;
    column.key = true;
  }
}

}  // namespace text
