/* note: {"sdk_major":1,"sdk_minor_needed":0,"name":"x","version":"1.0.0"} */
/* Its note lacks the modules. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_incomplete");
  return &the_plugin;
}
