"""What a8sidecar is to keep to, and whether it did."""


def verdicts(outcome):
    """`(target, measured, holds)` of each; `holds` is None where a figure is missing."""
    return [
        ratio(outcome, "CPU for a request in HTTP/1.1 at most 0.45 of Envoy's", "base", "cpu_us", "envoy", 0.45),
        ratio(outcome, "… at most nginx's", "base", "cpu_us", "nginx", 1.0),
        ratio(outcome, "p99 at 1,000 requests/s at most Envoy's", "rate", "p99_us", "envoy", 1.0),
        ratio(outcome, "CPU for a request in HTTP/2 at most 0.5 of Envoy's", "h2", "cpu_us", "envoy", 0.5),
        ratio(outcome, "CPU for an exchange over TCP at most 0.5 of Envoy's", "tcp", "cpu_us", "envoy", 0.5),
        rules(outcome),
        memory("RSS at rest at most 10 MB", outcome.idle.get("a8sidecar"), 10),
        memory("RSS with 5,000 rules and 5,000 instances at most 40 MB", (outcome.memory or {}).get("after_mb"), 40),
        failures(outcome),
    ]


def ratio(outcome, target, scenario, what, peer, most):
    ours, theirs = (outcome.figure(scenario, name, what) for name in ["a8sidecar", peer])
    if ours is None or not theirs:
        return target, "-", None
    return target, f"{ours / theirs:.2f} ({ours:,.1f} of {theirs:,.1f} µs)", ours / theirs <= most


def rules(outcome):
    target = "5,000 rules cost at most 5 % more than one"
    many = outcome.alone.get("rules", {}).get("5,000 rules")
    if not many:
        return target, "-", None
    return target, f"{(many['ratio'] - 1) * 100:+.1f} %", many["ratio"] <= 1.05


def memory(target, measured, most):
    if measured is None:
        return target, "-", None
    return target, f"{measured:.1f} MB", measured <= most


def failures(outcome):
    target = "No request fails while rules change"
    if not outcome.churn:
        return target, "-", None
    changing = outcome.churn["changing"]
    failed = changing["errors"] + changing["non_2xx"]
    return target, f"{failed} failed beside {outcome.churn['edits']:,} changes", failed == 0
