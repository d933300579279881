/* "rechost.dataset/1": a loader. It declares chunks (row groups, shards, byte ranges) and decodes one when asked; which chunk when,
 * shuffling, splitting over ranks, batching, prefetch, resume and the policy for bad rows are the host's, once, for all loaders.
 *
 * Columns travel as the Arrow C data interface (https://arrow.apache.org/docs/format/CDataInterface.html). The schema is a struct
 * (format "+s"), one child per column. Types a loader may use: float32 "f", float64 "g", int8..int64 "c" "s" "i" "l", uint8..uint32
 * "C" "S" "I", bool "b", utf8 "u", large utf8 "U", binary "z", a dictionary of integers or utf8 with
 * any integer as index (each entry is encoded once, however many rows have it), and list "+l" or large list "+L" of these.
 * A column is nullable only when its schema says so (ARROW_FLAG_NULLABLE).
 *
 * Keys in a column's Arrow metadata:
 *   rechost.role         dense | sparse | label | weight | id (integers or text that are carried along; a list of numbers may be named as the
 *                        weights of another list's ids) | time | candidates (a list of negatives to rank the row's item among, which itself
 *                        is not in it)
 *   rechost.entity       user | item: what the column describes
 *   rechost.key          "1": the column identifies its entity
 *   rechost.cardinality  integer ids lie in [0, cardinality); without it ids are any values and go through a vocabulary
 *   rechost.label_kind   binary | regression | multiclass
 * Keys in the schema's own metadata:
 *   rechost.reference.best_auc   best AUC that any model can reach on this split (planted data)
 */
#ifndef RECHOST_DATASET_H
#define RECHOST_DATASET_H

#include "rechost/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

#define RH_DATASET_INTERFACE "rechost.dataset/1"

#define RH_ROLE_KEY "rechost.role"
#define RH_ENTITY_KEY "rechost.entity"
#define RH_IS_KEY_KEY "rechost.key"
#define RH_CARDINALITY_KEY "rechost.cardinality"
#define RH_LABEL_KIND_KEY "rechost.label_kind"
#define RH_BEST_AUC_KEY "rechost.reference.best_auc"

typedef struct rh_dataset rh_dataset; /* one opened split; opaque to the host */

/* A row that could not be decoded. It is left out of the chunk's arrays. Strings are valid during the call. */
typedef struct rh_bad_row {
  uint32_t struct_size;
  uint32_t reserved;
  int64_t row_in_chunk; /* counting every declared row of the chunk, from 0 */
  int64_t line;         /* 1-based line or row in `source`; 0 = unknown */
  rh_string source;     /* file */
  rh_string column;
  rh_string reason;     /* with the value: «"x7" is not a number» */
  rh_string raw;        /* the bytes of the row, for quarantine */
} rh_bad_row;

typedef struct rh_read_request {
  uint32_t struct_size;
  uint32_t column_count;
  int64_t chunk;
  const uint32_t* columns; /* [column_count] positions in the schema: only these children are wanted, in this order */
  void* context;
  /* [reader, concurrent] In order of row_in_chunk. An error returned by it ends the read: pass it on. */
  rh_error* (*bad_row)(void* context, const rh_bad_row* row);
} rh_read_request;

typedef struct rh_dataset_interface {
  uint32_t struct_size;
  uint32_t flags;
  /* [control] Names of the splits that the loader separates by itself under these options: some of "train", "valid", "test"; or just
   * "all": then the host splits. Writes at most `capacity` names (static or owned by the plugin for good), and how many there are. */
  rh_error* (*list_splits)(const rh_host* host, const rh_config* config, rh_string* names, uint32_t capacity, uint32_t* count);
  /* [control] Opens one split. It may look at all files to learn row counts, and keep in memory what reading needs (an index, small tables),
   * but no second copy of decoded chunks: which of those stay is the host's choice. */
  rh_error* (*open)(const rh_host* host, const rh_config* config, rh_string split, rh_dataset** dataset);
  /* [control] `schema` is filled; the caller releases it. */
  rh_error* (*schema)(rh_dataset* dataset, struct ArrowSchema* schema);
  /* [any-thread] */
  int64_t (*chunk_count)(const rh_dataset* dataset);
  /* [any-thread] Declared rows of a chunk: bad rows count. -1 for a chunk that there is not. */
  int64_t (*chunk_rows)(const rh_dataset* dataset, int64_t chunk);
  /* [reader, concurrent] `array` (a struct array with the wanted children) is filled; the caller releases it.
   * array->length = declared rows minus rows reported bad. Which rows are bad must not depend on the columns asked for: rows of two reads
   * of a chunk are put side by side. On an error the host leaves `array` alone. */
  rh_error* (*read_chunk)(rh_dataset* dataset, const rh_read_request* request, struct ArrowArray* array);
  /* [control] A number that changes when the data does (sizes, times, options). */
  rh_error* (*fingerprint)(rh_dataset* dataset, uint64_t* value);
  /* [control] */
  void (*close)(rh_dataset* dataset);
  /* [reader, concurrent] A hint, and optional (null, or beyond struct_size): the chunks that will be read next, in this order. A loader that
   * brings files from afar passes it on ("rechost.files/1", read_ahead). Replaces what was said before; does not wait. */
  rh_error* (*prefetch_chunks)(rh_dataset* dataset, const int64_t* chunks, uint64_t count);
  /* [reader, concurrent] Optional (null, or beyond struct_size). Where these rows of the request's chunk stand, and their bytes: for rows that
   * were read but that the host cannot use. Calls request->bad_row for each of `rows` ([count], declared rows, ascending), in this order, with
   * row_in_chunk, line, source and raw set; column and reason are the host's. request->columns is empty. Rows that it knows nothing of it may
   * leave out. */
  rh_error* (*show_rows)(rh_dataset* dataset, const rh_read_request* request, const int64_t* rows, uint64_t count);
} rh_dataset_interface;

#ifdef __cplusplus
}
#endif
#endif /* RECHOST_DATASET_H */
