#pragma once

#include <span>

#include "base/json.h"
#include "data/vocabulary.h"
#include "train/table_survey.h"

namespace rechost {

/// The tables of a run for its summary, one object each: what the survey saw of its rows, and what its encoder did with the training values: the
/// share that it does not know, and for hashes how many values meet in one row; for dynamic tables how many keys have a row, got and lost one, and the share of training ids whose key had none. What is not known is left out.
Json table_panel(const ModelRuntime& model, const Vocabularies& vocabularies, std::span<const TableFacts> tables);

/// Values hashed into `rows` rows of which `occupied` are not empty, by linear counting (Whang, Vander-Zanden, Taylor 1990); nothing when no row
/// is empty, which any larger number explains as well.
std::optional<double> estimated_values(std::int64_t rows, std::int64_t occupied);

}  // namespace rechost
