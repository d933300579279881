/* note: {"sdk_major":1,"sdk_minor_needed":0,"name":"plain_c_plugin","version":"1.0.0","modules":[{"kind":"model","id":"plain_c"},{"kind":"dataset","id":"plain_c"}]}
 *
 * A plugin in plain C99, without the C++ layer: a logistic regression and the data for it. It proves that the ABI is all that a plugin
 * needs, and it trains: the label follows from the features by fixed weights, so a run must find them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rechost/dataset.h"
#include "rechost/model.h"

static const rh_host* host;

static rh_string text_of(const char* text) {
  rh_string result;
  result.data = text;
  result.size = strlen(text);
  return result;
}

static int is_text(rh_string text, const char* expected) {
  return text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0;
}

static rh_error* failed(int32_t code, const char* message) { return host->error_new(host, code, text_of(message)); }

static int64_t integer_option(const rh_config* config, const char* name) {
  uint64_t i;
  for (i = 0; i < config->value_count; ++i) {
    const rh_option_value* value = (const rh_option_value*)((const char*)config->values + i * config->value_stride);
    if (is_text(value->name, name)) return value->integer;
  }
  return 0;
}

/* ---- the model: sum of weight * dense, bias, and one number per sparse value ---- */

struct rh_model {
  int64_t dense_count;
  int64_t sparse_count;
  double bias_start;
  rh_parameter_view weight;
  rh_parameter_view bias;
  void* context;
  void (*grad_ready)(void* context, const rh_step* step, uint32_t first, uint32_t count);
};

static rh_error* model_create(const rh_host* from, const rh_config* config, rh_model** model) {
  uint64_t i;
  rh_model* made = (rh_model*)calloc(1, sizeof(rh_model));
  (void)from;
  if (made == NULL) return failed(RH_ERROR_DEVICE, "out of memory");
  for (i = 0; i < config->value_count; ++i) {
    const rh_option_value* value = (const rh_option_value*)((const char*)config->values + i * config->value_stride);
    if (is_text(value->name, "bias")) made->bias_start = value->real;
  }
  *model = made;
  return NULL;
}

static const rh_feature* feature_at(const rh_data_schema* schema, uint32_t i) {
  return (const rh_feature*)((const char*)schema->features + (size_t)i * schema->feature_stride);
}

static rh_error* declare_sparse(rh_model* model, const rh_data_schema* schema, const rh_spec_builder* builder) {
  uint32_t i;
  for (i = 0; i < schema->feature_count; ++i) {
    const rh_feature* feature = feature_at(schema, i);
    rh_table_spec table;
    rh_embedding_spec embedding;
    rh_error* error;
    if (feature->kind != RH_FEATURE_SPARSE) continue;
    memset(&table, 0, sizeof(table));
    table.struct_size = sizeof(table);
    table.name = feature->name;
    table.dim = 1;
    table.initializer.kind = RH_INIT_CONSTANT;
    memset(&embedding, 0, sizeof(embedding));
    embedding.struct_size = sizeof(embedding);
    embedding.group = RH_INPUTS_SAMPLES;
    embedding.feature = feature->name;
    embedding.pooling = RH_POOLING_SUM;
    error = builder->add_table(builder, &table, &embedding.table);
    if (error == NULL) error = builder->add_embedding(builder, &embedding, NULL);
    if (error != NULL) return error;
    ++model->sparse_count;
  }
  return NULL;
}

