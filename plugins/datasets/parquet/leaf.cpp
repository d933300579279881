#include "leaf.h"

namespace parquet_loader {
namespace {

using Kind = text::SourceColumn::Kind;
using parquet::LogicalType;

// Kind, way to carry, sign and scale of the values, from physical and logical type.
void describe_values(const parquet::ColumnDescriptor& column, bool bytes_are_text, Leaf& leaf) {
  text::SourceColumn& declared = leaf.declared;
  const auto& logical = column.logical_type();
  const bool annotated = logical != nullptr && !logical->is_none() && !logical->is_invalid();
  declared.type = annotated ? logical->ToString() : parquet::TypeToString(column.physical_type());
  if (!annotated) {
    switch (column.physical_type()) {
      case parquet::Type::BOOLEAN:
      case parquet::Type::INT32:
      case parquet::Type::INT64:
        declared.kind = Kind::kInteger;
        declared.carried = rechost::Type::kInt64;
        break;
      case parquet::Type::INT96:  // nothing but times was ever stored so
        declared.kind = Kind::kInstant;
        declared.carried = rechost::Type::kInt64;
        leaf.can_exceed = true;
        break;
      case parquet::Type::FLOAT:
      case parquet::Type::DOUBLE:
        declared.kind = Kind::kReal;
        break;
      case parquet::Type::BYTE_ARRAY:
        declared.kind = bytes_are_text ? Kind::kText : Kind::kBytes;
        declared.carried = bytes_are_text ? rechost::Type::kText : rechost::Type::kBinary;
        break;
      case parquet::Type::FIXED_LEN_BYTE_ARRAY:
        declared.kind = Kind::kBytes;
        declared.carried = rechost::Type::kBinary;
        break;
      default:
        break;
    }
    return;
  }
  switch (logical->type()) {
    case LogicalType::Type::STRING:
    case LogicalType::Type::ENUM:
    case LogicalType::Type::JSON:
      declared.kind = Kind::kText;
      declared.carried = rechost::Type::kText;
      break;
    case LogicalType::Type::INT:
      declared.kind = Kind::kInteger;
      declared.carried = rechost::Type::kInt64;
      leaf.is_unsigned = !dynamic_cast<const parquet::IntLogicalType&>(*logical).is_signed();
      leaf.can_exceed = leaf.is_unsigned && column.physical_type() == parquet::Type::INT64;
      break;
    case LogicalType::Type::DECIMAL:
      declared.kind = Kind::kReal;
      leaf.scale = column.type_scale();
      break;
    case LogicalType::Type::FLOAT16:
      declared.kind = Kind::kReal;
      break;
    case LogicalType::Type::DATE:
    case LogicalType::Type::TIME:
    case LogicalType::Type::TIMESTAMP:
      declared.kind = Kind::kInstant;
      declared.carried = rechost::Type::kInt64;
      break;
    case LogicalType::Type::UUID:
    case LogicalType::Type::BSON:
      declared.kind = Kind::kBytes;
      declared.carried = rechost::Type::kBinary;
      break;
    default:
      break;
  }
}

int leaves_below(const parquet::schema::Node& node) {
  if (node.is_primitive()) return 1;
  const auto& group = static_cast<const parquet::schema::GroupNode&>(node);
  int count = 0;
  for (int i = 0; i < group.field_count(); ++i) count += leaves_below(*group.field(i));
  return count;
}

// The path down to the first repeated node, whose name is the writer's and not the user's; the whole path where several leaves share it.
std::string name_of(const parquet::ColumnDescriptor& column, Leaf& leaf) {
  std::vector<const parquet::schema::Node*> path;
  for (const parquet::schema::Node* node = column.schema_node().get(); node->parent() != nullptr; node = node->parent())
    path.insert(path.begin(), node);
  std::string name;
  const parquet::schema::Node* above = nullptr;
  for (const parquet::schema::Node* node : path) {
    if (!node->is_required()) ++leaf.element_level;
    if (node->is_repeated()) {
      if (leaves_below(*node) > 1) return column.path()->ToDotString();
      // A repeated leaf without a list around it is called by its own name.
      return above != nullptr && above->logical_type() != nullptr && above->logical_type()->is_list() ? name : name + (name.empty() ? "" : ".") + node->name();
    }
    name += (name.empty() ? "" : ".") + node->name();
    above = node;
  }
  return name;
}

}  // namespace

std::vector<Leaf> leaves_of(const parquet::SchemaDescriptor& schema, bool bytes_are_text) {
  std::vector<Leaf> leaves;
  for (int position = 0; position < schema.num_columns(); ++position) {
    const parquet::ColumnDescriptor& column = *schema.Column(position);
    Leaf leaf;
    leaf.column = position;
    leaf.declared.name = name_of(column, leaf);
    leaf.value_level = column.max_definition_level();
    leaf.declared.array = column.max_repetition_level() > 0;
    describe_values(column, bytes_are_text, leaf);
    if (column.max_repetition_level() > 1) {
      leaf.declared.kind = Kind::kOther;
      leaf.declared.type = "list of lists of " + leaf.declared.type;
    } else if (leaf.declared.array) {
      leaf.declared.type = "list of " + leaf.declared.type;
    }
    if (leaf.declared.array) leaf.declared.carried.reset();
    leaves.push_back(std::move(leaf));
  }
  return leaves;
}

}  // namespace parquet_loader
