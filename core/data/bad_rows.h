#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/source.h"

namespace rechost {

/// What happens with rows that cannot be used. One for all splits of a run: they share the budget.
class BadRowPolicy {
 public:
  enum class Action { kFail, kSkip, kQuarantine };
  struct Settings {
    Action action = Action::kFail;
    std::int64_t budget = 1000;        ///< skip and quarantine: DataError past this many
    std::filesystem::path directory;   ///< quarantine: `<split>.jsonl` is written here, afresh; empty: nowhere (ranks but the first)
  };

  explicit BadRowPolicy(Settings settings) : settings_(std::move(settings)) {}

  /// "fail" | "skip" | "quarantine"; ConfigError otherwise.
  static Action parse(std::string_view text);

  /// Reading a chunk may stop after so many bad rows: add() will have thrown by then.
  std::int64_t rows_worth_reading() const;

  /// In order of rows, one thread at a time. Throws DataError under kFail and past the budget, naming the row, and the column that is worst.
  void add(const std::string& split, const BadRow& row);

  std::int64_t count() const { return count_; }
  /// For summaries; rows without a column count under "".
  const std::map<std::string, std::int64_t>& count_by_split() const { return count_by_split_; }
  const std::map<std::string, std::int64_t>& count_by_column() const { return count_by_column_; }

 private:
  void write(const std::string& split, const BadRow& row);

  Settings settings_;
  std::int64_t count_ = 0;
  std::map<std::string, std::int64_t> count_by_split_;
  std::map<std::string, std::int64_t> count_by_column_;
  std::map<std::string, std::ofstream> files_;
};

/// "train, chunk 3, row 17 (file.tsv:1040), column \"I3\": not a number".
std::string describe(const std::string& split, const BadRow& row);

/// The same as an object: where the row is, and the reason.
Json bad_row_json(const BadRow& row);

}  // namespace rechost
