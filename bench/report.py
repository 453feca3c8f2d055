"""The figures as files: JSON, a page of tables, a plot."""

import dataclasses
import json
import shutil

import plot
import proxies
from scenarios import SCENARIOS
from targets import verdicts

COLUMNS = ["direct", *proxies.NAMES]


def write(outcome, folder):
    """Writes everything into a folder, and returns the page."""
    folder.mkdir(exist_ok=True)
    text = page(outcome)
    (folder / "results.json").write_text(json.dumps(dataclasses.asdict(outcome), indent=1))
    (folder / "RESULTS.md").write_text(text)
    if problem := plot.draw(outcome, folder / "results.svg"):
        print(f"No plot: {problem}")
    return text


def keep(folder, where):
    """Copies a run's page and plot to where they are versioned."""
    for name in ["RESULTS.md", "results.svg"]:
        if (folder / name).exists():
            shutil.copy(folder / name, where / name)


def page(outcome):
    versions = ", ".join(f"{name} {version}" for name, version in outcome.versions.items())
    parts = [
        "# Results of `make bench`",
        f"{outcome.began} UTC, {outcome.machine}. {versions}. Median of {outcome.rounds} rounds of {outcome.seconds} s"
        + (" (a quick run: rough figures)" if outcome.quick else "") + ". What the rows are, and how to read them: [README.md](README.md).",
        "![CPU for each request](results.svg)",
        "## Targets", targets(outcome),
    ]
    if outcome.shared:
        parts += [
            "## CPU of the proxy, µs for each request", shared(outcome, "cpu_us", "{:,.1f}"),
            "## Requests for each second", shared(outcome, "rate", "{:,.0f}", skip=["rate"]),
            "## Time of a request, p50 / p99, µs", shared(outcome, ("p50_us", "p99_us"), "{:,.0f}"),
            "## Resident memory, MB", memory(outcome),
        ]
    if outcome.alone or outcome.memory or outcome.churn:
        parts += ["## a8sidecar by itself", alone(outcome)]
    parts += ["## Notes", "\n".join(notes(outcome))]
    return "\n\n".join(parts) + "\n"


def targets(outcome):
    words = {True: "holds", False: "**missed**", None: "not measured"}
    return table(["target", "measured", ""], [[target, found, words[holds]] for target, found, holds in verdicts(outcome)])


def shown(outcome):
    with_figures = {name for figures in outcome.shared.values() for name in figures}
    return [name for name in COLUMNS if name in with_figures or name in outcome.missing]


def shared(outcome, what, form, skip=()):
    keys = [what] if isinstance(what, str) else what
    names = [name for name in shown(outcome) if name != "direct" or what != "cpu_us"]
    rows = []
    for scenario in SCENARIOS:
        if scenario.name in outcome.shared and scenario.name not in skip:
            figures = [[outcome.figure(scenario.name, name, key) for key in keys] for name in names]
            rows.append([scenario.title, *(cell(each, form) for each in figures)])
    return table(["", *names], rows)


def memory(outcome):
    names = [name for name in shown(outcome) if name != "direct"]
    rows = [["at rest", *(cell([outcome.idle.get(name)], "{:.1f}") for name in names)]]
    for scenario in SCENARIOS:
        if scenario.name in ["base", "connections-1000", "body-1m"] and scenario.name in outcome.shared:
            figures = [outcome.figure(scenario.name, name, "rss_mb") for name in names]
            rows.append([f"after {scenario.title.removeprefix('… ')}", *(cell([each], "{:.1f}") for each in figures)])
    return table(["", *names], rows)


def alone(outcome):
    rows = []
    for kind in outcome.alone.values():
        for name, found in kind.items():
            rows.append([
                name, f"{found['cpu_us']:.1f}", f"{(found['ratio'] - 1) * 100:+.1f} %", f"{found['rate']:,.0f}",
                f"{found['rss_mb']:.1f}", f"{found['errors'] + found['non_2xx']:.0f}",
            ])
    if found := outcome.memory:
        rows.append(["5,000 rules and 5,000 instances", "", "", "", f"{found['before_mb']:.1f}, later {found['after_mb']:.1f}", ""])
    if found := outcome.churn:
        quiet, changing = found["quiet"], found["changing"]
        for name, each in [("5,000 rules from a controller", quiet), (f"… {found['edits_per_second']:.0f} changes/s", changing)]:
            more = (each["cpu_us"] / quiet["cpu_us"] - 1) * 100
            failed = each["errors"] + each["non_2xx"]
            rows.append([name, f"{each['cpu_us']:.1f}", f"{more:+.1f} %", f"{each['rate']:,.0f}", f"{each['rss_mb']:.1f}", f"{failed:.0f}"])
    return table(["", "CPU µs for each request", "beside the first", "requests/s", "RSS MB", "failed"], rows)


def notes(outcome):
    found = [f"- {name} is left out: {why}" for name, why in outcome.missing.items()]
    if "nginx" in outcome.versions:
        found.append("- nginx speaks HTTP/1.1 to the backend where the row says HTTP/2.")
    if outcome.dropped:
        found.append(f"- a8sidecar has dropped {outcome.dropped:,.0f} lines of its access log, which could not be written in time.")
    if outcome.churn and (behind := outcome.churn["behind_seconds"]) > 0.1:
        found.append(f"- While rules change a8sidecar falls behind; it had the last change {behind:.1f} s after the controller.")
    found += [f"- **Problem**: {problem}" for problem in outcome.problems]
    return found or ["- All requests were answered."]


def cell(figures, form):
    if any(figure is None for figure in figures):
        return "-"
    return " / ".join(form.format(figure) for figure in figures)


def table(head, rows):
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
