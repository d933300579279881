/* The plugin's table ends before its modules. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "table_too_short");
  the_plugin.struct_size = 16;
  return &the_plugin;
}
