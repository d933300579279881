#include "base/error.h"
#include "base/json.h"
#include "data/mosaic_order.h"

namespace rechost {
namespace {

std::int64_t number_of(const Json& state, const char* key, std::int64_t least, const std::string& source) {
  if (!state.contains(key) || !state.at(key).is_number_integer() || state.at(key).get<std::int64_t>() < least) {
    fail<DataError>("{}: \"{}\" is to be an integer of at least {}: this is no state dict of StreamingDataLoader", source, key, least);
  }
  return state.at(key).get<std::int64_t>();
}

}  // namespace

MosaicState parse_mosaic_state(const std::string& json, const std::string& source) {
  Json state;
  try {
    state = parse_json(json, source);
  } catch (const Error& error) {
    throw DataError(error.what());
  }
  if (!state.is_object()) fail<DataError>("{}: a JSON object is expected, the state dict of StreamingDataLoader", source);
  MosaicState result;
  result.epoch = number_of(state, "epoch", 0, source);
  result.sample_in_epoch = number_of(state, "sample_in_epoch", 0, source);
  result.num_canonical_nodes = number_of(state, "num_canonical_nodes", 1, source);
  result.shuffle_seed = number_of(state, "shuffle_seed", 0, source);
  if (state.contains("initial_physical_nodes") && !state.at("initial_physical_nodes").is_null()) {
    result.initial_physical_nodes = number_of(state, "initial_physical_nodes", 1, source);
  }
  return result;
}

std::string mosaic_state_json(const MosaicState& state) {
  Json json = Json::object();
  json["epoch"] = state.epoch;
  json["sample_in_epoch"] = state.sample_in_epoch;
  json["num_canonical_nodes"] = state.num_canonical_nodes;
  json["shuffle_seed"] = state.shuffle_seed;
  json["initial_physical_nodes"] = state.initial_physical_nodes ? Json(*state.initial_physical_nodes) : Json(nullptr);
  return json_document(json);
}

}  // namespace rechost
