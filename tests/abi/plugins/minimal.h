/* A plugin with nothing wrong: one model, one dense parameter, no options. Each broken plugin starts from it and breaks one thing, in
 * break_it(), which the entry calls just before it returns. */
#ifndef RECHOST_TESTS_MINIMAL_H
#define RECHOST_TESTS_MINIMAL_H

#include <string.h>

#include "rechost/model.h"

struct rh_model {
  rh_parameter_view weight;
};

static rh_model the_model;
static const rh_host* the_host;
static rh_model_interface the_table;
static rh_option the_options[2];
static rh_module the_modules[2];
static rh_plugin the_plugin;

static inline rh_string minimal_text(const char* text) {
  rh_string result;
  result.data = text;
  result.size = strlen(text);
  return result;
}

static inline rh_error* minimal_create(const rh_host* host, const rh_config* config, rh_model** model) {
  (void)host;
  (void)config;
  *model = &the_model;
  return NULL;
}

static inline rh_error* minimal_declare(rh_model* model, const rh_data_schema* schema, const rh_spec_builder* builder) {
  rh_parameter_spec parameter;
  rh_head_spec head;
  rh_error* error;
  (void)model;
  (void)schema;
  memset(&parameter, 0, sizeof(parameter));
  parameter.struct_size = sizeof(parameter);
  parameter.name = minimal_text("weight");
  parameter.initializer.kind = RH_INIT_CONSTANT;
  error = builder->add_parameter(builder, &parameter, NULL);
  if (error != NULL) return error;
  memset(&head, 0, sizeof(head));
  head.struct_size = sizeof(head);
  head.kind = RH_HEAD_SCORE;
  head.name = minimal_text("score");
  head.size = 1;
  return builder->add_head(builder, &head, NULL);
}

static inline rh_error* minimal_bind(rh_model* model, const rh_binding* binding) {
  model->weight = binding->parameters[0];
  return NULL;
}

static inline rh_error* minimal_forward(rh_model* model, const rh_step* step, const rh_tensor* outputs) {
  int64_t i;
  if (outputs[0].data == NULL) return NULL; /* not wanted in this step */
  for (i = 0; i < step->inputs->rows; ++i) ((float*)outputs[0].data)[i] = model->weight.value[0];
  return NULL;
}

static inline rh_error* minimal_backward(rh_model* model, const rh_step* step, const rh_tensor* gradients, rh_managed_tensor** blocks) {
  (void)step;
  (void)gradients;
  (void)blocks;
  model->weight.gradient[0] = 0.0f;
  return NULL;
}

static inline void minimal_destroy(rh_model* model) { (void)model; }

static inline const void* minimal_interface(rh_string id) { (void)id; return &the_table; }

static inline void minimal_option(rh_option* option, uint32_t type, const char* name, const char* default_value) {
  option->struct_size = sizeof(*option);
  option->type = type;
  option->name = minimal_text(name);
  option->default_value = minimal_text(default_value);
}

static inline void minimal_module(rh_module* module, const char* id) {
  module->struct_size = sizeof(*module);
  module->kind = RH_MODULE_MODEL;
  module->id = minimal_text(id);
  module->options = the_options;
  module->option_stride = sizeof(rh_option);
  module->get_interface = minimal_interface;
}

/* `id` is the one that the note promises: the file's name. */
static inline const rh_plugin* minimal_plugin(const rh_host* host, const char* id) {
  the_host = host;
  the_table.struct_size = sizeof(the_table);
  the_table.create = minimal_create;
  the_table.declare = minimal_declare;
  the_table.bind = minimal_bind;
  the_table.forward = minimal_forward;
  the_table.backward = minimal_backward;
  the_table.destroy = minimal_destroy;
  minimal_module(&the_modules[0], id);
  the_plugin.struct_size = sizeof(the_plugin);
  the_plugin.abi_major = RH_ABI_MAJOR;
  the_plugin.module_count = 1;
  the_plugin.name = minimal_text(id);
  the_plugin.version = minimal_text("1.0.0");
  the_plugin.modules = the_modules;
  the_plugin.module_stride = sizeof(rh_module);
  return &the_plugin;
}

#endif
