/* "rechost.files/1": files of a data set, wherever they lie. A location is a path, or "file:", "http:", "https:", "s3://bucket/key". The
 * host brings remote files into a cache that processes share, so that a loader reads a local file whatever the location was; retries,
 * credentials, limits and the cache are the host's. */
#ifndef RECHOST_EXT_FILES_H
#define RECHOST_EXT_FILES_H

#include "rechost/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RH_FILES_EXTENSION "rechost.files/1"

#define RH_FILE_NONE 0
#define RH_FILE_FILE 1
#define RH_FILE_FOLDER 2

typedef struct rh_file_state {
  uint32_t struct_size; /* set by the caller */
  uint32_t kind;        /* RH_FILE_... */
  int64_t size;         /* bytes of a file */
  uint64_t version;     /* changes when the file does (entity tag, time, size): for a dataset's fingerprint */
} rh_file_state;

/* A hash of a whole file that the loader knows beforehand: xxh32, xxh64, xxh128, xxh3_64, xxh3_128, sha1, sha256 or md5. */
typedef struct rh_file_digest {
  uint32_t struct_size;
  uint32_t reserved;
  rh_string name;
  rh_string value; /* lower-case hexadecimal */
} rh_file_digest;

typedef struct rh_file_expectation {
  uint32_t struct_size;
  uint32_t digest_count;
  int64_t size; /* -1: not known */
  const rh_file_digest* digests;
  uint32_t digest_stride;
  uint32_t reserved;
} rh_file_expectation;

typedef struct rh_wanted_file {
  uint32_t struct_size;
  uint32_t reserved;
  rh_string location;
  const rh_file_expectation* expectation; /* null: nothing is known */
} rh_wanted_file;

/* Every function: [any-thread]; all but read_ahead may wait for a server, which the host gives minutes to come back. */
typedef struct rh_files {
  uint32_t struct_size;
  uint32_t reserved;
  /* What is at a location now. Nothing being there is no error. */
  rh_error* (*look)(const rh_host* host, rh_string location, rh_file_state* state);
  /* Calls `file` for every file below a folder, in folders of it too, sorted by name; `name` is relative to the folder and valid during the
   * call. An error returned by it ends the list and is passed on. Web servers have no list: an error. */
  rh_error* (*list)(const rh_host* host, rh_string folder, void* context, rh_error* (*file)(void* context, rh_string name, int64_t size));
  /* `descriptor` becomes a file that can be read (pread, lseek, fstat, mmap), at offset 0; the caller closes it. While it is open the file
   * stays in the cache, so do not keep files open that are not being read. `expectation` (null: nothing is known) is checked before the
   * function returns: a download that does not match is never seen by anybody. Of the digests those of unknown names are passed over, but
   * at least one must be known. In one process a remote file has one version; a change is an error. */
  rh_error* (*open)(const rh_host* host, rh_string location, const rh_file_expectation* expectation, int32_t* descriptor);
  /* The files that will be opened next, in this order: remote ones are downloaded ahead, as far as there is room. Replaces what was said
   * with the same `reader` (any address of the loader's) before; a count of 0 forgets it, as must happen before the address is given back. */
  rh_error* (*read_ahead)(const rh_host* host, const void* reader, const rh_wanted_file* files, uint64_t count, uint32_t stride);
  /* Reads a whole file: `target` has room for the size that `expectation` must say. As `open` otherwise, but digests that are compared for
   * the first time are made of the bytes on their way, so that the file is read once. What is in `target` after an error means nothing. */
  rh_error* (*read)(const rh_host* host, rh_string location, const rh_file_expectation* expectation, void* target);
} rh_files;

#ifdef __cplusplus
}
#endif
#endif /* RECHOST_EXT_FILES_H */
