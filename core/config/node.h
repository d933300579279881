#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace rechost {

/// One value of the merged configuration, and where it came from. A table keeps its keys sorted.
struct ConfigNode {
  using Array = std::vector<ConfigNode>;
  using Table = std::map<std::string, ConfigNode, std::less<>>;

  std::variant<Table, Array, bool, std::int64_t, double, std::string> value;
  std::string origin;  ///< "configs/dlrm.toml:12", "--set", "RECHOST_RUN__SEED", "plugin default", "default"
  /// What the user typed, for values of --set and of the environment: `--set run.name=1e3` means the text 1e3.
  std::string typed;

  bool is_table() const { return std::holds_alternative<Table>(value); }
  const Table& table() const { return std::get<Table>(value); }
  Table& table() { return std::get<Table>(value); }
  const ConfigNode* find(std::string_view key) const;

  /// As TOML on one line: `[64, 32]`, `"dot"`, `{ a = 1 }`. Reading it back gives the same value.
  std::string text() const;

  /// "a string", "an integer", "a table" ...: for messages.
  std::string_view kind() const;
};

/// `name` as a TOML key: bare where TOML allows it, else quoted.
std::string key_text(std::string_view name);

/// "features.\"c*\".kind": `name` appended to the full key of its table.
std::string join_key(std::string_view table, std::string_view name);

}  // namespace rechost