static rh_error* declare_dense(rh_model* model, const rh_data_schema* schema, const rh_spec_builder* builder) {
  uint32_t i;
  rh_parameter_spec parameter;
  rh_error* error;
  rh_string* names = (rh_string*)calloc((size_t)schema->feature_count + 1, sizeof(rh_string));
  if (names == NULL) return failed(RH_ERROR_DEVICE, "out of memory");
  for (i = 0; i < schema->feature_count; ++i) {
    if (feature_at(schema, i)->kind == RH_FEATURE_DENSE) names[model->dense_count++] = feature_at(schema, i)->name;
  }
  error = builder->add_dense_features(builder, RH_INPUTS_SAMPLES, names, (uint32_t)model->dense_count);
  free(names);
  if (error != NULL) return error;
  if (model->dense_count == 0) return failed(RH_ERROR_CONFIG, "a linear model needs a dense feature, the data has none");
  memset(&parameter, 0, sizeof(parameter));
  parameter.struct_size = sizeof(parameter);
  parameter.ndim = 1;
  parameter.name = text_of("weight");
  parameter.shape = &model->dense_count;
  parameter.initializer.kind = RH_INIT_CONSTANT;
  parameter.decay = 1;
  error = builder->add_parameter(builder, &parameter, NULL);
  if (error != NULL) return error;
  parameter.ndim = 0;
  parameter.name = text_of("bias");
  parameter.shape = NULL;
  parameter.initializer.kind = RH_INIT_PLUGIN;
  parameter.decay = 0;
  return builder->add_parameter(builder, &parameter, NULL);
}

static rh_error* model_declare(rh_model* model, const rh_data_schema* schema, const rh_spec_builder* builder) {
  rh_head_spec head;
  rh_error* error = declare_dense(model, schema, builder);
  if (error == NULL) error = declare_sparse(model, schema, builder);
  if (error != NULL) return error;
  if (schema->label_count == 0) return failed(RH_ERROR_CONFIG, "the data has no label");
  memset(&head, 0, sizeof(head));
  head.struct_size = sizeof(head);
  head.kind = RH_HEAD_BINARY;
  head.name = text_of("click");
  head.label = schema->labels->name;
  head.size = 1;
  head.weight = 1.0;
  return builder->add_head(builder, &head, NULL);
}

static rh_error* model_bind(rh_model* model, const rh_binding* binding) {
  model->weight = binding->parameters[0];
  model->bias = binding->parameters[1];
  model->context = binding->context;
  model->grad_ready = binding->grad_ready;
  if (binding->initialize) model->bias.value[0] = (float)model->bias_start;
  return NULL;
}

static rh_error* model_forward(rh_model* model, const rh_step* step, const rh_tensor* outputs) {
  const rh_inputs* inputs = step->inputs;
  const float* dense = (const float*)inputs->dense.data;
  const float* sparse = inputs->block_count == 0 ? NULL : (const float*)inputs->blocks->rows.data;
  float* logits = (float*)outputs[0].data;
  int64_t row, i;
  for (row = 0; row < inputs->rows; ++row) {
    float sum = model->bias.value[0];
    for (i = 0; i < model->dense_count; ++i) sum += model->weight.value[i] * dense[row * model->dense_count + i];
    for (i = 0; i < model->sparse_count; ++i) sum += sparse[row * model->sparse_count + i];
    logits[row] = sum;
  }
  return NULL;
}

/* A gradient and the memory that it lies in. */
typedef struct plain_gradient {
  rh_managed_tensor tensor;
  int64_t shape[3];
  float values[1];
} plain_gradient;

static void delete_gradient(rh_managed_tensor* self) { free(self->manager_context); }

static rh_managed_tensor* make_gradient(int64_t rows, int64_t slots) {
  plain_gradient* made = (plain_gradient*)calloc(1, sizeof(plain_gradient) + (size_t)(rows * slots) * sizeof(float));
  if (made == NULL) return NULL;
  made->tensor.version_major = 1;
  made->tensor.manager_context = made;
  made->tensor.deleter = delete_gradient;
  made->shape[0] = rows;
  made->shape[1] = slots;
  made->shape[2] = 1;
  made->tensor.tensor.data = made->values;
  made->tensor.tensor.device.type = RH_DEVICE_CPU;
  made->tensor.tensor.ndim = 3;
  made->tensor.tensor.dtype.code = RH_DTYPE_FLOAT;
  made->tensor.tensor.dtype.bits = 32;
  made->tensor.tensor.dtype.lanes = 1;
  made->tensor.tensor.shape = made->shape;
  return &made->tensor;
}

