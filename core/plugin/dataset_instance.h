#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/source.h"
#include "plugin/library.h"
#include "plugin/options.h"
#include "storage/storage.h"

namespace rechost {

/// One dataset loader with its options. Every breach of the contract by the plugin is a PluginError that names plugin and column.
class DatasetInstance {
 public:
  /// `storage` is what the loader opens files through; null: local files alone, or what another loader was made with.
  DatasetInstance(Module module, ModuleOptions options, std::shared_ptr<Storage> storage = nullptr);

  const Module& module() const { return module_; }
  const ModuleOptions& options() const { return options_; }

  /// Names of the splits that the loader separates by itself ("train", "valid", "test"), or just "all": then the host splits.
  std::vector<std::string> list_splits() const;

  /// Opens one split. The source does not refer to this object. Throws DataError or ConfigError as the plugin says.
  std::unique_ptr<ChunkSource> open(std::string_view split) const;

 private:
  Module module_;
  ModuleOptions options_;
  std::shared_ptr<Storage> storage_;
};

}  // namespace rechost
