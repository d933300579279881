/* A model with an option of each type. */
#include "minimal.h"

static rh_option options[10];
static rh_string choices[2];

RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host* host, rh_error** error) {
  uint32_t i;
  (void)error;
  minimal_plugin(host, "all_options");
  choices[0] = minimal_text("dot");
  choices[1] = minimal_text("cat");
  minimal_option(&options[0], RH_OPTION_BOOL, "flag", "true");
  minimal_option(&options[1], RH_OPTION_INT, "size", "8");
  minimal_option(&options[2], RH_OPTION_FLOAT, "rate", "0.5");
  minimal_option(&options[3], RH_OPTION_STRING, "mode", "\"dot\"");
  minimal_option(&options[4], RH_OPTION_PATH, "path", "\"${ROOT}/x\"");
  minimal_option(&options[5], RH_OPTION_INT_LIST, "layers", "[64, 32]");
  minimal_option(&options[6], RH_OPTION_FLOAT_LIST, "shares", "[0.5, 1]");
  minimal_option(&options[7], RH_OPTION_STRING_LIST, "files", "[]");
  minimal_option(&options[8], RH_OPTION_INT, "width", "");
  minimal_option(&options[9], RH_OPTION_STRING, "folder", "");
  options[1].flags = options[5].flags = RH_OPTION_HAS_RANGE;
  options[1].minimum = options[5].minimum = 1;
  options[1].maximum = 100;
  options[5].maximum = 1000;
  options[3].choices = choices;
  options[3].choice_count = 2;
  options[8].flags = RH_OPTION_DEPRECATED;
  options[8].replaced_by = minimal_text("size");
  options[9].flags = RH_OPTION_REQUIRED;
  for (i = 0; i < 10; ++i) options[i].doc = minimal_text("what it does");
  the_modules[0].options = options;
  the_modules[0].option_count = 10;
  return &the_plugin;
}
