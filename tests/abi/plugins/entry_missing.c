/* The entry has another name, so nothing is exported. */
#include "minimal.h"

RH_EXPORT const rh_plugin* rechost_plugin(const rh_host* host);
const rh_plugin* rechost_plugin(const rh_host* host) { return minimal_plugin(host, "entry_missing"); }
