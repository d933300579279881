/* There should be a module. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "modules_null");
  the_plugin.modules = NULL;
  return &the_plugin;
}
