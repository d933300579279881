#include "column_plan.h"

#include <algorithm>

#include "text/entities.h"

namespace csv {
namespace {

using rechost::Column;
using rechost::ColumnBuilder;
using rechost::ConfigError;
using rechost::Role;
using rechost::Type;
using text::Fault;

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view wanted_by(Meaning meaning) {
  switch (meaning) {
    case Meaning::kNumber:
      return "a number";
    case Meaning::kNonNegativeNumber:
      return "a number of at least 0";
    case Meaning::kBinaryLabel:
      return "a label: 0 or 1";
    case Meaning::kClass:
      return "a class: an integer of at least 0";
    case Meaning::kInteger:
      return "a 64-bit integer";
    case Meaning::kText:
      return "a text";
  }
  return "";
}

// Checks one value and appends it when `builder` is not null.
bool decode_value(Meaning meaning, std::string_view field, ColumnBuilder* builder) {
  float number = 0;
  std::int64_t integer = 0;
  switch (meaning) {
    case Meaning::kText:
      if (builder != nullptr) builder->append_text(field);
      return true;
    case Meaning::kInteger:
    case Meaning::kClass:
      if (!text::parse_integer(field, integer) || (meaning == Meaning::kClass && integer < 0)) return false;
      if (builder != nullptr) builder->append(integer);
      return true;
    case Meaning::kNumber:
    case Meaning::kNonNegativeNumber:
    case Meaning::kBinaryLabel:
      if (!text::parse_float(field, number) || (meaning == Meaning::kNonNegativeNumber && number < 0)) return false;
      if (meaning == Meaning::kBinaryLabel && number != 0 && number != 1) return false;
      if (builder != nullptr) builder->append(number);
      return true;
  }
  return false;
}

}  // namespace

// Fills a plan from the options.
class PlanMaker {
 public:
  PlanMaker(ColumnPlan& plan, const rechost::Config& config, const std::vector<std::string>& field_names, const std::string& path)
      : plan_(plan), config_(config), field_names_(field_names), path_(path) {}

  void make();

 private:
  void add(const std::string& name, const std::string& option, Column column, Meaning meaning);
  void add_label(const std::string& label);
  void add_all(const std::string& option, const Column& column, Meaning meaning);

