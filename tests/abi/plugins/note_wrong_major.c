/* note: {"sdk_major":2,"layout":"whatever"} */
/* Its note says that it was built for another major. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "note_wrong_major");
  return &the_plugin;
}
