/* Two options with one name. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "option_same_name");
  minimal_option(the_options, RH_OPTION_INT, "width", "1");
  minimal_option(the_options + 1, RH_OPTION_INT, "width", "2");
  the_modules[0].option_count = 2;
  return &the_plugin;
}
