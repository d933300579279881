#include "column_roles.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "entities.h"
#include "numbers.h"

namespace text {

using rechost::Column;
using rechost::ConfigError;
using rechost::Role;
using rechost::Type;
using Kind = SourceColumn::Kind;

namespace {

bool is_number(const SourceColumn& source) { return !source.array && (source.kind == Kind::kInteger || source.kind == Kind::kReal); }

// Fills a plan from the options.
class PlanMaker {
 public:
  PlanMaker(const rechost::Config& config, const std::vector<SourceColumn>& sources, const std::string& origin, const FirstCount& first_count)
      : config_(config), sources_(sources), origin_(origin), first_count_(first_count) {
    for (const SourceColumn& source : sources) names_.push_back(source.name);
  }

  RolePlan make() {
    for (const std::string& label : config_.get_string_list("label")) add_label(label);
    // What stands in these is no feature, so it is known before the features are.
    for (const char* option : {"weight", "time", "candidates"})
      if (const std::string& name = config_.get_string(option); !name.empty()) apart_.push_back(name);
    const std::vector<std::string>&carried = config_.get_string_list("id"), &weights = config_.get_string_list("id_weights");
    apart_.insert(apart_.end(), carried.begin(), carried.end());
    apart_.insert(apart_.end(), weights.begin(), weights.end());

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
    for (const std::string& name : weights) add_weights(name);
    if (const std::string& name = config_.get_string("candidates"); !name.empty())
      add_list(name, "candidates", {.role = Role::kCandidates, .list = true, .entity = "item"});
    describe_entities(config_, plan_.columns);
    const auto is_feature = [](const Column& column) { return column.role == Role::kDense || column.role == Role::kSparse; };
    if (std::none_of(plan_.columns.begin(), plan_.columns.end(), is_feature)) {
      std::string message = "no column can be a feature; list columns in dense, sparse or multi_hot. There are:";
      for (const SourceColumn& source : sources_) message += " '" + source.name + "' (" + source.type + ")";
      throw ConfigError(message);
    }
    return std::move(plan_);
  }

 private:
  // The types say enough for data that was written as features: fractions are dense, integers and texts are ids.
  void guess(std::vector<std::string>& dense, std::vector<std::string>& sparse, std::vector<std::string>& multi_hot) const {
    for (const SourceColumn& source : sources_) {
      const auto labelled = [&](const Column& column) { return column.name == source.name; };
      if (std::find(apart_.begin(), apart_.end(), source.name) != apart_.end()) continue;
      if (std::any_of(plan_.columns.begin(), plan_.columns.end(), labelled)) continue;
      if (source.kind == Kind::kAny)
        throw ConfigError("column '" + source.name + "': its type '" + source.type +
                          "' does not say what it holds: list the columns in dense, sparse and multi_hot");
      if (source.kind == Kind::kOther)
        throw ConfigError("column '" + source.name + "' has type '" + source.type +
                          "', which cannot be read: list the columns that you want in dense, sparse and multi_hot");
      if (source.kind == Kind::kReal)
        dense.push_back(source.name);
      else if (source.kind == Kind::kInteger || source.kind == Kind::kText)
        (source.array ? multi_hot : sparse).push_back(source.name);
    }
  }

  const SourceColumn& column_of(const std::string& name, const std::string& option) const { return sources_[source_of(name, option)]; }

  std::size_t source_of(const std::string& name, const std::string& option) const {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found != names_.end()) return static_cast<std::size_t>(found - names_.begin());
    std::string message = "option " + option + ": '" + origin_ + "' has no column '" + name + "'";
    const std::string near = nearest_name(name, names_.data(), names_.data() + names_.size());
    if (!near.empty()) message += "; did you mean '" + near + "'?";
    if (option == "label") message += " (label = [] reads data without labels)";
    throw ConfigError(message);
  }

  [[noreturn]] void refuse(const std::string& name, const std::string& option, const std::string& wanted) const {
    throw ConfigError("option " + option + ": column '" + name + "' has type '" + column_of(name, option).type + "'; " + wanted);
  }

