/* There are no modules. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "modules_none");
  the_plugin.module_count = 0;
  return &the_plugin;
}
