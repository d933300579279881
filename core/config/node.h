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

  bool is_table() const { return std::holds_alternative<Table>(value); }
  const Table& table() const { return std::get<Table>(value); }
  Table& table() { return std::get<Table>(value); }
  const ConfigNode* find(std::string_view key) const;

  /// As TOML on one line: `[64, 32]`, `"dot"`.
  std::string text() const;
};

}  // namespace rechost
