/* note: {"sdk_major":1,"sdk_minor_needed":0,"name":"x","version":"1.0.0","modules":[{"kind":"model","id":"promised"}]} */
/* Its note names a model that it does not have. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_broken_promise");
  return &the_plugin;
}
