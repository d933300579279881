#include "app/report_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "app/setup.h"

namespace rechost::app {

namespace {

// Of the drawing, in its own units: the page scales it to the width there is.
constexpr double kWidth = 560;
constexpr double kHeight = 260;
constexpr double kLeft = 52;
constexpr double kRight = 12;
constexpr double kTop = 10;
constexpr double kBottom = 40;

/// From so many points on the single ones are noise to the eye.
constexpr std::size_t kManyPoints = 60;
/// No screen shows more.
constexpr std::size_t kMostPoints = 800;

using Points = std::vector<std::pair<double, double>>;

/// An axis with ticks at 1, 2 or 5 times a power of ten.
struct Axis {
  double low = 0.0;
  double high = 1.0;
  double step = 0.2;

  Axis(double from, double to, int ticks) {
    if (!(to > from)) {
      const double room = from == 0.0 ? 1.0 : std::abs(from) * 0.05;
      from -= room;
      to += room;
    }
    const double raw = (to - from) / ticks;
    const double power = std::pow(10.0, std::floor(std::log10(raw)));
    const double digit = raw / power;
    step = power * (digit < 1.5 ? 1.0 : digit < 3.0 ? 2.0 : digit < 7.0 ? 5.0 : 10.0);
    low = from;
    high = to;
  }

  std::vector<double> ticks() const {
    std::vector<double> values;
    for (double at = std::ceil(low / step - 1e-9); at * step <= high + step * 1e-9; at += 1.0) values.push_back(at * step);
    return values;
  }

  std::string text(double value) const {
    if (std::abs(value) < step / 2) return "0";
    const auto decimals = [](double of) { return std::max(0, -static_cast<int>(std::floor(std::log10(of) + 1e-9))); };
    if (high >= 1e6) return fmt::format("{:.{}f}M", value / 1e6, decimals(step / 1e6));
    if (high >= 1e4) return fmt::format("{:.{}f}k", value / 1e3, decimals(step / 1e3));
    if (step < 1e-4) return fmt::format("{:.3g}", value);
    return fmt::format("{:.{}f}", value, decimals(step));
  }
};

struct Frame {
  Axis x;
  Axis y;

  double across(double value) const { return kLeft + (value - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight); }
  double down(double value) const { return kHeight - kBottom - (value - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom); }
};

Frame frame_of(const Chart& chart) {
  double left = std::numeric_limits<double>::infinity();
  double right = -left;
  double low = left;
  double high = right;
  for (const Series& series : chart.series) {
    for (const auto& [x, y] : series.points) {
      left = std::min(left, x);
      right = std::max(right, x);
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  if (chart.reference) {
    low = std::min(low, chart.reference->second);
    high = std::max(high, chart.reference->second);
  }
  if (chart.against_itself) {
    const double most = std::min(1.0, 1.08 * std::max(right, high));
    return {Axis(0.0, most, 5), Axis(0.0, most, 5)};
  }
  const double room = (high - low) * 0.06;
  // Where a curve begins late, as that of a resumed run, the steps before it are left out.
  return {Axis(left < 0.2 * right ? 0.0 : left, right, 6), Axis(low - room, high + room, 5)};
}

/// Mean over groups of neighbours, so that at most kMostPoints are left.
Points thinned(const Points& points) {
  if (points.size() <= kMostPoints) return points;
  Points result;
  const std::size_t group = (points.size() + kMostPoints - 1) / kMostPoints;
  for (std::size_t first = 0; first < points.size(); first += group) {
    const std::size_t count = std::min(group, points.size() - first);
    double x = 0.0;
    double y = 0.0;
    for (std::size_t i = first; i < first + count; ++i) {
      x += points[i].first;
      y += points[i].second;
    }
    result.emplace_back(x / static_cast<double>(count), y / static_cast<double>(count));
  }
  return result;
}

/// Mean over a window that is cut at the ends, so that the curve reaches both.
Points smoothed(const Points& points) {
  const std::size_t half = std::max<std::size_t>(2, points.size() / 50);
  Points result;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t reach = std::min({half, i, points.size() - 1 - i});
    double sum = 0.0;
    for (std::size_t j = i - reach; j <= i + reach; ++j) sum += points[j].second;
    result.emplace_back(points[i].first, sum / static_cast<double>(2 * reach + 1));
  }
  return result;
}

std::string line_svg(const Frame& frame, const Points& points, std::string_view css_class) {
  std::string places;
  for (const auto& [x, y] : points) places += fmt::format("{:.1f},{:.1f} ", frame.across(x), frame.down(y));
  if (!places.empty()) places.pop_back();
  return fmt::format("<polyline class=\"{}\" points=\"{}\"/>\n", css_class, places);
}

std::string grid_svg(const Frame& frame, std::string_view x_label) {
  std::string svg;
  for (const double at : frame.y.ticks()) {
    const double y = frame.down(at);
    svg += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>", kLeft, kWidth - kRight, y, y);
    svg += fmt::format("<text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{:.1f}\">{}</text>\n", kLeft - 8, y + 4, frame.y.text(at));
  }
  const double bottom = kHeight - kBottom;
  svg += fmt::format("<line class=\"axis\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>\n", kLeft, kWidth - kRight, bottom, bottom);
  for (const double at : frame.x.ticks()) {
    const double x = frame.across(at);
    svg += fmt::format("<text class=\"tick\" text-anchor=\"{}\" x=\"{:.1f}\" y=\"{}\">{}</text>\n", x > kWidth - 30 ? "end" : "middle",
                       std::min(x, kWidth - 2), bottom + 16, frame.x.text(at));
  }
  svg += fmt::format("<text class=\"tick\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{}</text>\n", kWidth - kRight, kHeight - 6,
                     html_text(x_label));
  return svg;
}

std::string legend_entry(std::string_view name, std::string_view css_class) {
  return fmt::format("<span class=\"key\"><i class=\"{}\"></i>{}</span>", css_class, html_text(name));
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    switch (letter) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += letter;
    }
  }
  return result;
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "-";
  const double size = std::abs(value);
  if (size >= 1e15 || (size > 0.0 && size < 1e-4)) return fmt::format("{:.3g}", value);
  if (size >= 1000.0) return count_text(std::llround(value));
  if (value == std::floor(value)) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4f}", value);
}

