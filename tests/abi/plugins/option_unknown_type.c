/* An option of a type that does not exist. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "option_unknown_type");
  minimal_option(the_options, 9, "width", "1");
  the_modules[0].option_count = 1;
  return &the_plugin;
}
