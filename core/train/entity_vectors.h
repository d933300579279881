#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "data/catalogue.h"
#include "train/model_runtime.h"

namespace rechost {

/// What a tower makes of every entry of a catalogue: [catalogue.size(), spec().heads[head].size], in the order of the entries. `head` is an
/// embedding head for the catalogue's entity. Computes `rows_at_once` entries in one pass. The thread that uses the model.
std::vector<float> entity_vectors(ModelRuntime& model, const Catalogue& catalogue, std::size_t head, std::int64_t rows_at_once);

}  // namespace rechost