static rh_error* model_backward(rh_model* model, const rh_step* step, const rh_tensor* output_gradients, rh_managed_tensor** blocks) {
  const rh_inputs* inputs = step->inputs;
  const float* dense = (const float*)inputs->dense.data;
  const float* gradient = (const float*)output_gradients[0].data;
  int64_t row, i;
  memset(model->weight.gradient, 0, (size_t)model->weight.size * sizeof(float));
  model->bias.gradient[0] = 0.0f;
  if (gradient == NULL) return NULL;
  for (row = 0; row < inputs->rows; ++row) {
    model->bias.gradient[0] += gradient[row];
    for (i = 0; i < model->dense_count; ++i) model->weight.gradient[i] += gradient[row] * dense[row * model->dense_count + i];
  }
  model->grad_ready(model->context, step, 1, 1);
  model->grad_ready(model->context, step, 0, 1);
  if (model->sparse_count > 0) {
    float* values;
    blocks[0] = make_gradient(inputs->rows, model->sparse_count);
    if (blocks[0] == NULL) return failed(RH_ERROR_DEVICE, "out of memory");
    values = (float*)blocks[0]->tensor.data;
    for (row = 0; row < inputs->rows; ++row) {
      for (i = 0; i < model->sparse_count; ++i) values[row * model->sparse_count + i] = gradient[row];
    }
  }
  return NULL;
}

static void model_destroy(rh_model* model) { free(model); }

static const rh_model_interface model_table = {
    sizeof(rh_model_interface), 0, model_create, model_declare, model_bind, model_forward, model_backward, model_destroy};

/* ---- the data: four numbers, a colour, and whether it was clicked ---- */

#define COLUMN_COUNT 6
#define COLOR_COUNT 8
static const char* const column_names[COLUMN_COUNT] = {"x0", "x1", "x2", "x3", "color", "click"};
static const float true_weights[4] = {2.0f, -1.0f, 0.5f, 0.0f};

struct rh_dataset {
  int64_t rows;
  int64_t chunk_size;
  int64_t first_row; /* the splits are different rows of one endless sequence */
};

static rh_error* list_splits(const rh_host* from, const rh_config* config, rh_string* names, uint32_t capacity, uint32_t* count) {
  (void)from;
  (void)config;
  *count = 2;
  if (capacity > 0) names[0] = text_of("train");
  if (capacity > 1) names[1] = text_of("test");
  return NULL;
}

static rh_error* dataset_open(const rh_host* from, const rh_config* config, rh_string split, rh_dataset** dataset) {
  rh_dataset* made;
  (void)from;
  if (!is_text(split, "train") && !is_text(split, "test")) return failed(RH_ERROR_DATA, "there are only the splits train and test");
  made = (rh_dataset*)calloc(1, sizeof(rh_dataset));
  if (made == NULL) return failed(RH_ERROR_DEVICE, "out of memory");
  made->rows = integer_option(config, "rows");
  made->chunk_size = integer_option(config, "chunk_rows");
  made->first_row = is_text(split, "test") ? (int64_t)1 << 32 : 0;
  *dataset = made;
  return NULL;
}

/* A number in [0, 1) that depends on row and column only (the finaliser of splitmix64). */
static float number_at(int64_t row, uint32_t column) {
  uint64_t z = ((uint64_t)row * COLUMN_COUNT + column + 1) * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return (float)((z ^ (z >> 31)) >> 40) / 16777216.0f;
}

static int32_t color_at(int64_t row) { return (int32_t)(number_at(row, 4) * COLOR_COUNT); }

