/* "rechost.model/1": the dense part of a model. The host owns parameters, embedding tables, optimizers, losses and data; the plugin
 * computes the forward and backward pass of what lies between embeddings and heads.
 *
 * Life:  create -> declare -> bind -> { forward, backward } x n -> destroy.
 * The step state machine: inputs of a step are borrowed from forward until backward returns (in phases without backward: until
 * forward returns). Neither side writes to them in between: an automatic differentiation engine would not see it.
 */
#ifndef RECHOST_MODEL_H
#define RECHOST_MODEL_H

#include "rechost/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RH_MODEL_INTERFACE "rechost.model/1"

typedef struct rh_model rh_model; /* the plugin's instance; opaque to the host */

/* ---- what the data offers (given to declare) ---- */

#define RH_FEATURE_DENSE 1u
#define RH_FEATURE_SPARSE 2u

#define RH_POOLING_NONE 0u /* a sequence: one vector per id */
#define RH_POOLING_SUM 1u
#define RH_POOLING_MEAN 2u /* an empty bag gives zeros */

typedef struct rh_feature {
  uint32_t struct_size;
  uint32_t kind;
  rh_string name;
  rh_string table;     /* sparse: the table that it reads; features with one table share rows */
  rh_string entity;    /* "user", "item" or empty: what the feature describes */
  int64_t rows;        /* sparse: rows that its table needs, vocabulary and out-of-vocabulary row included */
  int64_t max_length;  /* sparse: 1 = exactly one id; 0 = any number; n = at most n */
  uint32_t pooling;    /* sparse: what the user configured */
  uint32_t is_key;     /* 1: this feature identifies its entity (user id, item id) */
} rh_feature;

#define RH_LABEL_BINARY 1u
#define RH_LABEL_REGRESSION 2u
#define RH_LABEL_MULTICLASS 3u

typedef struct rh_label {
  uint32_t struct_size;
  uint32_t kind;
  rh_string name;
  int64_t classes; /* multiclass: how many */
} rh_label;

typedef struct rh_data_schema {
  uint32_t struct_size;
  uint32_t feature_stride;
  const rh_feature* features;
  uint32_t feature_count;
  uint32_t label_count;
  const rh_label* labels;
  uint32_t label_stride;
  uint32_t reserved;
} rh_data_schema;

/* ---- what the model wants (told to the builder in declare) ---- */

#define RH_INIT_CONSTANT 1u       /* a = value */
#define RH_INIT_UNIFORM 2u        /* [a, b) */
#define RH_INIT_NORMAL 3u         /* mean a, standard deviation b */
#define RH_INIT_XAVIER_UNIFORM 4u /* +-sqrt(6 / (fan_in + fan_out)), fans from the last two dimensions */
#define RH_INIT_KAIMING_UNIFORM 5u /* +-1 / sqrt(fan_in): what torch::nn::Linear does */
#define RH_INIT_PLUGIN 6u         /* parameters and buffers only: the plugin writes the values in bind when asked to */

typedef struct rh_initializer {
  uint32_t kind;
  uint32_t reserved;
  double a;
  double b;
} rh_initializer;

typedef struct rh_table_spec {
  uint32_t struct_size;
  uint32_t reserved;
  rh_string name;
  int64_t rows; /* 0 = from data: as many as the features that read it need */
  int64_t dim;
  rh_initializer initializer;
} rh_table_spec;

/* Input groups: the samples of the batch, and the negatives drawn by the host (see request_negatives). */
#define RH_INPUTS_SAMPLES 0u
#define RH_INPUTS_NEGATIVES 1u

typedef struct rh_embedding_spec {
  uint32_t struct_size;
  uint32_t group;   /* RH_INPUTS_* */
  rh_string feature;
  uint32_t table;   /* index that add_table gave */
  uint32_t pooling; /* RH_POOLING_* */
} rh_embedding_spec;

typedef struct rh_parameter_spec {
  uint32_t struct_size;
  uint32_t ndim;
  rh_string name; /* "bottom.0.weight" */
  const int64_t* shape;
  rh_initializer initializer;
  uint32_t decay; /* 1: weight decay applies (weights); 0: it does not (biases, normalisation) */
  uint32_t reserved;
} rh_parameter_spec;

