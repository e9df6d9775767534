"""The figures that the project's README shows, from a whole run."""

from datetime import date

from . import machine, report

BEGIN, END = "<!-- Figures: written by `bench/run --save`. -->\n", "<!-- End of the figures. -->\n"


def renew(readme, results):
    """Puts the results in the place of what stands between the two marks."""
    before, after = parts(readme)
    readme.write_text(before + BEGIN + figures(results) + END + after)


def parts(readme):
    """What stands before the first mark, and what behind the second."""
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise machine.Failure(f"{readme}: its figures should stand between the lines\n{BEGIN}{END}")
    return text[:text.index(BEGIN)], text[text.index(END) + len(END):]


def figures(results):
    versions = [f"{name} {version.split('-')[0]}" for name, version in results["versions"].items() if name != report.OURS]
    day = date.fromisoformat(results["date"])
    return f"""\
Version {results["versions"][report.OURS]} beside {joined(versions) or "nobody"}, one worker each, on a machine with
{results["machine"]["processors"]} processors, {day.day} {day:%B %Y}; medians of {results["rounds"]} pairs (above 1 is more work for the same CPU time):

![work per CPU second beside {joined(versions)}](bench/charts/main.svg)

{report.main_ratios(results)}

An idle tunnel holds {held(results, "idle-tunnel")}; over TLS {held(results, "idle-tunnel-tls")}; a kept
connection between two requests {held(results, "idle-request")}.
"""


def held(results, crowd):
    told = results["crowds"][crowd]
    peers = [f"{name} {one['bytes_each']:,.0f}" for name, one in told.items() if name != report.OURS]
    return f"{told[report.OURS]['bytes_each']:,.0f} bytes" + (f" ({joined(peers)})" if peers else "")


def joined(words):
    return " and ".join([", ".join(words[:-1]), *words[-1:]]) if len(words) > 1 else "".join(words)
