#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/source.h"
#include "rechost/dataset.h"

namespace rechost {

/// How the memory of one column is laid out; what ColumnInfo leaves out because nobody above needs it.
struct ArrowLayout {
  enum class Lists { kNone, kOffsets32, kOffsets64 };
  enum class Text { kNone, kOffsets32, kOffsets64 };

  Lists lists = Lists::kNone;
  ValueType value = ValueType::kFloat32;      ///< of the elements; dictionaries: of the entries
  Text text = Text::kNone;                    ///< kString: width of the offsets (of the dictionary, if there is one)
  std::optional<ValueType> dictionary_index;  ///< dictionaries: type of the numbers that stand for entries
};

struct ArrowColumns {
  std::vector<ColumnInfo> columns;
  std::vector<ArrowLayout> layouts;  ///< by column
  std::optional<double> best_auc;
};

/// Reads a loader's schema. Throws PluginError, without a label, naming the column and what is wrong with it.
ArrowColumns read_arrow_schema(const ArrowSchema& schema);

/// Bytes of one value; 0 for bool (bits) and string.
std::size_t width_of(ValueType type);

}  // namespace rechost
