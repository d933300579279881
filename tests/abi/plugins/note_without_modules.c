/* note: {"sdk_major":1,"sdk_minor_needed":0,"name":"x","version":"1.0.0","modules":[{"kind":"sampler","id":"x"}]} */
/* Its note names only a kind that nobody knows. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_without_modules");
  return &the_plugin;
}
