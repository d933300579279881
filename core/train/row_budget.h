#pragma once

#include "config/sections.h"
#include "data/schema.h"
#include "data/vocabulary.h"
#include "plugin/model_instance.h"

namespace rechost {

/// Dynamic tables whose features say memory_gib instead of max_rows: gives each as many rows as fit. What one takes the model tells by its dims: it is
/// declared once, before the data are read, with as few rows as tables can have. Counted are the rows of all tables of the model that read a key, with
/// optimizer state and padding, over all ranks, and what the key takes in one process. ConfigError where not even one row fits.
void settle_row_budgets(const Config& config, const Module& module, const ModuleOptions& options, EncodingPlan& plan);

/// ConfigError for tables that take more than their budget after all, as the dims of the model follow from their rows.
void check_row_budgets(const Config& config, const ModelSpec& spec, const BatchSchema& schema, const Vocabularies& vocabularies);

}  // namespace rechost
