"""The parts of the bench that compare with nobody: each is a module with

    TITLE               what stands above its table
    ROWS                {figure: (what it is called, digits)}, in the order of the table
    TARGETS             [(figure, at most)]
    measure(options, folder)    {figure: value, or a list with one value of each round}

`folder` is the part's own. A part that cannot run here raises Missing with the reason."""

import statistics


class Missing(Exception):
    """What this part needs is not here."""


def summarize(figures):
    """{figure: {median, min, max}}"""
    values = {name: value if isinstance(value, list) else [value] for name, value in figures.items()}
    return {name: {"median": statistics.median(several), "min": min(several), "max": max(several)} for name, several in values.items()}


def table(module, summary):
    """Markdown; in brackets the lowest and the highest of the rounds."""
    lines = [f"| {module.TITLE} | |", "|---|---:|"]
    for name, (label, digits) in module.ROWS.items():
        if name in summary:
            one = summary[name]
            spread = f" [{one['min']:,.{digits}f}-{one['max']:,.{digits}f}]" if one["min"] != one["max"] else ""
            lines.append(f"| {label} | {one['median']:,.{digits}f}{spread} |")
    return "\n".join(lines) + "\n"


def targets(module, summary):
    """[(what, wanted, measured, met)], as report.targets() gives them."""
    return [(f"{module.TITLE}: {module.ROWS[name][0]}", f"<= {limit:g}", summary[name]["median"], summary[name]["median"] <= limit)
            for name, limit in module.TARGETS if name in summary]