#define RH_HEAD_BINARY 1u      /* output [batch, 1]: a logit; loss: binary cross-entropy on the logit */
#define RH_HEAD_REGRESSION 2u  /* output [batch, 1]; loss: squared error */
#define RH_HEAD_MULTICLASS 3u  /* output [batch, size] logits; label: class number; loss: cross-entropy */
#define RH_HEAD_MULTILABEL 4u  /* output [batch, size] logits; `size` labels in a row from `label` on */
#define RH_HEAD_EMBEDDING 5u   /* output [batch, size]: a vector to export; no loss */
#define RH_HEAD_LOSS 6u        /* output [1]: the plugin's own loss, mean over the rows by their weights; asked for in train steps only */
#define RH_HEAD_SCORE 7u       /* output [batch, 1]: a logit that is reported and predicted, but not trained */

typedef struct rh_head_spec {
  uint32_t struct_size;
  uint32_t kind;
  rh_string name;
  rh_string label;  /* name of the (first) label; empty where there is none */
  rh_string entity; /* embedding heads: whose vector it is ("user", "item"): only features of that entity are needed */
  int64_t size;     /* classes, labels or dimension; else 1 */
  double weight;    /* factor of this head's loss in the total */
  /* Embedding heads: how user and item vectors compare. 1 = dot product, 2 = cosine (vectors already have length 1). */
  uint32_t similarity;
  uint32_t reserved;
} rh_head_spec;

#define RH_NEGATIVES_UNIFORM 1u    /* every catalogue entry alike */
#define RH_NEGATIVES_FREQUENCY 2u  /* in proportion to count^power */

typedef struct rh_negatives_spec {
  uint32_t struct_size;
  uint32_t distribution;
  rh_string entity;   /* "item" */
  int64_t per_sample; /* group rows = batch * per_sample, sample i's at [i*per_sample, (i+1)*per_sample) ... */
  int64_t per_batch;  /* ... or this many for the whole batch (per_sample 0) */
  double power;
} rh_negatives_spec;

typedef struct rh_spec_builder rh_spec_builder;

/* Valid during declare only. Names are copied. Each index counts from 0 in order of the calls. */
struct rh_spec_builder {
  uint32_t struct_size;
  uint32_t reserved;
  void* context;
  /* Columns of the dense input of a group, in this order. At most one call per group. */
  rh_error* (*add_dense_features)(const rh_spec_builder*, uint32_t group, const rh_string* names, uint32_t count);
  rh_error* (*add_table)(const rh_spec_builder*, const rh_table_spec*, uint32_t* index);
  rh_error* (*add_embedding)(const rh_spec_builder*, const rh_embedding_spec*, uint32_t* index);
  rh_error* (*add_parameter)(const rh_spec_builder*, const rh_parameter_spec*, uint32_t* index);
  /* Non-gradient state (batch-norm statistics): part of checkpoints, never touched by an optimizer. */
  rh_error* (*add_buffer)(const rh_spec_builder*, const rh_parameter_spec*, uint32_t* index);
  rh_error* (*add_head)(const rh_spec_builder*, const rh_head_spec*, uint32_t* index);
  /* Fills RH_INPUTS_NEGATIVES in train steps. */
  rh_error* (*request_negatives)(const rh_spec_builder*, const rh_negatives_spec*);
  /* Fills rh_inputs::entity_index and ::log_probability for this entity in train steps. */
  rh_error* (*request_entity_index)(const rh_spec_builder*, rh_string entity);
};

/* ---- what the host provides (bind) ---- */

typedef struct rh_parameter_view {
  float* value;
  float* gradient; /* null for buffers */
  uint64_t size;   /* elements */
} rh_parameter_view;

/* Where the rows of an embedding arrive in a step: inputs[group].blocks[block], slot `slot` of a pooled block. */
typedef struct rh_embedding_placement {
  uint32_t group;
  uint32_t block;
  uint32_t slot;
  uint32_t reserved;
} rh_embedding_placement;

typedef struct rh_step rh_step;

#define RH_COMPUTE_FLOAT32 0u
#define RH_COMPUTE_BFLOAT16 1u

typedef struct rh_binding {
  uint32_t struct_size;
  uint32_t parameter_count;
  /* By parameter index, and by buffer index. The arrays and the memory that they point to live until destroy. */
  const rh_parameter_view* parameters;
  const rh_parameter_view* buffers;
  uint32_t buffer_count;
  uint32_t embedding_count;
  const rh_embedding_placement* embeddings; /* by embedding index; valid during the call */
  /* 1: the plugin must write the initial values of everything it declared with RH_INIT_PLUGIN; 0: values come from a checkpoint. */
  uint32_t initialize;
  uint32_t threads; /* how many threads the plugin may keep busy in forward and backward */
  void* context;
  /* [step] Gradients of parameters [first, first + count) are final for this step. Not calling it means: all are at return.
   * Called from within backward, perhaps on a thread of the plugin's while the step thread waits; calls do not overlap.
   * May be null (this host never passes null): then nobody wants to know. */
  void (*grad_ready)(void* context, const rh_step* step, uint32_t first, uint32_t count);
  rh_device device; /* where parameters and buffers live */
  /* RH_COMPUTE_*: what the products of dense layers may read. Parameters, their gradients, inputs and outputs are float32 in any case. Not
   * RH_COMPUTE_FLOAT32 only for models with RH_MODEL_COMPUTES_BFLOAT16. */
  uint32_t compute;
  uint32_t reserved;
} rh_binding;

