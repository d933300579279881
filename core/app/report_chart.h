#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rechost::app {

/// Text as it stands in HTML: & < > " escaped.
std::string html_text(std::string_view text);

/// A number as a reader wants it: "0.8213", "12,345", "1.2e-07"; "-" for NaN.
std::string number_text(double value);

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< x ascending
  std::size_t colour = 0;                         ///< below 4: the same for the same thing in every chart
};

/// A line chart as inline SVG. Needs no script; colours come from the page's style, so it follows light and dark.
struct Chart {
  std::string title;
  std::string x_label;
  std::vector<Series> series;                               ///< empty ones are left out
  std::optional<std::pair<std::string, double>> reference;  ///< name and height of a dashed line
  bool against_itself = false;                              ///< x and y are the same quantity from 0 on: a diagonal is where they agree
};

/// A <figure> with legend. Many points are drawn faintly beneath their moving average; few get a mark each that shows its value.
std::string chart_html(const Chart& chart);

/// Shares of a whole as one bar with its legend. Shares that would show as 0 % are left out.
std::string shares_html(std::string_view title, const std::vector<std::pair<std::string, double>>& shares);

}  // namespace rechost::app
