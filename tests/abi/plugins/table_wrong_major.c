/* The note is right, the table says another major. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "table_wrong_major");
  the_plugin.abi_major = 2;
  return &the_plugin;
}
