/* note: {"sdk_major":1,,} */
/* Its note is no JSON. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_not_json");
  return &the_plugin;
}
