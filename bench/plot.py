"""The figures as a picture."""

import proxies
from scenarios import SCENARIOS

COLUMNS = 3
COLOURS = {"a8sidecar": "#1f6f8b", "nginx": "#7a9e5c", "haproxy": "#d3a13b", "envoy": "#b5533c", "traefik": "#8a7ca8"}


def draw(outcome, path):
    """Draws into a file; why it could not, if so."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as e:
        return str(e)
    rows = [each for each in SCENARIOS if each.name in outcome.shared]
    names = [name for name in proxies.NAMES if any(name in found for found in outcome.shared.values())]
    if not rows or not names:
        return "no proxies were compared"
    panels = []
    for each in rows:
        title = each.title.replace("…", "HTTP/1.1," if each.load.protocol == "h1" else "TCP,")
        panels.append((f"{title}: CPU, µs", [outcome.figure(each.name, name, "cpu_us") for name in names]))
    if "rate" in outcome.shared:
        for what in ["p50", "p99"]:
            figures = [outcome.figure("rate", name, f"{what}_us") for name in names]
            panels.append((f"{what} at 1,000 requests/s, µs", figures))
    panels.append(("Resident memory at rest, MB", [outcome.idle.get(name) for name in names]))
    lines = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 1.9 * lines), layout="constrained")
    for n, (title, figures) in enumerate(panels):
        bars(figure.add_subplot(lines, COLUMNS, n + 1), title, names, figures)
    # Text as text: a smaller file, and the same one for the same figures.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "a8"}):
        figure.savefig(path, metadata={"Date": None})
    return None


def bars(axes, title, names, figures):
    found = axes.barh(names, [figure or 0 for figure in figures], color=[COLOURS[name] for name in names])
    axes.bar_label(found, ["-" if figure is None else f"{figure:,.1f}" for figure in figures], padding=2, fontsize=7)
    axes.set_title(title, fontsize=8, loc="left")
    axes.invert_yaxis()
    axes.margins(x=0.2)
    axes.tick_params(labelsize=7, length=0)
    axes.set_xticks([])
    axes.spines[["top", "right", "bottom"]].set_visible(False)
