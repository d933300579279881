#include <algorithm>

#include "column_plan.h"
#include "text/entities.h"

namespace mds {

using rechost::Column;
using rechost::ConfigError;
using rechost::Role;
using rechost::Type;
using Kind = Encoding::Kind;

namespace {

bool holds_reals(const Encoding& encoding) {
  return encoding.kind == Kind::kRealText || (encoding.kind == Kind::kNumber && !is_integer(*encoding.number));
}

bool holds_integers(const Encoding& encoding) {
  return encoding.kind == Kind::kIntegerText || (encoding.kind == Kind::kNumber && is_integer(*encoding.number));
}

}  // namespace

// Fills a plan from the options.
class PlanMaker {
 public:
  PlanMaker(ColumnPlan& plan, const rechost::Config& config, const Index& index, const ColumnPlan::FirstCount& first_count)
      : plan_(plan), config_(config), index_(index), first_count_(first_count) {}

  void make() {
    for (const std::string& label : config_.get_string_list("label")) add_label(label);
    // What stands in these is no feature, so it is known before the features are.
    for (const char* option : {"weight", "time", "candidates"})
      if (const std::string& name = config_.get_string(option); !name.empty()) apart_.push_back(name);
    const std::vector<std::string>& carried = config_.get_string_list("id");
    apart_.insert(apart_.end(), carried.begin(), carried.end());

    std::vector<std::string> dense = config_.get_string_list("dense"), sparse = config_.get_string_list("sparse");
    std::vector<std::string> multi_hot = config_.get_string_list("multi_hot");
    if (dense.empty() && sparse.empty() && multi_hot.empty()) guess(dense, sparse, multi_hot);
    for (const std::string& name : dense) add_dense(name);
    for (const std::string& name : sparse) add_id(name);
    for (const std::string& name : multi_hot) add_list(name, "multi_hot", {.role = Role::kSparse, .list = true});
    if (const std::string& name = config_.get_string("weight"); !name.empty())
      add(name, "weight", {.type = Type::kFloat32, .role = Role::kWeight}, Meaning::kNonNegativeNumber);
    if (const std::string& name = config_.get_string("time"); !name.empty())
      add(name, "time", {.type = Type::kInt64, .role = Role::kTime}, Meaning::kInteger);
    for (const std::string& name : carried) add_carried(name);
    if (const std::string& name = config_.get_string("candidates"); !name.empty())
      add_list(name, "candidates", {.role = Role::kCandidates, .list = true, .entity = "item"});
    text::describe_entities(config_, plan_.columns_);
    const auto is_feature = [](const Column& column) { return column.role == Role::kDense || column.role == Role::kSparse; };
    if (std::none_of(plan_.columns_.begin(), plan_.columns_.end(), is_feature)) {
      std::string message = "no column can be a feature; list columns in dense, sparse or multi_hot. There are:";
      for (std::size_t i = 0; i < index_.names.size(); ++i) message += " '" + index_.names[i] + "' (" + index_.encodings[i].name + ")";
      throw ConfigError(message);
    }
  }

 private:
  // The encodings say enough for data that was written as features: fractions are dense, integers and texts are ids.
  void guess(std::vector<std::string>& dense, std::vector<std::string>& sparse, std::vector<std::string>& multi_hot) const {
    for (std::size_t i = 0; i < index_.names.size(); ++i) {
      const std::string& name = index_.names[i];
      const Encoding& encoding = index_.encodings[i];
      const auto labelled = [&](const Column& column) { return column.name == name; };
      if (std::find(apart_.begin(), apart_.end(), name) != apart_.end()) continue;
      if (std::any_of(plan_.columns_.begin(), plan_.columns_.end(), labelled) || encoding.kind == Kind::kBytes) continue;
      if (encoding.kind == Kind::kArray && !encoding.number)
        throw ConfigError("column '" + name + "': its encoding 'ndarray' does not say what it holds: list the columns in dense, sparse and multi_hot");
      if (encoding.kind == Kind::kArray)
        (is_integer(*encoding.number) ? multi_hot : dense).push_back(name);
      else
        (holds_reals(encoding) ? dense : sparse).push_back(name);
    }
  }

  const Encoding& encoding_of(const std::string& name, const std::string& option) const { return index_.encodings[source_of(name, option)]; }

  std::size_t source_of(const std::string& name, const std::string& option) const {
    const auto found = std::find(index_.names.begin(), index_.names.end(), name);
    if (found != index_.names.end()) return static_cast<std::size_t>(found - index_.names.begin());
    std::string message = "option " + option + ": '" + index_.shards[0].index_path + "' has no column '" + name + "'";
    const std::string near = text::nearest_name(name, index_.names.data(), index_.names.data() + index_.names.size());
    if (!near.empty()) message += "; did you mean '" + near + "'?";
    if (option == "label") message += " (label = [] reads data without labels)";
    throw ConfigError(message);
  }

  [[noreturn]] void refuse(const std::string& name, const std::string& option, const std::string& wanted) const {
    throw ConfigError("option " + option + ": column '" + name + "' has encoding '" + encoding_of(name, option).name + "'; " + wanted);
  }

