/* "rechost.log/1": lines in the host's log. */
#ifndef RECHOST_EXT_LOG_H
#define RECHOST_EXT_LOG_H

#include "rechost/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RH_LOG_EXTENSION "rechost.log/1"

#define RH_LOG_DEBUG 0
#define RH_LOG_INFO 1
#define RH_LOG_WARNING 2

typedef struct rh_log {
  uint32_t struct_size;
  uint32_t reserved;
  /* [any-thread] One line, without line end. */
  void (*write)(const rh_host* host, int32_t level, rh_string line);
} rh_log;

#ifdef __cplusplus
}
#endif
#endif /* RECHOST_EXT_LOG_H */
