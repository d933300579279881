#pragma once

#include <memory>

#include "rechost/ext/files.h"
#include "storage/storage.h"

namespace rechost {

/// From now on loaders open files through this one, as long as it lives; after it, and before the first, local files can be read. One for
/// the process, because a plugin's library, and what it was told of the host when it was loaded, is one for the process.
void use_storage(const std::shared_ptr<Storage>& storage);

/// "rechost.files/1" over it.
const rh_files* files_extension();

}  // namespace rechost
