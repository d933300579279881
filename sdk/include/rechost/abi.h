/* The rechost plugin ABI, major 1: what a host and a plugin must agree on before either knows what the other does.
 *
 * Rules that keep a plugin binary loadable for the whole of a major:
 *  - Every struct begins with its size in bytes as the writer knew it. Fields are only ever appended. A reader uses a field only when
 *    RH_HAS(pointer, field) holds, and never demands a size of at least its own.
 *  - Arrays of structs carry their stride, so that old readers step over what newer writers appended.
 *  - Fixed-width integers only; no bool, enum, bit-field, long or union; padding is spelled out.
 *  - Strings are UTF-8 with a length, never relied upon to end in zero.
 *  - A function returns `rh_error*`: null is success. Ownership of anything moves only on success.
 *  - No exception, longjmp or signal may cross.
 *
 * Thread tags at each function:
 *   [load]                once, while the plugin is being loaded
 *   [control]             one thread at a time, never during a step
 *   [step]                the step thread; one call at a time per object
 *   [reader, concurrent]  several threads at once, each with its own arguments
 *   [any-thread]          whenever
 */
#ifndef RECHOST_ABI_H
#define RECHOST_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RH_ABI_MAJOR 1u
#define RH_ABI_MINOR 0u

/* Whether the object that `pointer` points to was written by somebody who knew `field`. */
#define RH_HAS(pointer, field) \
  ((pointer)->struct_size >= offsetof(__typeof__(*(pointer)), field) + sizeof((pointer)->field))

#if defined(__GNUC__)
#define RH_EXPORT __attribute__((visibility("default")))
#else
#define RH_EXPORT
#endif

/* UTF-8 text; `data` may be null when `size` is 0. Lives as long as the object that it was read from. */
typedef struct rh_string {
  const char* data;
  uint64_t size;
} rh_string;

/* Made by rh_host::error_new, owned by whoever received it, released with rh_host::error_free. */
typedef struct rh_error rh_error;

#define RH_ERROR_FAILED 1       /* anything without a better name */
#define RH_ERROR_CONFIG 2       /* an option, or options that contradict each other */
#define RH_ERROR_DATA 3         /* a file, row or value */
#define RH_ERROR_DEVICE 4       /* memory or accelerator */
#define RH_ERROR_UNSUPPORTED 5  /* asked for something that this module does not do */
#define RH_ERROR_VERSION 6      /* host and plugin cannot work together */

typedef struct rh_host rh_host;

/* What the host offers. Lives as long as the process. */
struct rh_host {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t abi_minor;
  uint32_t reserved;
  /* The error functions sit in these slots for good, so that even a mismatched plugin can say why. */
  /* [any-thread] copies `message`. Never null. */
  rh_error* (*error_new)(const rh_host* host, int32_t code, rh_string message);
  /* [any-thread] */
  rh_string (*error_message)(const rh_error* error);
  /* [any-thread] */
  int32_t (*error_code)(const rh_error* error);
  /* [any-thread] null is allowed. */
  void (*error_free)(rh_error* error);
  /* [any-thread] An optional service by id ("rechost.log/1"), or null. Lives as long as the process. */
  const void* (*get_extension)(const rh_host* host, rh_string id);
};

/* ---- options: what a module can be configured with ---- */

#define RH_OPTION_BOOL 1u
#define RH_OPTION_INT 2u
#define RH_OPTION_FLOAT 3u
#define RH_OPTION_STRING 4u
#define RH_OPTION_PATH 5u /* a string in which the host has replaced ${NAME} */
#define RH_OPTION_INT_LIST 6u
#define RH_OPTION_FLOAT_LIST 7u
#define RH_OPTION_STRING_LIST 8u

#define RH_OPTION_REQUIRED (1u << 0)   /* no default: the user must give it */
#define RH_OPTION_HAS_RANGE (1u << 1)  /* minimum and maximum hold, for each element of a list too */
#define RH_OPTION_DEPRECATED (1u << 2) /* still understood; replaced_by names its successor */

