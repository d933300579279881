/* note: {"sdk_major":1,"sdk_minor_needed":0,"name":"x","version":"1.0.0","modules":[{"kind":"model","id":"note_other_torch"}],"torch":{"version":"0.0.1","cuda":""}} */
/* Its note names a LibTorch that it does not bring. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_other_torch");
  return &the_plugin;
}
