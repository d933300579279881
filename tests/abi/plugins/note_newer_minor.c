/* note: {"sdk_major":1,"sdk_minor_needed":99,"name":"x","version":"1.0.0","modules":[{"kind":"model","id":"note_newer_minor"}]} */
/* Its note says that it needs a later host. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_newer_minor");
  return &the_plugin;
}
