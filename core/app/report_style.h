#pragma once

#include <string_view>

namespace rechost::app {

/// The look of a run's report: one column on a phone, two on a screen, light or dark as the reader's system is.
inline constexpr std::string_view kReportStyle = R"(
:root { color-scheme: light dark; --paper: #f6f7f9; --card: #ffffff; --ink: #1b2330; --soft: #5d6878; --line: #e2e6ec; --axis: #9aa4b2;
  --blue: #2f6fde; --orange: #d9730d; --green: #2b8a57; --violet: #8250c4; --red: #c93a3a; --grey: #97a1af; }
@media (prefers-color-scheme: dark) { :root { --paper: #12161c; --card: #1b2129; --ink: #e6eaf0; --soft: #9aa6b6; --line: #2c343f; --axis: #556070;
  --blue: #6ea2ff; --orange: #f0a04b; --green: #5cc28b; --violet: #b596ee; --red: #f07a7a; --grey: #6d7887; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 14px; margin: 0; }
.lead { color: var(--soft); margin: 6px 0 0; overflow-wrap: anywhere; }
.title { display: flex; flex-wrap: wrap; gap: 12px; align-items: center; }
.status { font-size: 13px; font-weight: 600; padding: 2px 12px; border-radius: 999px; border: 1.5px solid currentColor; color: var(--soft); }
.status.finished { color: var(--green); } .status.failed, .status.killed { color: var(--red); }
.status.stopped { color: var(--orange); } .status.running { color: var(--blue); }
.error { margin: 20px 0 0; padding: 14px 18px; border-left: 4px solid var(--red); background: var(--card); border-radius: 4px; overflow-wrap: anywhere; }
.warning { margin: 12px 0 0; padding: 10px 18px; border-left: 4px solid var(--orange); background: var(--card); border-radius: 4px; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 24px 0 0; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 12px 16px; }
.tile b { display: block; font-size: 22px; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); gap: 16px; align-items: start; }
.card { margin: 0; padding: 16px 18px; min-width: 0; }
.card.wide { grid-column: 1 / -1; overflow-x: auto; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 16px; margin-bottom: 10px; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; color: var(--soft); font-size: 13px; }
.key i, .shares i { display: inline-block; width: 14px; height: 3px; margin-right: 6px; vertical-align: middle; border-radius: 2px; background: currentColor; }
.key i.dashed { height: 0; border-radius: 0; border-top: 2px dashed var(--axis); background: none; }
svg { display: block; width: 100%; height: auto; }
polyline { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
polyline.faint { opacity: 0.3; stroke-width: 1; }
polyline.reference { color: var(--axis); stroke-width: 1.5; stroke-dasharray: 5 4; }
circle { fill: currentColor; }
.series-0 { color: var(--blue); } .series-1 { color: var(--orange); } .series-2 { color: var(--green); } .series-3 { color: var(--violet); }
.grid { stroke: var(--line); } .axis { stroke: var(--axis); }
.tick { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.bar { display: flex; height: 22px; border-radius: 6px; overflow: hidden; background: var(--line); }
.bar div { background: currentColor; }
.shares i { height: 10px; width: 10px; }
.share-0 { color: var(--orange); } .share-1 { color: var(--green); } .share-2 { color: var(--blue); } .share-3 { color: var(--violet); }
.share-4 { color: var(--red); } .share-5 { color: var(--grey); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
.shares { margin-top: 12px; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: 13px; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; padding-right: 0; padding-left: 12px; font-variant-numeric: tabular-nums; white-space: nowrap; }
.settings { columns: 3 300px; column-gap: 16px; }
.settings .card { break-inside: avoid; margin-bottom: 16px; padding: 12px 16px 6px; }
.settings h3 { margin-bottom: 4px; }
.settings td, .settings h3 { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 12.5px; }
.settings td:first-child { color: var(--soft); white-space: nowrap; }
.settings td:last-child { text-align: right; padding-right: 0; }
footer { color: var(--soft); font-size: 13px; margin-top: 32px; overflow-wrap: anywhere; }
@media print { body { background: #fff; } .card, .tile { break-inside: avoid; } }
)";

}  // namespace rechost::app
