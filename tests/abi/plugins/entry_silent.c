/* Fails without saying why. */
#include "rechost/abi.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)host;
  (void)error;
  return NULL;
}