/* ---- a step ---- */

#define RH_BLOCK_POOLED 1u   /* rows [rows, slots, dim] */
#define RH_BLOCK_SEQUENCE 2u /* rows [offsets[rows], dim]: sample i owns rows offsets[i] .. offsets[i+1] */

typedef struct rh_embedding_block {
  uint32_t struct_size;
  uint32_t kind;
  rh_tensor rows;         /* float32 */
  const int64_t* offsets; /* sequences: [rows + 1], host memory */
} rh_embedding_block;

/* The rows of one group. */
typedef struct rh_inputs {
  uint32_t struct_size;
  uint32_t block_count;
  int64_t rows; /* how many: samples at least 1; negatives 0 outside of train steps */
  rh_tensor dense; /* [rows, columns] float32; data null when the group has no dense features */
  const rh_embedding_block* blocks;
  uint32_t block_stride;
  uint32_t reserved;
  rh_tensor labels;  /* [rows, label_count] float32 in schema order; data null where unknown */
  rh_tensor weights; /* [rows] float32; data null = all 1 */
  /* Only after request_entity_index / for negatives: */
  const int64_t* entity_index;   /* [rows] position in the entity's catalogue; equal = same entity; host memory */
  /* [rows] log of the probability that a draw gives this entity; host memory. A draw is one of request_negatives where that names the
   * entity, else one of a training row: corrections of softmax losses come from the distribution that the negatives come from. */
  const float* log_probability;
} rh_inputs;

#define RH_PHASE_TRAIN 1u   /* forward, then backward */
#define RH_PHASE_EVAL 2u    /* forward only, with labels; this host evaluates in predict steps and computes metrics itself */
#define RH_PHASE_PREDICT 3u /* forward only; no labels; global_step and seed are 0 */

#define RH_STEP_CAPTURING (1ull << 0) /* inside a CUDA graph capture */
#define RH_STEP_WARM_UP (1ull << 1)

struct rh_step {
  uint32_t struct_size;
  uint32_t phase;
  int64_t global_step; /* from 1 */
  uint64_t seed; /* all randomness of this step; a function of run seed, step and rank */
  rh_device device;
  void* stream; /* cudaStream_t; null on CPU */
  uint64_t flags;
  uint64_t heads; /* bit i: head i is wanted. Inputs that only other heads need may have null data. */
  const rh_inputs* inputs; /* by group */
  uint32_t group_count;
  uint32_t inputs_stride;
};

#define RH_MODEL_GRAPH_CAPTURABLE (1u << 0)
#define RH_MODEL_COMPUTES_BFLOAT16 (1u << 1) /* heeds rh_binding::compute */

typedef struct rh_model_interface {
  uint32_t struct_size;
  uint32_t flags;
  /* [control] */
  rh_error* (*create)(const rh_host* host, const rh_config* config, rh_model** model);
  /* [control] once, after create. */
  rh_error* (*declare)(rh_model* model, const rh_data_schema* schema, const rh_spec_builder* builder);
  /* [control] once, after declare. */
  rh_error* (*bind)(rh_model* model, const rh_binding* binding);
  /* [step] outputs[i] for each wanted head i: host memory on the step's device, float32, contiguous, shape as the head's kind says. */
  rh_error* (*forward)(rh_model* model, const rh_step* step, const rh_tensor* outputs);
  /* [step] after forward of the same step. output_gradients[i] = d(loss)/d(outputs[i]); data null: head i takes no part.
   * Writes parameter gradients (overwrites, not adds) through the views of bind, and hands over in block_gradients, for each block of
   * each group in order (all blocks of group 0, then group 1), the gradient in the block's shape, or null for zero. The array is the
   * host's, all null at the start. On an error the host looks at none of it: the plugin frees what it has put there. */
  rh_error* (*backward)(rh_model* model, const rh_step* step, const rh_tensor* output_gradients, rh_managed_tensor** block_gradients);
  /* [control] null is not passed. */
  void (*destroy)(rh_model* model);
} rh_model_interface;

#ifdef __cplusplus
}
#endif
#endif /* RECHOST_MODEL_H */
