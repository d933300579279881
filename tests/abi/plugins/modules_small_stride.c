/* Modules would overlap. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "modules_small_stride");
  the_plugin.module_stride = 8;
  return &the_plugin;
}