  ColumnPlan& plan_;
  const rechost::Config& config_;
  const std::vector<std::string>& field_names_;
  const std::string& path_;
};

ColumnPlan::ColumnPlan(const rechost::Config& config, const std::vector<std::string>& field_names, const std::string& path)
    : field_count_(field_names.size()),
      separator_(config.get_string("multi_hot_separator")),
      null_values_(config.get_string_list("null_values")) {
  if (separator_.empty()) throw ConfigError("multi_hot_separator must not be empty");
  PlanMaker(*this, config, field_names, path).make();
}

void PlanMaker::make() {
  for (const std::string& label : config_.get_string_list("label")) add_label(label);
  add_all("dense", {.type = Type::kFloat32, .role = Role::kDense, .nullable = true}, Meaning::kNumber);
  add_all("sparse", {.type = Type::kText, .role = Role::kSparse, .nullable = true}, Meaning::kText);
  add_all("multi_hot", {.type = Type::kText, .role = Role::kSparse, .list = true}, Meaning::kText);
  if (const std::string& name = config_.get_string("weight"); !name.empty())
    add(name, "weight", {.type = Type::kFloat32, .role = Role::kWeight}, Meaning::kNonNegativeNumber);
  if (const std::string& name = config_.get_string("time"); !name.empty())
    add(name, "time", {.type = Type::kInt64, .role = Role::kTime}, Meaning::kInteger);
  add_all("id", {.type = Type::kText, .role = Role::kId}, Meaning::kText);
  add_all("id_weights", {.type = Type::kFloat32, .role = Role::kId, .list = true}, Meaning::kNumber);
  for (const std::string& name : config_.get_string_list("integer")) text::find_column(plan_.columns_, name, "integer");
  text::describe_entities(config_, plan_.columns_);
  const auto is_feature = [](const Column& column) { return column.role == Role::kDense || column.role == Role::kSparse; };
  if (std::none_of(plan_.columns_.begin(), plan_.columns_.end(), is_feature)) {
    std::string message = "no feature is named: list columns of '" + path_ + "' in dense, sparse or multi_hot. Its columns are:";
    for (const std::string& name : field_names_) message += " '" + name + "'";
    throw ConfigError(message);
  }
}

// "price:regression" is the column "price" with a kind of its own.
void PlanMaker::add_label(const std::string& label) {
  std::string name = label, kind = config_.get_string("label_kind");
  const std::size_t colon = label.rfind(':');
  if (colon != std::string::npos && !contains(field_names_, label)) {
    name = label.substr(0, colon);
    kind = label.substr(colon + 1);
    if (kind != "binary" && kind != "regression" && kind != "multiclass")
      throw ConfigError("option label: '" + label + "' has the unknown kind '" + kind + "'; write column:kind, with binary, regression or multiclass");
  }
  const bool classes = kind == "multiclass";
  add(name, "label", {.type = classes ? Type::kInt64 : Type::kFloat32, .role = Role::kLabel, .label_kind = kind},
      classes                ? Meaning::kClass
      : kind == "regression" ? Meaning::kNumber
                             : Meaning::kBinaryLabel);
}

void PlanMaker::add_all(const std::string& option, const Column& column, Meaning meaning) {
  for (const std::string& name : config_.get_string_list(option)) add(name, option, column, meaning);
}

void PlanMaker::add(const std::string& name, const std::string& option, Column column, Meaning meaning) {
  const auto found = std::find(field_names_.begin(), field_names_.end(), name);
  if (found == field_names_.end()) {
    std::string message = "option " + option + ": '" + path_ + "' has no column '" + name + "'";
    const std::string near = text::nearest_name(name, field_names_.data(), field_names_.data() + field_names_.size());
    if (!near.empty()) message += "; did you mean '" + near + "'?";
    if (option == "label") message += " (label = [] reads data without labels)";
    throw ConfigError(message);
  }
  if (std::find(found + 1, field_names_.end(), name) != field_names_.end())
    throw rechost::DataError("'" + path_ + "' has more than one column '" + name + "'; give them names of their own");
  for (const Column& other : plan_.columns_)
    if (other.name == name) throw ConfigError("option " + option + ": column '" + name + "' is already used; a column has one role");
  if (contains(config_.get_string_list("integer"), name)) {
    if (meaning != Meaning::kText) throw ConfigError("option integer: column '" + name + "' is in " + option + ", which is not for ids");
    meaning = Meaning::kInteger;
    column.type = Type::kInt64;
  }
  column.name = name;
  plan_.columns_.push_back(std::move(column));
  plan_.fields_.push_back(static_cast<std::size_t>(found - field_names_.begin()));
  plan_.meanings_.push_back(meaning);
}

bool ColumnPlan::is_null(std::string_view field) const { return contains(null_values_, field); }

bool ColumnPlan::decode(const std::vector<std::string_view>& fields, ColumnBuilder* const* builders, Fault& fault) const {
  if (fields.size() != field_count_) {
    fault.reason = std::to_string(fields.size()) + " fields, there should be " + std::to_string(field_count_);
    return false;
  }
  for (std::size_t position = 0; position < columns_.size(); ++position) {
    const std::string_view field = fields[fields_[position]];
    ColumnBuilder* builder = builders[position];
    const Column& column = columns_[position];
    if (column.list) {
      if (!decode_list(position, field, builder, fault)) return false;
    } else if (is_null(field)) {
      if (!column.nullable) {
        fault = {column.name, text::quote(field) + " stands for a missing value, and this column must have one"};
        return false;
      }
      if (builder != nullptr) builder->append_null();
    } else if (!decode_value(meanings_[position], field, builder)) {
      fault = {column.name, text::refusal(field, wanted_by(meanings_[position]))};
      return false;
    }
  }
  return true;
}

// A missing value is an empty list.
bool ColumnPlan::decode_list(std::size_t position, std::string_view field, ColumnBuilder* builder, Fault& fault) const {
  for (bool more = !is_null(field); more;) {
    const std::size_t end = field.find(separator_);
    const std::string_view element = field.substr(0, end);
    if (element.empty() || !decode_value(meanings_[position], element, builder)) {
      fault = {columns_[position].name, "an element of the list: " + text::refusal(element, wanted_by(meanings_[position]))};
      return false;
    }
    more = end != std::string_view::npos;
    if (more) field.remove_prefix(end + separator_.size());
  }
  if (builder != nullptr) builder->end_list();
  return true;
}

}  // namespace csv
