// Lets an exception out of a C function.
#include <stdexcept>

#include "rechost/abi.h"

extern "C" RH_EXPORT const rh_plugin* rechost_plugin_v1(const rh_host*, rh_error**) { throw std::runtime_error("no fence here"); }
