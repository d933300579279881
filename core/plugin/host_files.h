#pragma once

#include <memory>

#include "rechost/ext/files.h"
#include "storage/storage.h"

namespace rechost {

/// While it lives, what a loader asks for on this thread goes to the storage of that loader: a plugin's library, and what it was told of the
/// host when it was loaded, is one for the process, so the loader that is called tells them apart. One within the other: the inner one counts.
class StorageScope {
 public:
  /// Null: the one in use stays.
  explicit StorageScope(const std::shared_ptr<Storage>& storage);
  ~StorageScope();
  StorageScope(const StorageScope&) = delete;  // one scope
  StorageScope& operator=(const StorageScope&) = delete;

 private:
  const std::shared_ptr<Storage>* before_;
};

/// For threads that a plugin has started itself: from now on they open files through this one, as long as it lives; after it, and before the
/// first, local files can be read.
void use_storage(const std::shared_ptr<Storage>& storage);

/// "rechost.files/1" over it.
const rh_files* files_extension();

}  // namespace rechost