  // "price:regression" is the column "price" with a kind of its own.
  void add_label(const std::string& label) {
    std::string name = label, kind = config_.get_string("label_kind");
    const std::size_t colon = label.rfind(':');
    if (colon != std::string::npos && std::find(names_.begin(), names_.end(), label) == names_.end()) {
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
    const SourceColumn& declared = sources_[source];
    const Column column{.type = Type::kFloat32, .role = Role::kDense, .nullable = true};
    if (!declared.array) return add(name, "dense", column, Meaning::kDense);
    if (declared.kind == Kind::kOther) refuse(name, "dense", "an array must be of numbers and have one dimension");
    if (declared.kind != Kind::kInteger && declared.kind != Kind::kReal && declared.kind != Kind::kAny) refuse(name, "dense", "it should be numbers");
    add(name, "dense", column, Meaning::kDenseGroup, declared.count ? *declared.count : first_count_(source));
  }

  void add_id(const std::string& name) {
    const SourceColumn& source = column_of(name, "sparse");
    if (source.array || (source.kind != Kind::kInteger && source.kind != Kind::kText))
      refuse(name, "sparse", "an id is an integer or a text, and multi_hot is for arrays");
    const bool integer = source.kind == Kind::kInteger;
    add(name, "sparse", {.type = integer ? Type::kInt64 : Type::kText, .role = Role::kSparse, .nullable = true},
        integer ? Meaning::kId : Meaning::kText);
  }

  void add_list(const std::string& name, const std::string& option, Column column) {
    const SourceColumn& source = column_of(name, option);
    const bool integers = source.array && (source.kind == Kind::kInteger || source.kind == Kind::kAny);
    if (!integers && source.kind != Kind::kText)
      refuse(name, option, "it should be an array of integers or texts of one dimension, or a text whose ids are separated by multi_hot_separator");
    column.type = integers ? Type::kInt64 : Type::kText;
    add(name, option, std::move(column), Meaning::kIds);
  }

  void add_carried(const std::string& name) {
    const SourceColumn& source = column_of(name, "id");
    if (!source.carried) refuse(name, "id", "it should be an integer, a text or bytes");
    add(name, "id", {.type = *source.carried, .role = Role::kId}, *source.carried == Type::kInt64 ? Meaning::kInteger : Meaning::kCarried);
  }

  void add_weights(const std::string& name) {
    const SourceColumn& source = column_of(name, "id_weights");
    const bool numbers = source.kind == Kind::kInteger || source.kind == Kind::kReal || source.kind == Kind::kAny;
    if (!source.array || !numbers) refuse(name, "id_weights", "it should be an array of numbers of one dimension");
    add(name, "id_weights", {.type = Type::kFloat32, .role = Role::kId, .list = true}, Meaning::kNumbers);
  }

  // `group`: this many columns, named <name>_0, <name>_1 and so on; 0: one of that name.
  void add(const std::string& name, const std::string& option, Column column, Meaning meaning, std::size_t group = 0) {
    const std::size_t source = source_of(name, option);
    const SourceColumn& declared = sources_[source];
    const bool needs_number = column.role == Role::kLabel || column.role == Role::kWeight || meaning == Meaning::kDense;
    if (needs_number && !is_number(declared)) refuse(name, option, "it should be a number");
    const bool instant = meaning == Meaning::kInteger && declared.kind == Kind::kInstant && !declared.array;
    if ((meaning == Meaning::kClass || meaning == Meaning::kInteger) && !instant && !(is_number(declared) && declared.kind == Kind::kInteger))
      refuse(name, option, "it should be an integer");
    for (const ColumnUse& other : plan_.uses)
      if (other.source == source) throw ConfigError("option " + option + ": column '" + name + "' is already used; a column has one role");
    plan_.uses.push_back({source, meaning, plan_.columns.size(), std::max<std::size_t>(group, 1)});
    for (std::size_t i = 0; i < std::max<std::size_t>(group, 1); ++i) {
      column.name = group == 0 ? name : name + "_" + std::to_string(i);
      for (const Column& other : plan_.columns)
        if (other.name == column.name) throw ConfigError("option " + option + ": array '" + name + "' makes a second column '" + column.name + "'");
      plan_.columns.push_back(column);
    }
  }

  RolePlan plan_;
  const rechost::Config& config_;
  const std::vector<SourceColumn>& sources_;
  const std::string& origin_;
  const FirstCount& first_count_;
  std::vector<std::string> names_;
  std::vector<std::string> apart_;
};

}  // namespace

std::vector<rechost::Option> role_options() {
  using namespace rechost;
  std::vector<Option> options{
      option_string_list("label", {"label"}, "label columns, each with its own kind if need be (\"price:regression\"); [] = none, for prediction"),
      option_string("label_kind", "binary", "what labels without a kind of their own are").choices({"binary", "regression", "multiclass"}),
      option_string_list("dense", {}, "columns with numbers; an array becomes a group of them. With sparse and multi_hot also []: all that hold fractions"),
      option_string_list("sparse", {}, "columns with one id: integers or texts; an empty text is a missing one. See dense for []"),
      option_string_list("multi_hot", {}, "columns with any number of ids: arrays, or texts with a separator. See dense for []"),
      option_string("multi_hot_separator", "|", "what stands between the ids of a text in multi_hot"),
      option_string("weight", "", "column with the weight of the row"),
      option_string("time", "", "column with the time, an integer"),
      option_string_list("id", {}, "columns that are carried along and not learned from; bytes are read in no other role"),
      option_string_list("id_weights", {}, "columns with an array of numbers, one for each id of a list: see features.<name>.weights"),
      option_string("candidates", "", "column with the items among which a test row's own is ranked"),
  };
  for (Option& option : entity_options()) options.push_back(std::move(option));
  return options;
}

RolePlan plan_roles(const rechost::Config& config, const std::vector<SourceColumn>& sources, const std::string& origin,
                    const FirstCount& first_count) {
  return PlanMaker(config, sources, origin, first_count).make();
}

std::string objection_to(Meaning meaning, double value) {
  const auto is_not = [value](std::string_view wanted) { return rechost::toml::real(value) + " is not " + std::string(wanted); };
  if (meaning == Meaning::kBinaryLabel && value != 0 && value != 1) return is_not("a label: 0 or 1");
  if (meaning == Meaning::kNonNegativeNumber && value < 0) return is_not("a number of at least 0");
  if (std::fabs(value) > static_cast<double>(std::numeric_limits<float>::max())) return is_not("a number of float32");
  return {};
}

std::string objection_to(Meaning meaning, std::int64_t value) {
  if (meaning == Meaning::kClass && value < 0) return std::to_string(value) + " is not a class: an integer of at least 0";
  return {};
}

}  // namespace text