static float click_at(int64_t row) {
  double logit = 0.25 * (color_at(row) - (COLOR_COUNT - 1) / 2.0);
  uint32_t i;
  for (i = 0; i < 4; ++i) logit += true_weights[i] * (2.0f * number_at(row, i) - 1.0f);
  return number_at(row, 5) < 1.0 / (1.0 + exp(-logit)) ? 1.0f : 0.0f;
}

/* Arrow metadata with one or two pairs. */
static char* append(char* to, const char* text) {
  const int32_t size = (int32_t)strlen(text);
  memcpy(to, &size, sizeof(size));
  memcpy(to + sizeof(size), text, (size_t)size);
  return to + sizeof(size) + size;
}

static void release_child(struct ArrowSchema* schema) {
  free((void*)schema->metadata);
  schema->release = NULL;
}

static void release_schema(struct ArrowSchema* schema) {
  int64_t i;
  for (i = 0; i < schema->n_children; ++i) {
    if (schema->children[i]->release != NULL) schema->children[i]->release(schema->children[i]);
    free(schema->children[i]);
  }
  free(schema->children);
  schema->release = NULL;
}

static rh_error* dataset_schema(rh_dataset* dataset, struct ArrowSchema* schema) {
  int64_t i;
  (void)dataset;
  memset(schema, 0, sizeof(*schema));
  schema->format = "+s";
  schema->n_children = COLUMN_COUNT;
  schema->children = (struct ArrowSchema**)calloc(COLUMN_COUNT, sizeof(struct ArrowSchema*));
  schema->release = release_schema;
  for (i = 0; i < COLUMN_COUNT; ++i) {
    struct ArrowSchema* child = (struct ArrowSchema*)calloc(1, sizeof(struct ArrowSchema));
    char* metadata = (char*)calloc(1, 128);
    const int32_t pairs = i == 4 ? 2 : 1;
    char* end = metadata + sizeof(pairs);
    memcpy(metadata, &pairs, sizeof(pairs));
    end = append(end, RH_ROLE_KEY);
    end = append(end, i < 4 ? "dense" : i == 4 ? "sparse" : "label");
    if (i == 4) {
      end = append(end, RH_CARDINALITY_KEY);
      append(end, "8");
    }
    child->format = i == 4 ? "i" : "f";
    child->name = column_names[i];
    child->metadata = metadata;
    child->release = release_child;
    schema->children[i] = child;
  }
  return NULL;
}

static int64_t chunk_count(const rh_dataset* dataset) { return (dataset->rows + dataset->chunk_size - 1) / dataset->chunk_size; }

static int64_t chunk_rows(const rh_dataset* dataset, int64_t chunk) {
  const int64_t left = dataset->rows - chunk * dataset->chunk_size;
  return left < dataset->chunk_size ? left : dataset->chunk_size;
}

static void release_column(struct ArrowArray* array) {
  free((void*)array->buffers[1]);
  free((void*)array->buffers);
  array->release = NULL;
}

static void release_array(struct ArrowArray* array) {
  int64_t i;
  for (i = 0; i < array->n_children; ++i) {
    if (array->children[i]->release != NULL) array->children[i]->release(array->children[i]);
    free(array->children[i]);
  }
  free(array->children);
  free((void*)array->buffers);
  array->release = NULL;
}

static struct ArrowArray* make_column(int64_t first, int64_t rows, uint32_t column) {
  struct ArrowArray* array = (struct ArrowArray*)calloc(1, sizeof(struct ArrowArray));
  float* numbers = (float*)calloc((size_t)rows + 1, sizeof(float));
  int64_t i;
  for (i = 0; i < rows; ++i) {
    const int32_t color = color_at(first + i);
    if (column < 4) numbers[i] = 2.0f * number_at(first + i, column) - 1.0f;
    if (column == 4) memcpy(&numbers[i], &color, sizeof(color));
    if (column == 5) numbers[i] = click_at(first + i);
  }
  array->length = rows;
  array->n_buffers = 2;
  array->buffers = (const void**)calloc(2, sizeof(void*));
  array->buffers[1] = numbers;
  array->release = release_column;
  return array;
}

