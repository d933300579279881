/* The model's table ends before backward. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "interface_too_short");
  the_table.struct_size = offsetof(rh_model_interface, backward);
  return &the_plugin;
}
