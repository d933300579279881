#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/batch.h"
#include "plugin/model_instance.h"
#include "rechost/model.h"

namespace rechost {

/// The host's side of declare: shows the plugin what the data offers and takes down what the model wants, checking every word.
/// The builder's callbacks lead here, so the object must stay where it is.
class ModelDeclaration {
 public:
  ModelDeclaration(const BatchSchema& schema, std::span<const std::int64_t> table_rows);
  ModelDeclaration(const ModelDeclaration&) = delete;  // the ABI's tables point into it
  ModelDeclaration& operator=(const ModelDeclaration&) = delete;

  const rh_data_schema* schema() const { return &abi_schema_; }
  const rh_spec_builder* builder() const { return &builder_; }

  /// The first thing that was wrong, whether or not the plugin passed the error on; "" when all was well.
  const std::string& problem() const { return problem_; }

  /// Ends the declaration (later calls of the builder are errors), checks the whole and lays out the blocks. Throws PluginError, without a
  /// label.
  ModelSpec finish();

 private:
  void add_dense_features(std::uint32_t group, std::span<const rh_string> names);
  void add_table(const rh_table_spec& table);
  void add_embedding(const rh_embedding_spec& embedding);
  void add_parameter(const rh_parameter_spec& parameter, bool is_buffer);
  void add_head(const rh_head_spec& head);
  void request_negatives(const rh_negatives_spec& negatives);
  void request_entity_index(std::string_view entity);

  std::optional<std::uint32_t> read_label(const rh_head_spec& head, const std::string& name);
  void check_entity(std::string_view entity, std::string_view function) const;
  void check_negatives() const;
  void lay_out_blocks();

  /// The declaration behind a builder; runs `body` on it and turns what it throws into an error for the plugin.
  template <typename Body>
  static rh_error* record(const rh_spec_builder* builder, Body&& body);

  const BatchSchema schema_;  // a copy: the plugin is shown names in it and might keep them
  std::vector<std::string> dense_names_;
  std::vector<std::string> sparse_names_;
  std::vector<std::string> label_names_;
  std::vector<rh_feature> features_;
  std::vector<rh_label> labels_;
  std::vector<std::int64_t> table_rows_;
  rh_data_schema abi_schema_{};
  rh_spec_builder builder_{};
  ModelSpec spec_;
  std::string problem_;
  bool open_ = true;
};

}  // namespace rechost