typedef struct rh_option {
  uint32_t struct_size;
  uint32_t type;
  uint32_t flags;
  uint32_t reserved;
  rh_string name;          /* snake_case, unique in its module */
  rh_string default_value; /* as TOML: 0.1, "dot", [64, 32] */
  rh_string doc;           /* one line */
  double minimum;
  double maximum;
  const rh_string* choices; /* allowed strings (for lists: of each element); null when free */
  uint32_t choice_count;
  uint32_t reserved_;
  rh_string replaced_by;
} rh_option;

/* One option's final value. Only the fields of its type are meant. */
typedef struct rh_option_value {
  uint32_t struct_size;
  uint32_t type;
  rh_string name;
  int64_t integer; /* also bool: 0 or 1 */
  double real;
  rh_string text; /* string and path */
  const int64_t* integers;
  const double* reals;
  const rh_string* texts;
  uint64_t count; /* elements of the list */
} rh_option_value;

/* The validated options of one module: every declared option is present, defaults filled in. Valid during the call only. */
typedef struct rh_config {
  uint32_t struct_size;
  uint32_t value_stride;
  const rh_option_value* values;
  uint64_t value_count;
  uint64_t seed;    /* for whatever the module draws when it is made; a function of the run's seed */
  uint32_t threads; /* how many threads the module may keep busy */
  uint32_t reserved;
} rh_config;

/* ---- the plugin ---- */

#define RH_MODULE_MODEL 1u
#define RH_MODULE_DATASET 2u

/* One thing that a plugin brings. Static: lives as long as the process. */
typedef struct rh_module {
  uint32_t struct_size;
  uint32_t kind;
  rh_string id; /* what users write: "dlrm", "criteo" */
  rh_string doc;
  const rh_option* options;
  uint32_t option_count;
  uint32_t option_stride;
  /* [control] The implementation by interface id ("rechost.model/1"), or null when this module lacks it. */
  const void* (*get_interface)(rh_string id);
} rh_module;

typedef struct rh_plugin {
  uint32_t struct_size;
  uint32_t abi_major;
  uint32_t minor_needed; /* lowest host minor that this plugin works with; usually 0 */
  uint32_t module_count;
  rh_string name;
  rh_string version;
  const rh_module* modules;
  uint32_t module_stride;
  uint32_t reserved;
  /* [control] optional (may be null): an extension of the plugin by id, or null. */
  const void* (*get_extension)(rh_string id);
} rh_plugin;

/* The one exported symbol; the digit is the ABI major. [load] On failure returns null and sets *error.
 * `host` stays valid for the life of the process and may be kept. */
#define RH_ENTRY_NAME "rechost_plugin_v1"
typedef const rh_plugin* (*rh_entry)(const rh_host* host, rh_error** error);
RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error);

/* ---- tensors: the memory layout of DLPack 1.x, under names of our own so that DLPack headers may be included beside this one ---- */

#define RH_DEVICE_CPU 1  /* kDLCPU */
#define RH_DEVICE_CUDA 2 /* kDLCUDA */

#define RH_DTYPE_INT 0u    /* kDLInt */
#define RH_DTYPE_UINT 1u   /* kDLUInt */
#define RH_DTYPE_FLOAT 2u  /* kDLFloat */
#define RH_DTYPE_BFLOAT 4u /* kDLBfloat */

typedef struct rh_device {
  int32_t type;
  int32_t id;
} rh_device;

typedef struct rh_dtype {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes; /* always 1 */
} rh_dtype;

/* = DLTensor. Borrowed memory: the owner is said where the tensor is handed over. */
typedef struct rh_tensor {
  void* data;
  rh_device device;
  int32_t ndim;
  rh_dtype dtype;
  int64_t* shape;
  int64_t* strides; /* in elements; null = contiguous, last dimension fastest */
  uint64_t byte_offset;
} rh_tensor;

/* = DLManagedTensorVersioned. Owned by the receiver, who calls deleter(self) once, on any thread. */
typedef struct rh_managed_tensor {
  uint32_t version_major; /* 1 */
  uint32_t version_minor; /* 0 */
  void* manager_context;
  void (*deleter)(struct rh_managed_tensor* self);
  uint64_t flags;
  rh_tensor tensor;
} rh_managed_tensor;

#ifdef __cplusplus
}
#endif
#endif /* RECHOST_ABI_H */
