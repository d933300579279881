/* note: none */
/* A shared library that says nothing about itself. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_missing");
  return &the_plugin;
}
