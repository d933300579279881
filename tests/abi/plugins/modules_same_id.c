/* Two models with one id. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "modules_same_id");
  minimal_module(&the_modules[1], "modules_same_id");
  the_plugin.module_count = 2;
  return &the_plugin;
}
