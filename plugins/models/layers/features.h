// Which features and labels a ranking model uses, and its heads.
#pragma once

#include "rechost/cxx/torch_model.hpp"

#include <charconv>
#include <string>
#include <vector>

// Hidden like the names of the SDK that are used in here.
#pragma GCC visibility push(hidden)

namespace layers {

// These models see one vector per feature and sample.
inline void require_pooling(const rechost::Feature& feature, const char* model) {
  if (feature.sparse && feature.pooling == RH_POOLING_NONE)
    throw rechost::ConfigError("feature '" + feature.name + "' has pooling \"none\", and " + model +
                               " reads one vector per sample: set features." + feature.name + ".pooling to \"sum\" or \"mean\"");
}

inline rechost::Option heads_option() {
  return rechost::option_string_list("heads", {},
                                     "what to predict: label:kind[:weight], kind binary, regression or multiclass; "
                                     "empty: every label of the data, with its kind");
}

// Slices of one output layer, one per head.
class HeadSet {
 public:
  HeadSet(const rechost::Config& config, const rechost::Schema& schema, rechost::Spec& spec) {
    const auto& texts = config.get_string_list("heads");
    for (const std::string& text : texts) add(text, schema, spec);
    if (texts.empty())
      for (const rechost::Label& label : schema.labels()) add(label, 1, spec);
    if (slices_.empty()) throw rechost::ConfigError("the data has no label, so there is nothing to predict");
  }

  // Columns of the output layer.
  int64_t width() const { return width_; }

  // values [rows, width()]
  void set(const at::Tensor& values, rechost::Outputs& out) const {
    for (const Slice& slice : slices_) out.set(slice.head, slices_.size() == 1 ? values : values.narrow(1, slice.first, slice.size));
  }

 private:
  struct Slice {
    rechost::Head head;
    int64_t first;
    int64_t size;
  };

  void add(const rechost::Label& label, double weight, rechost::Spec& spec) {
    const int64_t size = label.kind == RH_LABEL_MULTICLASS ? label.classes : 1;
    slices_.push_back({spec.for_label(label.name, label, weight), width_, size});
    width_ += size;
  }

  void add(const std::string& text, const rechost::Schema& schema, rechost::Spec& spec) {
    const auto fault = [&](const std::string& reason) {
      return rechost::ConfigError("heads: \"" + text + "\" " + reason + "; write label:kind or label:kind:weight");
    };
    const std::size_t first = text.find(':');
    if (first == std::string::npos) throw fault("has no kind");
    const std::size_t second = text.find(':', first + 1);
    rechost::Label label = schema.label(text.substr(0, first));
    const std::string kind = text.substr(first + 1, second == std::string::npos ? second : second - first - 1);
    if (kind == "binary") {
      label.kind = RH_LABEL_BINARY;
    } else if (kind == "regression") {
      label.kind = RH_LABEL_REGRESSION;
    } else if (kind == "multiclass") {
      if (label.kind != RH_LABEL_MULTICLASS) throw fault("is multiclass, but the data does not say how many classes the label has");
    } else {
      throw fault("has the unknown kind '" + kind + "' (binary, regression, multiclass)");
    }
    double weight = 1;
    if (second != std::string::npos) {
      const char* end = text.data() + text.size();
      const auto result = std::from_chars(text.data() + second + 1, end, weight);
      if (result.ec != std::errc() || result.ptr != end) throw fault("has a weight that is not a number");
    }
    add(label, weight, spec);
  }

  std::vector<Slice> slices_;
  int64_t width_ = 0;
};

}  // namespace layers

#pragma GCC visibility pop
