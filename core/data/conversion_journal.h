#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"

namespace rechost {

/// What a conversion has finished so far, in its folder: a conversion that was killed goes on where this ends. The file .convert.jsonl is
/// there from the first piece of work until all is done; its first line says what is converted into what, each other one a finished piece.
class ConversionJournal {
 public:
  /// Makes the folder, locks it against other conversions, and reads what an earlier one left. `identity` is an object that says all that
  /// decides the output. Throws ConfigError with the member that differs when what was left is of another conversion, and Error when another
  /// process is converting into the folder.
  ConversionJournal(const std::filesystem::path& folder, const Json& identity);

  /// Whether a conversion was begun in the folder and not ended.
  static bool left_in(const std::filesystem::path& folder);

  /// What is finished, in the order in which it was; lines that a power cut left half-written are not among them.
  const std::vector<Json>& pieces() const { return pieces_; }

  /// On the disk when it returns. One thread at a time.
  void add(const Json& piece);

  /// All is done. The object is of no use afterwards.
  void remove();

 private:
  std::filesystem::path path_, lock_path_;
  std::optional<LockFile> lock_;
  FileDescriptor file_;
  std::vector<Json> pieces_;
};

}  // namespace rechost
