"""Charts as SVG, by hand: bars in groups."""

from html import escape
from statistics import median

from . import report
from .scenarios import CROWDS, SCENARIOS

COLOURS = {"ours": "#0f766e", "nginx": "#94a3b8", "haproxy": "#60a5fa", "varnish": "#fbbf24", "caddy": "#c084fc",
           "envoy": "#f472b6"}
WIDTH, LABELS, BAR, GAP, TOP = 860, 300, 13, 9, 46
FONT = 'font-family="system-ui, sans-serif"'


def draw(results, folder):
    folder.mkdir(exist_ok=True)
    main, work, latency, memory = [], [], [], []
    for scenario in SCENARIOS:
        samples = results["scenarios"].get(scenario.name, {})
        if not report.rivals(samples):
            continue
        if scenario.open_loop:
            names = [report.OURS, *report.rivals(samples)]
            latency.append((scenario.title, {
                name: report.middle(samples[name], "latency_us", "p99") for name in names if name in COLOURS}))
        else:
            group = {name: median(report.ratios(samples, name)) for name in report.rivals(samples) if name in COLOURS}
            work.append((scenario.title, group))
            if scenario.main:
                main.append((scenario.title, group))
    for crowd in CROWDS:
        told = results["crowds"].get(crowd.name, {})
        if told:
            memory.append((crowd.title, {name: max(one["bytes_each"], 0) for name, one in told.items() if name in COLOURS}))
    charts = {
        "main": ("Work per CPU second: how many times the peer's", main, "{:.2f}", 1.0),
        "work": ("Work per CPU second: how many times the peer's", work, "{:.2f}", 1.0),
        "latency": ("p99 at an equal rate, microseconds", latency, "{:,.0f}", None),
        "memory": ("Resident bytes for each connection at rest", memory, "{:,.0f}", None),
    }
    for name, (title, groups, form, mark) in charts.items():
        if groups:
            (folder / f"{name}.svg").write_text(bars(title, groups, form, mark))


def bars(title, groups, form, mark):
    """Groups of bars, one colour for each gateway; `mark` is a line to compare with."""
    longest = max(value for _, group in groups for value in group.values())
    scale = (WIDTH - LABELS - 70) / max(longest, mark or 0)
    y, body = TOP, []
    for label, group in groups:
        height = len(group) * BAR
        body.append(text(LABELS - 10, y + height / 2 + 4, label, "end"))
        for name, value in group.items():
            body.append(f'<rect x="{LABELS}" y="{y}" width="{value * scale:.1f}" height="{BAR - 2}" fill="{COLOURS[name]}"/>')
            body.append(text(LABELS + value * scale + 5, y + BAR - 3, form.format(value), "start", 10))
            y += BAR
        y += GAP
    if mark:
        x = LABELS + mark * scale
        body.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{y}" stroke="#dc2626" stroke-dasharray="4 3"/>')
    x = LABELS
    legend = []
    for name in COLOURS:
        if any(name in group for _, group in groups):
            legend.append(f'<rect x="{x}" y="27" width="10" height="10" fill="{COLOURS[name]}"/>' + text(x + 14, 36, name))
            x += 80
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 6}" viewBox="0 0 {WIDTH} {y + 6}">',
        f'<rect width="{WIDTH}" height="{y + 6}" fill="#ffffff"/>',
        f'<text x="12" y="20" {FONT} font-size="14" font-weight="600">{escape(title)}</text>',
        *legend, *body, "</svg>", ""])


def text(x, y, words, anchor="start", size=11):
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} font-size="{size}" text-anchor="{anchor}">{escape(words)}</text>'
