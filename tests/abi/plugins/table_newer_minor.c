/* The note is right, the table needs a later host. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "table_newer_minor");
  the_plugin.minor_needed = 99;
  return &the_plugin;
}
