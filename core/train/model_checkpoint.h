#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "config/sections.h"
#include "data/vocabulary.h"
#include "train/checkpoint_reader.h"
#include "train/checkpoint_writer.h"
#include "train/model_runtime.h"
#include "train/run_data.h"

namespace rechost {

/// What a checkpoint says beside the weights.
struct CheckpointFacts {
  CheckpointPosition position;
  Json state = Json::object();          ///< the trainer's
  std::string config_text;              ///< resolved TOML; kept in the checkpoint as config.toml
  std::vector<PluginIdentity> plugins;
  std::string data_fingerprint;
  std::vector<LabelInfo> labels;
  DataProfile profile;
  std::string mosaic_state;              ///< kept in the checkpoint as mosaic_state.json; empty: no such file
  std::int64_t keep = 2;
  std::vector<std::int64_t> keep_steps;  ///< those of these steps are never pruned
  std::filesystem::path earlier;         ///< a checkpoint with the same vocabularies; empty: none is known
};

/// Writes tables, dense parameters, optimizer state, vocabularies and the configuration: all that the model needs to be used or trained on.
/// Vocabularies are written once: files of `facts.earlier` are linked. Returns the checkpoint's directory. All ranks together, over a file system that they share: each writes the rows that it holds.
std::filesystem::path save_model_checkpoint(const std::filesystem::path& checkpoints, ModelRuntime& model,
                                            const Vocabularies& vocabularies, const CheckpointFacts& facts);

/// Fills the dense parameters and the rows that this rank holds, however many ranks wrote them. Throws CheckpointError where names or shapes differ, naming both sides.
void load_model_checkpoint(const CheckpointReader& checkpoint, ModelRuntime& model, bool with_optimizer_state);

/// The vocabularies and labels that lie in a checkpoint.
LearntData load_learnt_data(const CheckpointReader& checkpoint);

/// The part of a configuration that must not change between a run and its continuation, as text: what decides the numbers.
std::string training_identity(const Config& config);

}  // namespace rechost
