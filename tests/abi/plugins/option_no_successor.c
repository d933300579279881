/* A deprecated option whose successor does not exist. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  (void)error;
  minimal_plugin(host, "option_no_successor");
  minimal_option(the_options, RH_OPTION_INT, "width", "1");
  the_options[0].flags = RH_OPTION_DEPRECATED;
  the_options[0].replaced_by = minimal_text("size");
  the_modules[0].option_count = 1;
  return &the_plugin;
}
