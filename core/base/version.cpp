#include "base/version.h"

#ifndef RECHOST_VERSION
#error "the build must define RECHOST_VERSION"
#endif

namespace rechost {

std::string_view version() { return RECHOST_VERSION; }

}  // namespace rechost