std::string chart_html(const Chart& chart) {
  const Frame frame = frame_of(chart);
  std::string svg = grid_svg(frame, chart.x_label);
  std::string legend;
  if (chart.against_itself) {
    svg += line_svg(frame, {{0.0, 0.0}, {frame.x.high, frame.y.high}}, "reference");
    legend += legend_entry("perfectly calibrated", "dashed");
  }
  if (chart.reference) {
    svg += line_svg(frame, {{frame.x.low, chart.reference->second}, {frame.x.high, chart.reference->second}}, "reference");
    legend += legend_entry(fmt::format("{} {}", chart.reference->first, number_text(chart.reference->second)), "dashed");
  }
  for (const Series& series : chart.series) {
    if (series.points.empty()) continue;
    const std::string own = fmt::format("series-{}", series.colour);
    const Points points = thinned(series.points);
    if (points.size() > kManyPoints) {
      svg += line_svg(frame, points, own + " faint");
      svg += line_svg(frame, smoothed(points), own);
    } else {
      svg += line_svg(frame, points, own);
      for (const auto& [x, y] : points) {
        svg += fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"><title>{}: {} at {}</title></circle>\n", own,
                           frame.across(x), frame.down(y), html_text(series.name), number_text(y), number_text(x));
      }
    }
    legend += legend_entry(series.name, own);
  }
  return fmt::format(
      "<figure class=\"card\"><figcaption><h3>{}</h3><div class=\"legend\">{}</div></figcaption>\n"
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n{}</svg></figure>\n",
      html_text(chart.title), legend, kWidth, kHeight, html_text(chart.title), svg);
}

std::string shares_html(std::string_view title, const std::vector<std::pair<std::string, double>>& shares) {
  std::string bar;
  std::string legend;
  std::size_t colour = 0;
  for (const auto& [name, share] : shares) {
    const std::string own = fmt::format("share-{}", colour++);
    if (share < 0.0005) continue;
    bar += fmt::format("<div class=\"{}\" style=\"width:{:.2f}%\" title=\"{}\"></div>", own, 100.0 * share, html_text(name));
    legend +=
        fmt::format("<tr><td><i class=\"{}\"></i>{}</td><td class=\"number\">{:.1f} %</td></tr>", own, html_text(name), 100.0 * share);
  }
  return fmt::format(
      "<figure class=\"card\"><figcaption><h3>{}</h3></figcaption>\n<div class=\"bar\">{}</div><table "
      "class=\"shares\">{}</table></figure>\n",
      html_text(title), bar, legend);
}

}  // namespace rechost::app
