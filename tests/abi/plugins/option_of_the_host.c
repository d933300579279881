/* An option with the name of a key of the host. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "option_of_the_host");
  minimal_option(the_options, RH_OPTION_STRING, "plugin", "\"\"");
  the_modules[0].option_count = 1;
  return &the_plugin;
}