  // "price:regression" is the column "price" with a kind of its own.
  void add_label(const std::string& label) {
    std::string name = label, kind = config_.get_string("label_kind");
    const std::size_t colon = label.rfind(':');
    if (colon != std::string::npos && std::find(index_.names.begin(), index_.names.end(), label) == index_.names.end()) {
      name = label.substr(0, colon);
      kind = label.substr(colon + 1);
      if (kind != "binary" && kind != "regression" && kind != "multiclass")
        throw ConfigError("option label: '" + label + "' has the unknown kind '" + kind + "'; write column:kind, with binary, regression or multiclass");
    }
    const Meaning meaning = kind == "multiclass" ? Meaning::kClass : kind == "regression" ? Meaning::kNumber : Meaning::kBinaryLabel;
    const Type type = meaning == Meaning::kClass ? Type::kInt64 : Type::kFloat32;
    add(name, "label", {.type = type, .role = Role::kLabel, .label_kind = kind}, meaning);
  }

  void add_dense(const std::string& name) {
    const std::size_t source = source_of(name, "dense");
    const Encoding& encoding = index_.encodings[source];
    const Column column{.type = Type::kFloat32, .role = Role::kDense, .nullable = true};
    if (encoding.kind != Kind::kArray) return add(name, "dense", column, Meaning::kDense);
    if (encoding.shape.size() > 1) refuse(name, "dense", "an array must have one dimension");
    add(name, "dense", column, Meaning::kDenseGroup, encoding.shape.empty() ? first_count_(source) : encoding.shape[0]);
  }

  void add_id(const std::string& name) {
    const Encoding& encoding = encoding_of(name, "sparse");
    const bool integer = holds_integers(encoding);
    if (!integer && encoding.kind != Kind::kText) refuse(name, "sparse", "an id is an integer or a text, and multi_hot is for arrays");
    add(name, "sparse", {.type = integer ? Type::kInt64 : Type::kText, .role = Role::kSparse, .nullable = true},
        integer ? Meaning::kId : Meaning::kText);
  }

  void add_list(const std::string& name, const std::string& option, Column column) {
    const Encoding& encoding = encoding_of(name, option);
    const bool integers = encoding.kind == Kind::kArray && (!encoding.number || is_integer(*encoding.number)) && encoding.shape.size() <= 1;
    if (!integers && encoding.kind != Kind::kText)
      refuse(name, option, "it should be an array of integers of one dimension, or a text whose ids are separated by multi_hot_separator");
    column.type = integers ? Type::kInt64 : Type::kText;
    add(name, option, std::move(column), Meaning::kIds);
  }

  void add_carried(const std::string& name) {
    const Encoding& encoding = encoding_of(name, "id");
    if (encoding.kind == Kind::kArray || holds_reals(encoding)) refuse(name, "id", "it should be an integer, a text or bytes");
    const Type type = encoding.kind == Kind::kNumber ? Type::kInt64 : encoding.kind == Kind::kBytes ? Type::kBinary : Type::kText;
    add(name, "id", {.type = type, .role = Role::kId}, encoding.kind == Kind::kNumber ? Meaning::kInteger : Meaning::kCarried);
  }

  // `group`: this many columns, named <name>_0, <name>_1 and so on; 0: one of that name.
  void add(const std::string& name, const std::string& option, Column column, Meaning meaning, std::size_t group = 0) {
    const std::size_t source = source_of(name, option);
    const Encoding& encoding = index_.encodings[source];
    const bool number = holds_integers(encoding) || holds_reals(encoding);
    const bool needs_number = column.role == Role::kLabel || column.role == Role::kWeight || meaning == Meaning::kDense;
    if (needs_number && !number) refuse(name, option, "it should be a number");
    if ((meaning == Meaning::kClass || meaning == Meaning::kInteger) && !holds_integers(encoding)) refuse(name, option, "it should be an integer");
    for (const ColumnPlan::Field& other : plan_.fields_)
      if (other.source == source) throw ConfigError("option " + option + ": column '" + name + "' is already used; a column has one role");
    plan_.fields_.push_back({source, encoding, meaning, plan_.columns_.size(), std::max<std::size_t>(group, 1)});
    for (std::size_t i = 0; i < std::max<std::size_t>(group, 1); ++i) {
      column.name = group == 0 ? name : name + "_" + std::to_string(i);
      for (const Column& other : plan_.columns_)
        if (other.name == column.name) throw ConfigError("option " + option + ": array '" + name + "' makes a second column '" + column.name + "'");
      plan_.columns_.push_back(column);
    }
  }

  ColumnPlan& plan_;
  const rechost::Config& config_;
  const Index& index_;
  const ColumnPlan::FirstCount& first_count_;
  std::vector<std::string> apart_;
};

ColumnPlan::ColumnPlan(const rechost::Config& config, const Index& index, const FirstCount& first_count)
    : null_integer_(config.get_int("null_integer")), separator_(config.get_string("multi_hot_separator")) {
  if (separator_.empty()) throw ConfigError("multi_hot_separator must not be empty");
  PlanMaker(*this, config, index, first_count).make();
}

}  // namespace mds
