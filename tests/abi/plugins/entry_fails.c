/* Fails and says why. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  *error = host->error_new(host, RH_ERROR_UNSUPPORTED, minimal_text("this machine has no moon"));
  return NULL;
}