static rh_error* read_chunk(rh_dataset* dataset, const rh_read_request* request, struct ArrowArray* array) {
  const int64_t rows = chunk_rows(dataset, request->chunk);
  const int64_t first = dataset->first_row + request->chunk * dataset->chunk_size;
  uint32_t i;
  memset(array, 0, sizeof(*array));
  array->length = rows;
  array->n_buffers = 1;
  array->buffers = (const void**)calloc(1, sizeof(void*));
  array->n_children = request->column_count;
  array->children = (struct ArrowArray**)calloc((size_t)request->column_count + 1, sizeof(struct ArrowArray*));
  array->release = release_array;
  for (i = 0; i < request->column_count; ++i) array->children[i] = make_column(first, rows, request->columns[i]);
  return NULL;
}

static rh_error* fingerprint(rh_dataset* dataset, uint64_t* value) {
  *value = (uint64_t)dataset->rows * 1000003u + (uint64_t)dataset->chunk_size + (uint64_t)dataset->first_row;
  return NULL;
}

static void dataset_close(rh_dataset* dataset) { free(dataset); }

static const rh_dataset_interface dataset_table = {sizeof(rh_dataset_interface), 0,           list_splits, dataset_open,  dataset_schema,
                                                   chunk_count,                  chunk_rows,  read_chunk,  fingerprint,   dataset_close, 0,           0};

/* ---- the plugin ---- */

static const void* model_interface(rh_string id) { return is_text(id, RH_MODEL_INTERFACE) ? &model_table : NULL; }
static const void* dataset_interface(rh_string id) { return is_text(id, RH_DATASET_INTERFACE) ? &dataset_table : NULL; }

static rh_option model_options[1];
static rh_option dataset_options[2];
static rh_module modules[2];
static rh_plugin plugin;

static void set_option(rh_option* option, uint32_t type, const char* name, const char* default_value, const char* doc) {
  option->struct_size = sizeof(*option);
  option->type = type;
  option->name = text_of(name);
  option->default_value = text_of(default_value);
  option->doc = text_of(doc);
}

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* from, rh_error** error) {
  (void)error;
  host = from;
  set_option(&model_options[0], RH_OPTION_FLOAT, "bias", "0.0", "where the bias begins");
  set_option(&dataset_options[0], RH_OPTION_INT, "rows", "10000", "rows of each split");
  set_option(&dataset_options[1], RH_OPTION_INT, "chunk_rows", "1000", "rows read at once");
  dataset_options[0].flags = dataset_options[1].flags = RH_OPTION_HAS_RANGE;
  dataset_options[0].minimum = dataset_options[1].minimum = 1;
  dataset_options[0].maximum = dataset_options[1].maximum = 1e9;
  modules[0].struct_size = modules[1].struct_size = sizeof(rh_module);
  modules[0].kind = RH_MODULE_MODEL;
  modules[1].kind = RH_MODULE_DATASET;
  modules[0].id = modules[1].id = text_of("plain_c");
  modules[0].doc = text_of("logistic regression in plain C");
  modules[1].doc = text_of("numbers with a planted answer, in plain C");
  modules[0].options = model_options;
  modules[0].option_count = 1;
  modules[1].options = dataset_options;
  modules[1].option_count = 2;
  modules[0].option_stride = modules[1].option_stride = sizeof(rh_option);
  modules[0].get_interface = model_interface;
  modules[1].get_interface = dataset_interface;
  plugin.struct_size = sizeof(plugin);
  plugin.abi_major = RH_ABI_MAJOR;
  plugin.module_count = 2;
  plugin.name = text_of("plain_c_plugin");
  plugin.version = text_of("1.0.0");
  plugin.modules = modules;
  plugin.module_stride = sizeof(rh_module);
  return &plugin;
}
