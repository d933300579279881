/* A model without the interface of a model. */
#include "minimal.h"

static const void* no_interface(rh_string id) {
  (void)id;
  return NULL;
}

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "interface_null");
  the_modules[0].get_interface = no_interface;
  return &the_plugin;
}
