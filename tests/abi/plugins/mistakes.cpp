// A model that makes the mistake named by its option, one of those that show only while it is used.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "rechost/model.h"

struct rh_model {
  std::string mistake;
  rh_binding binding{};
  std::vector<rh_parameter_view> parameters;
};

namespace {

const rh_host* host = nullptr;
std::int64_t gradients_alive = 0;

rh_string text(std::string_view view) { return {view.data(), view.size()}; }

template <typename Spec>
Spec make_spec(std::string_view name) {
  Spec spec{};
  spec.struct_size = sizeof(spec);
  spec.name = text(name);
  return spec;
}

rh_error* create(const rh_host*, const rh_config* config, rh_model** model) {
  const std::string mistake(config->values->text.data, config->values->text.size);
  if (mistake == "create throws") throw std::runtime_error("thrown by create");
  if (mistake == "create throws a number") throw 7;
  if (mistake == "create returns nothing") return nullptr;
  if (mistake == "create fails") return host->error_new(host, RH_ERROR_CONFIG, text("layers must not be empty"));
  *model = new rh_model;
  (*model)->mistake = mistake;
  return nullptr;
}

rh_error* add_parameter(const rh_spec_builder* builder, std::string_view name, std::vector<std::int64_t> shape, std::uint32_t initializer) {
  auto spec = make_spec<rh_parameter_spec>(name);
  spec.ndim = static_cast<std::uint32_t>(shape.size());
  spec.shape = shape.data();
  spec.initializer.kind = initializer;
  return builder->add_parameter(builder, &spec, nullptr);
}

rh_error* add_table(const rh_spec_builder* builder, std::string_view name, std::int64_t rows, std::int64_t dim, std::uint32_t initializer) {
  auto spec = make_spec<rh_table_spec>(name);
  spec.rows = rows;
  spec.dim = dim;
  spec.initializer.kind = initializer;
  return builder->add_table(builder, &spec, nullptr);
}

rh_error* add_embedding(const rh_spec_builder* builder, std::uint32_t group, std::string_view feature, std::uint32_t table,
                        std::uint32_t pooling) {
  rh_embedding_spec spec{sizeof(rh_embedding_spec), group, text(feature), table, pooling};
  return builder->add_embedding(builder, &spec, nullptr);
}

rh_error* add_head(const rh_spec_builder* builder, std::uint32_t kind, std::string_view name, std::string_view label, std::int64_t size,
                   double weight = 1.0, std::string_view entity = "", std::uint32_t similarity = 0) {
  rh_head_spec spec{sizeof(rh_head_spec), kind, text(name), text(label), text(entity), size, weight, similarity, 0};
  return builder->add_head(builder, &spec, nullptr);
}

rh_error* add_dense(const rh_spec_builder* builder, std::uint32_t group, std::vector<rh_string> names) {
  return builder->add_dense_features(builder, group, names.data(), static_cast<std::uint32_t>(names.size()));
}

rh_error* add_negatives(const rh_spec_builder* builder, std::uint32_t distribution, std::string_view entity, std::int64_t per_sample,
                        std::int64_t per_batch) {
  rh_negatives_spec spec{sizeof(rh_negatives_spec), distribution, text(entity), per_sample, per_batch, 1.0};
  return builder->request_negatives(builder, &spec);
}

// The mistakes of declare. Anything else declares well: dense "age"; "user" and "item" with 2 numbers each, "history" as a sequence.
rh_error* declare_wrongly(const std::string& mistake, const rh_spec_builder* builder) {
  constexpr std::uint32_t kConstant = RH_INIT_CONSTANT;
  if (mistake == "unknown dense feature") return add_dense(builder, 1, {text("aeg")});
  if (mistake == "dense feature twice") return add_dense(builder, 1, {text("age"), text("age")});
  if (mistake == "dense feature without name") return add_dense(builder, 1, {text("")});
  if (mistake == "dense name of nothing") return add_dense(builder, 1, {rh_string{nullptr, 3}});
  if (mistake == "dense group") return add_dense(builder, 2, {text("age")});
  if (mistake == "dense called twice") return add_dense(builder, 0, {text("age")});
  if (mistake == "table twice") return add_table(builder, "user", 0, 4, kConstant);
  if (mistake == "table without dim") return add_table(builder, "t", 0, 0, kConstant);
  if (mistake == "table with negative rows") return add_table(builder, "t", -1, 4, kConstant);
  if (mistake == "table made by plugin") return add_table(builder, "t", 0, 4, RH_INIT_PLUGIN);
  if (mistake == "table unread") return add_table(builder, "t", 0, 4, kConstant);
  if (mistake == "unknown sparse feature") return add_embedding(builder, 0, "itm", 0, 1);
  if (mistake == "embedding table") return add_embedding(builder, 0, "item", 9, 1);
  if (mistake == "embedding pooling") return add_embedding(builder, 0, "item", 0, 3);
  if (mistake == "embedding group") return add_embedding(builder, 5, "item", 0, 1);
  if (mistake == "embedding of negatives") return add_embedding(builder, 1, "item", 1, 1);
  if (mistake == "table too small") {
    rh_error* error = add_table(builder, "t", 3, 4, kConstant);
    return error != nullptr ? error : add_embedding(builder, 0, "item", 3, 1);
  }
  if (mistake == "parameter twice") return add_parameter(builder, "weight", {2}, kConstant);
  if (mistake == "parameter without extent") return add_parameter(builder, "p", {3, 0}, kConstant);
  if (mistake == "parameter too large") return add_parameter(builder, "p", {1 << 30, 1 << 30}, kConstant);
  if (mistake == "parameter initializer") return add_parameter(builder, "p", {2}, 7);
  if (mistake == "parameter without shape") {
    auto spec = make_spec<rh_parameter_spec>("p");
    spec.ndim = 2;
    return builder->add_parameter(builder, &spec, nullptr);
  }
  if (mistake == "parameter spec of nothing") return builder->add_parameter(builder, nullptr, nullptr);
  if (mistake == "parameter spec too short") {
    auto spec = make_spec<rh_parameter_spec>("p");
    spec.struct_size = 8;
    return builder->add_parameter(builder, &spec, nullptr);
  }
  if (mistake == "head kind") return add_head(builder, 8, "h", "click", 1);
  if (mistake == "head twice") return add_head(builder, RH_HEAD_BINARY, "click", "click", 1);
  if (mistake == "head size") return add_head(builder, RH_HEAD_BINARY, "h", "click", 2);
  if (mistake == "head weight") return add_head(builder, RH_HEAD_BINARY, "h", "click", 1, -1.0);
  if (mistake == "head without label") return add_head(builder, RH_HEAD_BINARY, "h", "", 1);
  if (mistake == "head with unknown label") return add_head(builder, RH_HEAD_BINARY, "h", "clik", 1);
  if (mistake == "head with wrong label") return add_head(builder, RH_HEAD_BINARY, "h", "rating", 1);
  if (mistake == "head with wrong classes") return add_head(builder, RH_HEAD_MULTICLASS, "h", "kind", 4);
  if (mistake == "head with too many labels") return add_head(builder, RH_HEAD_MULTILABEL, "h", "kind", 2);
  if (mistake == "head without entity") return add_head(builder, RH_HEAD_EMBEDDING, "h", "", 2);
  if (mistake == "head without similarity") return add_head(builder, RH_HEAD_EMBEDDING, "h", "", 2, 1.0, "user");
  if (mistake == "negatives of nobody") return add_negatives(builder, 1, "planet", 1, 0);
  if (mistake == "negatives twice over") return add_negatives(builder, 1, "item", 1, 1);
  if (mistake == "negatives distribution") return add_negatives(builder, 0, "item", 1, 0);
  if (mistake == "index of nobody") return builder->request_entity_index(builder, text("planet"));
  if (mistake == "error dropped") {
    host->error_free(add_head(builder, RH_HEAD_BINARY, "h", "clik", 1));
    return nullptr;
  }
  if (mistake == "declare fails") return host->error_new(host, RH_ERROR_CONFIG, text("two dense features are needed"));
  if (mistake == "declare throws") throw std::runtime_error("thrown by declare");
  return nullptr;
}

rh_error* declare(rh_model* model, const rh_data_schema*, const rh_spec_builder* builder) {
  const bool no_head = model->mistake == "no head";
  rh_error* error = add_dense(builder, 0, {text("age")});
  if (error == nullptr) error = add_table(builder, "user", 0, 2, RH_INIT_CONSTANT);
  if (error == nullptr) error = add_table(builder, "item", 0, 2, RH_INIT_CONSTANT);
  if (error == nullptr) error = add_table(builder, "history", 0, 2, RH_INIT_CONSTANT);
  if (error == nullptr) error = add_embedding(builder, 0, "user", 0, RH_POOLING_SUM);
  if (error == nullptr) error = add_embedding(builder, 0, "item", 1, RH_POOLING_MEAN);
  if (error == nullptr) error = add_embedding(builder, 0, "history", 2, RH_POOLING_NONE);
  if (error == nullptr) error = add_parameter(builder, "weight", {3}, RH_INIT_CONSTANT);
  if (error == nullptr && !no_head) error = add_head(builder, RH_HEAD_BINARY, "click", "click", 1);
  return error != nullptr ? error : declare_wrongly(model->mistake, builder);
}

rh_error* bind(rh_model* model, const rh_binding* binding) {
  if (model->mistake == "bind throws") throw std::runtime_error("thrown by bind");
  model->binding = *binding;
  model->parameters.assign(binding->parameters, binding->parameters + binding->parameter_count);
  return nullptr;
}

rh_error* forward(rh_model* model, const rh_step* step, const rh_tensor* outputs) {
  if (model->mistake == "forward throws") throw std::runtime_error("thrown by forward");
  if (model->mistake == "forward fails") return host->error_new(host, RH_ERROR_DEVICE, text("out of memory"));
  const float value = model->mistake == "output is nan" ? std::numeric_limits<float>::quiet_NaN() : 0.5f;
  for (std::int64_t i = 0; i < step->inputs->rows; ++i) static_cast<float*>(outputs->data)[i] = value;
  return nullptr;
}

// Gradients that the host refuses in a way that leaves them nobody's; kept for good, so that a leak checker finds only what it should.
std::vector<rh_managed_tensor*>& lost = *new std::vector<rh_managed_tensor*>;

struct Gradient {
  rh_managed_tensor tensor{};
  std::vector<float> values;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

rh_managed_tensor* make_gradient(const rh_tensor& block) {
  auto* made = new Gradient;
  std::int64_t size = 1;
  made->shape.assign(block.shape, block.shape + block.ndim);
  for (const std::int64_t extent : made->shape) size *= extent;
  made->values.resize(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < made->values.size(); ++i) made->values[i] = static_cast<float>(i);
  made->tensor.version_major = 1;
  made->tensor.manager_context = made;
  made->tensor.deleter = [](rh_managed_tensor* self) {
    --gradients_alive;
    delete static_cast<Gradient*>(self->manager_context);
  };
  made->tensor.tensor = block;
  made->tensor.tensor.data = made->values.data();
  made->tensor.tensor.shape = made->shape.data();
  ++gradients_alive;
  return &made->tensor;
}

rh_error* backward(rh_model* model, const rh_step* step, const rh_tensor*, rh_managed_tensor** blocks) {
  const std::string& mistake = model->mistake;
  if (mistake == "backward throws") throw std::runtime_error("thrown by backward");
  if (mistake == "backward fails") return host->error_new(host, RH_ERROR_FAILED, text("no gradient today"));
  if (mistake == "ready too many") model->binding.grad_ready(model->binding.context, step, 0, 2);
  if (mistake == "invented gradients") std::fill_n(model->parameters[0].gradient, 3, 1.0f);
  model->binding.grad_ready(model->binding.context, step, 0, 1);
  if (mistake == "no gradients") return nullptr;
  // The first of the two blocks is always right, so that something is there to be given back.
  blocks[0] = make_gradient(step->inputs->blocks[0].rows);
  if (mistake == "first gradient without deleter") {
    blocks[0]->deleter = nullptr;
    lost.push_back(blocks[0]);
  }
  if (mistake == "gradient twice") {
    blocks[1] = blocks[0];
    return nullptr;
  }
  blocks[1] = make_gradient(step->inputs->blocks[1].rows);
  auto* second = static_cast<Gradient*>(blocks[1]->manager_context);
  if (mistake == "gradient of wrong shape") second->shape[0] += 1;
  if (mistake == "gradient of wrong rank") second->tensor.tensor.ndim = 1;
  if (mistake == "gradient in double") second->tensor.tensor.dtype.bits = 64;
  if (mistake == "gradient in integers") second->tensor.tensor.dtype.code = RH_DTYPE_INT;
  if (mistake == "gradient elsewhere") second->tensor.tensor.device = {RH_DEVICE_CUDA, 1};
  if (mistake == "gradient without data") second->tensor.tensor.data = nullptr;
  if (mistake == "gradient of another version") second->tensor.version_major = 2;
  if (mistake == "gradient without deleter") second->tensor.deleter = nullptr;
  if (second->tensor.version_major != 1 || second->tensor.deleter == nullptr) lost.push_back(blocks[1]);
  if (mistake == "gradient with strides") {
    second->strides = {1, second->shape[0]};
    second->tensor.tensor.strides = second->strides.data();
  }
  return nullptr;
}

void destroy(rh_model* model) {
  const bool throws = model->mistake == "destroy throws";
  delete model;
  if (throws) throw std::runtime_error("thrown by destroy");
}

const rh_model_interface table{sizeof(rh_model_interface), 0, create, declare, bind, forward, backward, destroy};
const rh_option option{sizeof(rh_option),    RH_OPTION_STRING, 0, 0, text("mistake"), text("\"\""), text("which one"), 0, 0, nullptr, 0, 0,
                       rh_string{nullptr, 0}};

// Besides the model: what a test wants to know, how many gradients have not been given back.
const void* get_interface(rh_string id) {
  const std::string_view name(id.data, id.size);
  if (name == RH_MODEL_INTERFACE) return &table;
  return name == "test.gradients_alive" ? &gradients_alive : nullptr;
}

const rh_module module{sizeof(rh_module), RH_MODULE_MODEL, text("mistakes"), text("a model that errs on demand"), &option, 1,
                       sizeof(rh_option), get_interface};
const rh_plugin plugin{sizeof(rh_plugin), 1, 0, 1, text("mistakes"), text("1.0.0"), &module, sizeof(rh_module), 0, nullptr};

}  // namespace

extern "C" RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* from, rh_error**) {
  host = from;
  return &plugin;
}
