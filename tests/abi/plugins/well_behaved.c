/* Nothing is wrong here: if this one is refused, so are all others for the wrong reason. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "well_behaved");
  return &the_plugin;
}
