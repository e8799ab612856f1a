"""Whether a run was good: what is said at its end, and its status."""

from screen import tables, troubles


class Verdict:
    """problems: sentences, empty when all was good."""

    def __init__(self, problems, lines):
        self.problems, self.lines = problems, lines

    @property
    def status(self):
        return 1 if self.problems else 0


def _silent_services(services, whole):
    """Services of the manifests that nobody used, by name or through a route to them."""
    used = {edge.called for edge in whole.edges.values() if edge.requests or edge.opened}
    answering = {edge.pod for edge in whole.edges.values() if edge.requests or edge.opened}
    return [name for name, pods in services.items() if name not in used and not pods & answering]


def judge(whole, seconds, results, services, ended):
    """whole: the reading at the end; results: what the loads counted; services: name -> its Pods; ended: sentences about
    programs that ended before they were told to."""
    problems = list(ended)
    for result in results:
        if result.note:
            problems.append(f"{result.name}: {result.note}")
        problems += [f"{result.name} saw a failure: {reason} x{count}" for reason, count in result.failed.items()]
        if not result.sent and not result.note:
            problems.append(f"{result.name} sent nothing")
    problems += troubles(whole)
    problems += [f"service {name} had no traffic" for name in _silent_services(services, whole)]
    lines = tables(whole, whole, seconds, per=False)
    lines += [("", None), ("As the clients counted: " + ", ".join(
        f"{result.name} {result.sent} ({sum(result.failed.values())} failed)" for result in results), None)]
    return Verdict(problems, lines)
