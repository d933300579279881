// A model that keeps what it was given in its last step: sequences in both groups, entity numbers, and as many negatives per sample as its
// option says.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "records_inputs.h"
#include "rechost/model.h"

struct rh_model {
  std::int64_t negatives = 0;
};

namespace {

const rh_host* host = nullptr;
RecordedInputs recorded;

rh_string text(std::string_view view) { return {view.data(), view.size()}; }

rh_error* create(const rh_host*, const rh_config* config, rh_model** model) {
  *model = new rh_model{config->values->integer};
  return nullptr;
}

rh_error* add_sequence(const rh_spec_builder* builder, std::uint32_t group, std::string_view feature) {
  const rh_embedding_spec spec{sizeof(rh_embedding_spec), group, text(feature), 0, RH_POOLING_NONE};
  return builder->add_embedding(builder, &spec, nullptr);
}

rh_error* add_head(const rh_spec_builder* builder, std::uint32_t kind, std::string_view name) {
  const rh_head_spec spec{sizeof(rh_head_spec), kind, text(name), {}, {}, 1, 1.0, 0, 0};
  return builder->add_head(builder, &spec, nullptr);
}

rh_error* declare(rh_model* model, const rh_data_schema*, const rh_spec_builder* builder) {
  const rh_table_spec table{sizeof(rh_table_spec), 0, text("item"), 0, 2, {RH_INIT_CONSTANT, 0, 1.0, 0.0}};
  rh_error* error = builder->add_table(builder, &table, nullptr);
  if (error == nullptr) error = add_sequence(builder, RH_INPUTS_SAMPLES, "item");
  if (error == nullptr) error = add_sequence(builder, RH_INPUTS_SAMPLES, "history");
  if (error == nullptr) error = add_head(builder, RH_HEAD_SCORE, "score");
  if (error == nullptr) error = add_head(builder, RH_HEAD_LOSS, "loss");
  if (error == nullptr) error = builder->request_entity_index(builder, text("item"));
  if (error != nullptr || model->negatives == 0) return error;
  const rh_negatives_spec negatives{sizeof(rh_negatives_spec), RH_NEGATIVES_FREQUENCY, text("item"), model->negatives, 0, 0.5};
  error = builder->request_negatives(builder, &negatives);
  return error != nullptr ? error : add_sequence(builder, RH_INPUTS_NEGATIVES, "item");
}

rh_error* bind(rh_model*, const rh_binding*) { return nullptr; }

rh_error* forward(rh_model*, const rh_step* step, const rh_tensor* outputs) {
  const bool training = step->phase == RH_PHASE_TRAIN;
  if (!training && (step->heads & 2) != 0) return host->error_new(host, RH_ERROR_FAILED, text("a loss is for training"));
  if (!training && step->inputs->entity_index != nullptr) return host->error_new(host, RH_ERROR_FAILED, text("numbers are for training"));
  recorded = {};
  for (std::uint32_t group = 0; group < step->group_count; ++group) {
    const rh_inputs& inputs = step->inputs[group];
    RecordedInputs::Group& to = recorded.groups[group];
    to.rows = inputs.rows;
    for (std::uint32_t block = 0; block < inputs.block_count && inputs.rows > 0; ++block) {
      std::copy_n(inputs.blocks[block].offsets, inputs.rows + 1, to.offsets[block]);
    }
    if (inputs.log_probability != nullptr) std::copy_n(inputs.log_probability, inputs.rows, to.log_probability);
  }
  for (std::uint32_t head = 0; head < 2; ++head) {
    if (((step->heads >> head) & 1) == 0) continue;
    std::fill_n(static_cast<float*>(outputs[head].data), outputs[head].shape[0], 1.0F);
  }
  return nullptr;
}

rh_error* backward(rh_model*, const rh_step*, const rh_tensor*, rh_managed_tensor**) { return nullptr; }

void destroy(rh_model* model) { delete model; }

const rh_model_interface table{sizeof(rh_model_interface), 0, create, declare, bind, forward, backward, destroy};
const rh_option option{sizeof(rh_option),    RH_OPTION_INT, 0, 0, text("negatives"), text("0"), text("per sample"), 0, 0, nullptr, 0, 0,
                       rh_string{nullptr, 0}};

const void* get_interface(rh_string id) {
  const std::string_view name(id.data, id.size);
  if (name == RH_MODEL_INTERFACE) return &table;
  return name == "test.recorded_inputs" ? &recorded : nullptr;
}

const rh_module module{sizeof(rh_module), RH_MODULE_MODEL, text("records_inputs"), text("a model that keeps its inputs"), &option, 1,
                       sizeof(rh_option), get_interface};
const rh_plugin plugin{sizeof(rh_plugin), 1, 0, 1, text("records_inputs"), text("1.0.0"), &module, sizeof(rh_module), 0, nullptr};

}  // namespace

extern "C" RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* from, rh_error**) {
  host = from;
  return &plugin;
}
