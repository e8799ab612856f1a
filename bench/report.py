"""From the figures of all rounds to medians, a table with ratios to HAProxy, and the targets."""

import statistics

ROWS = {  # figure: (what it is called, digits)
    "rps": ("requests/s", 0), "cpu_client_us": ("CPU us/request, client's proxy", 1),
    "cpu_server_us": ("CPU us/request, server's proxy", 1), "cpu_pair_us": ("CPU us/request, pair", 1),
    "p50_us": ("p50 us, saturated", 0), "p99_us": ("p99 us, saturated", 0), "p99_9_us": ("p99.9 us, saturated", 0),
    "open_p50_us": ("p50 us at 1,000/s", 0), "open_p99_us": ("p99 us at 1,000/s", 0),
    "open_p99_9_us": ("p99.9 us at 1,000/s", 0), "connections": ("connections between the pair", 0),
    "gigabytes_per_second": ("GB/s", 2), "cpu_client_s_per_gb": ("CPU s/GB, client's proxy", 2),
    "cpu_server_s_per_gb": ("CPU s/GB, server's proxy", 2), "cpu_pair_s_per_gb": ("CPU s/GB, pair", 2),
    "rss_start_kib": ("RSS at start, KiB (larger of the two)", 0), "anon_start_kib": ("of it anonymous, KiB", 0),
    "rss_load_kib": ("peak RSS under the loads, KiB (larger)", 0), "ready_ms": ("start to ready, ms (slower)", 0),
    "client_kib": ("KiB each, client's proxy", 1), "server_kib": ("KiB each, server's proxy", 1),
}
BASE = "haproxy"


def summarize(rounds):
    """{load: {scene: {figure: {median, min, max}}}} from a list of {load: {scene: {figure: value}}}."""
    result = {}
    for one in rounds:
        for load, scenes in one.items():
            for scene, figures in scenes.items():
                for name, value in figures.items():
                    result.setdefault(load, {}).setdefault(scene, {}).setdefault(name, []).append(value)
    return {load: {scene: {name: {"median": statistics.median(values), "min": min(values), "max": max(values)}
                           for name, values in figures.items()}
                   for scene, figures in scenes.items()} for load, scenes in result.items()}


def cell(figures, base, name, digits, is_base):
    if name not in figures:
        return ""
    value = figures[name]["median"]
    text = f"{value:,.{digits}f}"
    if name == "open_p99_us":
        text += f" [{figures[name]['min']:,.0f}-{figures[name]['max']:,.0f}]"
    if base and name in base and base[name]["median"] > 0 and not is_base:
        text += f" ({value / base[name]['median']:.2f})"
    return text


def table(summary, scenes):
    """Markdown; in parentheses the ratio to HAProxy, in brackets the range over the rounds."""
    lines = []
    for load, by_scene in summary.items():
        lines += [f"| {load} | " + " | ".join(scenes) + " |", "|---|" + "---:|" * len(scenes)]
        for name, (label, digits) in ROWS.items():
            cells = [cell(by_scene.get(scene, {}), by_scene.get(BASE), name, digits, scene == BASE) for scene in scenes]
            if any(cells):
                lines.append(f"| {label} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def targets(summary):
    """[(what, wanted, measured, met)], of those whose figures are there."""
    def get(load, scene, name):
        return summary.get(load, {}).get(scene, {}).get(name, {}).get("median")

    found = []

    def check(what, measured, limit, at_most=True):
        if measured is not None and limit is not None:
            found.append((what, f"{'<=' if at_most else '>='} {limit:.4g}", measured,
                          measured <= limit if at_most else measured >= limit))

    def scaled(value, by):
        return None if value is None else value * by

    ours = "clinkerd"
    for load in ("HTTP/1.1", "HTTP/2"):
        check(f"{load}: CPU us/request of the pair, 0.8 of HAProxy's", get(load, ours, "cpu_pair_us"),
              scaled(get(load, BASE, "cpu_pair_us"), 0.8))
        check(f"{load}: requests/s, HAProxy's", get(load, ours, "rps"), get(load, BASE, "rps"), at_most=False)
    for load in ("HTTP/1.1", "HTTP/2", "gRPC"):
        check(f"{load}: p50 us at 1,000/s, HAProxy's", get(load, ours, "open_p50_us"), get(load, BASE, "open_p50_us"))
    check("bulk TCP: CPU s/GB of the pair, half of Envoy's", get("bulk TCP", ours, "cpu_pair_s_per_gb"),
          scaled(get("bulk TCP", "envoy", "cpu_pair_s_per_gb"), 0.5))
    check("RSS at start, KiB", get("process", ours, "rss_start_kib"), 8192)
    check("anonymous RSS at start, KiB", get("process", ours, "anon_start_kib"), 2048)
    check("RSS under the loads, KiB", get("process", ours, "rss_load_kib"), 11264)
    check("start to ready, ms, with the control plane's answers", get("process", ours, "ready_ms"), 100)
    for kind, limit in (("idle plain-http1", 1), ("idle mtls-tcp", 26), ("idle mtls-h2", 30)):
        for side in ("client", "server"):
            check(f"{kind}: KiB each, {side}'s proxy", get(kind, ours, f"{side}_kib"), limit)
    return found


def target_lines(found):
    return "\n".join(f"{'met   ' if met else 'MISSED'}  {what}: {measured:,.4g} (wanted {wanted})"
                     for what, wanted, measured, met in found)
