/* A default that is not of the option's type. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "option_wrong_default");
  minimal_option(the_options, RH_OPTION_INT, "width", "\"wide\"");
  the_modules[0].option_count = 1;
  return &the_plugin;
}
