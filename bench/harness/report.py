"""Says what came of it: a line for each scenario as it ends, and the document."""

from statistics import median

from .peers import YARDSTICKS
from .scenarios import (CROWD_SIZE, CROWDS, DRAIN, KIND_OF_ALL, KINDS, KNOBS, LIST, LISTS_A_SECOND, SCENARIOS, STAMPEDE, ZIPF,
                        ZIPF_CAPACITY_MIB)

OURS = "ours"
FLOOR, DIRECT = YARDSTICKS
GROSS = 0.5
WORSE = 1.1  # a latency or memory that is so many times another's counts as behind


def ratios(samples, peer, ours=OURS):
    """Work per CPU second, ours to the peer's, pair by pair."""
    return [one["per_cpu"] / other["per_cpu"] for one, other in zip(samples[ours], samples[peer]) if other["per_cpu"]]


def middle(samples, *keys):
    """The median of a figure over the rounds."""
    values = []
    for sample in samples:
        for key in keys:
            sample = sample[key]
        values.append(sample)
    return median(values)


def rivals(samples):
    return [name for name in compared(samples) if name not in YARDSTICKS]


def compared(samples):
    """All that ours can be set against."""
    return [name for name in samples if name != OURS and samples[name]] if samples.get(OURS) else []


# Lines

def line(scenario, results):
    samples = results["scenarios"][scenario.name]
    if not samples.get(OURS):
        return f"{scenario.name:<14} not measured"
    words = [f"{scenario.name:<14} ours {middle(samples[OURS], 'per_cpu'):>9,.0f}/CPU s"]
    for peer in compared(samples):
        if peer != DIRECT:
            found = ratios(samples, peer)
            words.append(f"{peer} {median(found):.2f} ({min(found):.2f}..{max(found):.2f})")
    if scenario.open_loop:
        words.append("p99 us: " + " ".join(
            f"{name} {middle(samples[name], 'latency_us', 'p99'):,.0f}" for name in [OURS, *rivals(samples)]))
    return "   ".join(words)


def crowd_line(crowd, results):
    told = results["crowds"][crowd.name]
    return "   ".join([f"{crowd.name:<14}", *(
        f"{name} {one['bytes_each']:,.0f} B, after {one['bytes_each_after_close']:,.0f} B"
        for name, one in told.items())])


def special_line(name, results):
    told = results["specials"][name]
    say = {
        "kinds": lambda samples: f"{middle(samples, 'per_cpu'):,.0f}/CPU s" if samples else "not measured",
        "zipf": lambda one: ", then ".join(f"hits {part['hit_ratio']:.1%} in {part['held_bytes'] / 2**20:,.0f} MiB"
                                           for part in (one["set"], one["holding"])),
        "stampede": lambda one: f"asked {median(one['reached_origin_each']):g}, p99 {one['latency_us']['p99'] / 1e3:,.0f} ms",
        "drain": lambda one: f"p99 {one['calm']['latency_us']['p99']:,.0f} -> {one['latency_us']['p99']:,.0f} us, "
                             f"failed {one['failed']}, {one['ends']}",
        "list": lambda one: ", then ".join(f"p99 {part['calm']['latency_us']['p99']:,.0f} -> {part['latency_us']['p99']:,.0f} us, "
                                           f"{part['lists']} lists" for part in (one["paced"], one["endless"])),
    }[name]
    return "   ".join([f"{name:<14}", *(f"{peer} {say(one)}" for peer, one in told.items())])


def knob_line(knob, results):
    samples = results["knobs"][knob.name]
    if len(samples) < 2:
        return f"{knob.name:<14} not measured"
    found = ratios(samples, OURS, "ours-variant")
    return f"{knob.name:<14} {knob.scenario}: {median(found):.2f} ({min(found):.2f}..{max(found):.2f})"


def losses(results, before):
    """Prints the ratios beside an older file's; how many of them have fallen below half or could not be had."""
    lost = 0
    for name, samples in results["scenarios"].items():
        if not rivals(samples):
            print(f"{name}: NOT MEASURED beside anyone")
            lost += 1
        old = before["scenarios"].get(name, {})
        for peer in rivals(samples):
            if peer in rivals(old):
                now, then = median(ratios(samples, peer)), median(ratios(old, peer))
                gross = now < then * GROSS
                lost += gross
                print(f"{name} to {peer}: {now:.2f}, was {then:.2f}{'   A GROSS LOSS' if gross else ''}")
    return lost


# The document

def document(results):
    parts = [header(results), behind(results), short(results), targets(results), floor(results), work(results),
             speed(results), latency(results), memory(results), crowds(results), specials(results), knobs(results), remarks(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def header(results):
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    return f"""# Results

{results["date"]}, {machine["processor"]}, {machine["processors"]} processors, {machine["memory_gib"]} GiB,
Linux {machine["kernel"]} ({machine["congestion_control"]}), load average {machine["load_average"]:.2f} before; {results["stolen"]:.1%} of the processor time
that was wanted went to other guests of the host. {results["seconds"]} seconds by `{results["command"]}`, {results["rounds"]} pairs of each scenario. {versions};
ours is commit {results["commit"]}.

The key figure is **work per CPU second of the gateway** (all its processes), one worker on one processor, as a ratio ours /
peer of loads that followed each other, the median of the pairs with the least and the greatest. Above 1 is more work for the
same CPU time. [README.md](README.md) says how it is measured, `results.json` has every sample."""


def behind(results):
    found = []
    for scenario in SCENARIOS:
        samples = results["scenarios"].get(scenario.name, {})
        for peer in rivals(samples):
            ratio = median(ratios(samples, peer))
            if ratio < 1 and not scenario.open_loop:
                found.append((ratio, f"{scenario.title}: {ratio:.2f} of {peer}'s work per CPU second"))
        if scenario.open_loop and rivals(samples):
            best = min(rivals(samples), key=lambda name: middle(samples[name], "latency_us", "p99"))
            ours, theirs = (middle(samples[name], "latency_us", "p99") for name in (OURS, best))
            if ours > theirs * WORSE:
                found.append((theirs / ours, f"{scenario.title}: p99 {ours:,.0f} µs, {best} {theirs:,.0f} µs"))
    for crowd in CROWDS:
        told = results["crowds"].get(crowd.name, {})
        for peer, one in told.items():
            ours = told.get(OURS, one)
            if peer != OURS and ours["bytes_each"] > one["bytes_each"] * WORSE:
                found.append((one["bytes_each"] / ours["bytes_each"],
                              f"{crowd.title}: {ours['bytes_each']:,.0f} bytes, {peer} {one['bytes_each']:,.0f}"))
    zipf = results["specials"].get("zipf", {})
    for peer, one in zipf.items():
        if peer != OURS and OURS in zipf:
            ours, theirs = (told["holding"]["hit_ratio"] for told in (zipf[OURS], one))
            is_bounded = one["holding"]["held_bytes"] < zipf[OURS]["holding"]["held_bytes"] * WORSE
            if ours < theirs and is_bounded:
                found.append((ours / theirs, f"Zipf: {ours:.1%} hits, {peer} {theirs:.1%} in as much memory"))
    for name, title in (("drain", "healthy client while tunnels drain"), ("stampede", "stampede on a cold key")):
        told = {peer: one["latency_us"]["p99"] for peer, one in results["specials"].get(name, {}).items()}
        peers = [peer for peer in told if peer != OURS]
        if OURS in told and peers:
            best = min(peers, key=told.get)
            if told[OURS] > told[best] * WORSE:
                found.append((told[best] / told[OURS], f"{title}: p99 {told[OURS]:,.0f} µs, {best} {told[best]:,.0f} µs"))
    lines = [f"- {text}" for _, text in sorted(found)]
    return "## Where we are behind\n\n" + ("\n".join(lines) if lines else "Nowhere in this run.")


def short(results):
    ratios = main_ratios(results)
    return f"## In short\n\nWork per CPU second, ours to the peer's.\n\n![main ratios](charts/main.svg)\n\n{ratios}" if ratios else ""


def main_ratios(results):
    """The main scenarios by peers."""
    names = [name for name in results["versions"] if name != OURS]
    rows = []
    for scenario in SCENARIOS:
        samples = results["scenarios"].get(scenario.name, {})
        if scenario.main and rivals(samples):
            cells = [f"**{median(ratios(samples, name)):.2f}**" if samples.get(name) else "–" for name in names]
            rows.append(f"| {scenario.title} | " + " | ".join(cells) + " |")
    if not rows:
        return ""
    return "\n".join(["| | " + " | ".join(f"to {name}" for name in names) + " |", "|---" * (len(names) + 1) + "|", *rows])


def targets(results):
    rows = []
    for scenario in SCENARIOS:
        samples = results["scenarios"].get(scenario.name, {})
        for peer, target in scenario.targets.items():
            if peer in rivals(samples):
                rows.append(aim(scenario.title, f"≥ {target:g} × {peer}", median(ratios(samples, peer)), target))
    kinds = results["specials"].get("kinds", {})
    for name, target in KINDS.items():
        if kinds.get(name):
            title = next(scenario.title for scenario in SCENARIOS if scenario.name == name)
            rows.append(aim(title, f"≥ {target:g} × our 1 KiB hit", median(ratios(kinds, KIND_OF_ALL, name)), target))
    for knob in KNOBS:
        samples = results["knobs"].get(knob.name, {})
        if knob.most and len(samples) == 2:
            ratio = median(ratios(samples, OURS, "ours-variant"))
            rows.append(f"| {knob.title}, {knob.scenario} | ≤ {knob.most:g} × on | {ratio:.2f} | {met(ratio <= knob.most)} |")
    for crowd in CROWDS:
        ours = results["crowds"].get(crowd.name, {}).get(OURS)
        for key, most in crowd.targets.items():
            if ours:
                value = ours["bytes_each" if key == "at_rest" else "bytes_each_after_close"]
                rows.append(f"| {crowd.title}, {key.replace('_', ' ')} | ≤ {most:,} bytes | {value:,.0f} | {met(value <= most)} |")
    zipf = results["specials"].get("zipf", {})
    for peer in ("haproxy", "varnish"):
        if OURS in zipf and peer in zipf:
            ours, theirs = (zipf[name]["holding"]["hit_ratio"] for name in (OURS, peer))
            rows.append(f"| Zipf, hits in as much memory | > {peer}'s {theirs:.1%} | {ours:.1%} | {met(ours > theirs)} |")
    listing = results["specials"].get("list", {}).get(OURS)
    if listing:
        for pace, often in (("paced", f"{LISTS_A_SECOND} times a second"), ("endless", "without a pause")):
            ratio = listing[pace]["latency_us"]["p99"] / listing[pace]["calm"]["latency_us"]["p99"]
            rows.append(f"| p99 while {LIST['tunnels']:,} tunnels are listed {often} | ≤ 1.1 × | {ratio:.2f} | {met(ratio <= 1.1)} |")
    if not rows:
        return ""
    return "\n".join(["## What we aim at", "", "| | aim | is | |", "|---|---|---|---|", *rows])


def floor(results):
    """What is possible at all, and how near to it everyone comes."""
    rows = []
    for scenario in SCENARIOS:
        samples = results["scenarios"].get(scenario.name, {})
        if samples.get(FLOOR) and rivals(samples):
            share = {name: median(ratios(samples, FLOOR, name)) for name in (OURS, *rivals(samples))}
            best = max(rivals(samples), key=share.get)
            names = [name for name in (OURS, FLOOR, DIRECT) if samples.get(name)]
            rows.append(f"| {scenario.title} | {middle(samples[FLOOR], 'per_cpu'):,.0f} | **{share[OURS]:.2f}** | "
                        f"{share[best]:.2f} ({best}) | " + " / ".join(f"{rate(samples[name]):,.0f}" for name in names) + " | "
                        + " / ".join(f"{middle(samples[name], 'latency_us', 'p50'):,.0f}" for name in names) + " |")
    if not rows:
        return ""
    return "\n".join([
        "## What the limit is", "",
        "The *floor* is the least that a gateway can do: an epoll and system calls, which gives a kept answer to each question without "
        "reading it, or pipes bytes between two sockets (`bench/src/floor.rs`). Nobody who reads HTTP comes to 1. *Direct* is the "
        "load without a gateway.", "",
        "| | floor, per CPU second | ours of it | best peer of it | rate: ours / floor / direct | p50, µs: ours / floor / direct |",
        "|---|---|---|---|---|---|", *rows])


def rate(samples):
    """Requests or messages a second of wall time."""
    return median(sample["done"] / sample["seconds"] for sample in samples)


def around(values):
    """The median, and how far the rounds lie around it: half of the way from the least to the greatest."""
    values = list(values)
    return f"{median(values):,.0f} ± {50 * (max(values) - min(values)) / median(values):.0f} %"


def aim(title, words, ratio, target):
    return f"| {title} | {words} | {ratio:.2f} | {met(ratio >= target)} |"


def met(is_met):
    return "met" if is_met else "**missed**"


def table(results, title, cell):
    """Scenarios by gateways, with `cell(samples, name)` in each."""
    names = list(results["versions"])
    rows = []
    for scenario in SCENARIOS:
        samples = results["scenarios"].get(scenario.name, {})
        if samples.get(OURS):
            cells = [cell(samples, name) if samples.get(name) else "–" for name in names]
            rows.append(f"| {scenario.title} | " + " | ".join(cells) + " |")
    if not rows:
        return ""
    return "\n".join([title, "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|", *rows])


def work(results):
    def cell(samples, name):
        if name == OURS:
            return around(sample["per_cpu"] for sample in samples[OURS])
        found = ratios(samples, name)
        return f"**{median(found):.2f}** ({min(found):.2f}–{max(found):.2f})"

    text = table(results, "## Work per CPU second\n\nOurs in requests or messages for each CPU second, the median and half of the way from "
                          "the least to the greatest; the others' columns say how many times theirs that is.\n\n![ratios](charts/work.svg)", cell)
    large = [f"{scenario.title} {median(ratios(results['scenarios'][scenario.name], 'nginx-64k')):.2f}"
             for scenario in SCENARIOS if "nginx-64k" in rivals(results["scenarios"].get(scenario.name, {}))]
    if large:
        text += ("\n\nBeside an nginx with buffers of 64 KiB, of which every tunnel then holds two: " + ", ".join(large) + ".")
    return text


def speed(results):
    def cell(samples, name):
        return around(sample["done"] / sample["seconds"] for sample in samples[name])

    return table(results, "## Raw rate\n\nRequests or messages a second of wall time, with the load and the backend on the "
                          "other processor; what they take bounds it, so it says less than the table above.", cell)


def latency(results):
    def cell(samples, name):
        return " / ".join(f"{middle(samples[name], 'latency_us', key):,.0f}" for key in ("p50", "p99", "p99.9"))

    return table(results, "## Latency\n\nMicroseconds: p50 / p99 / p99.9. Rows with a rate are open loop and compare; in the "
                          "others whoever is faster is also asked more.\n\n![latency](charts/latency.svg)", cell)


def memory(results):
    def cell(samples, name):
        held = [sample["held_bytes"] for sample in samples[name] if "held_bytes" in sample]
        return f"{median(held) / 2**20:,.0f}" if held else "–"

    return table(results, "## Memory under load\n\nMiB, resident and in files of the cache, at the end of each load. All ran one "
                          "after another in the same processes, so what an earlier load has left is in it.", cell)


def crowds(results):
    rows = []
    for crowd in CROWDS:
        for name, one in results["crowds"].get(crowd.name, {}).items():
            lost = one["connections"] - one["alive"]
            rows.append(f"| {crowd.title} | {name} | {one['bytes_each']:,.0f} | {one['bytes_each_after_close']:,.0f} | "
                        f"{lost or ''} |")
    if not rows:
        return ""
    return "\n".join([
        "## Memory of connections at rest", "",
        f"Resident bytes for each of {CROWD_SIZE:,} (Varnish: 3,000), and what of that is still held three seconds after they have closed.", "",
        "![memory](charts/memory.svg)", "",
        "| | | at rest | after they closed | closed by the gateway |", "|---|---|---|---|---|", *rows])


def specials(results):
    return "\n\n".join(filter(None, (
        make(results["specials"].get(name, {})) for name, make in
        (("zipf", zipf), ("stampede", stampede), ("drain", drain), ("list", listing)))))


def zipf(told):
    if not told:
        return ""
    rows = []
    for name, one in told.items():
        cells = [f"{one[part]['hit_ratio']:.1%} | {one[part]['held_bytes'] / 2**20:,.0f} MiB" for part in ("set", "holding")]
        rows.append(f"| {name} | {' | '.join(cells)} | {one['holding']['per_cpu']:,.0f} |")
    return "\n".join([
        "## A working set larger than the cache", "",
        f"{ZIPF['objects']:,} objects of {ZIPF['bytes']:,} bytes, Zipf with exponent {ZIPF['exponent']}. {ZIPF['fill']:,} requests "
        f"to fill, then {ZIPF['measured']:,} measured. First each gateway is set to {ZIPF_CAPACITY_MIB} MiB, {ZIPF['share']:.0%} of "
        "the bodies. As bounds count different things, each is then set so that it holds about that much, which is what its "
        "memory (nginx: its files too) grew by. One that holds far more has not kept its bound at this pace, and has no share in "
        "the comparison.", "",
        "| | hits, as set | held | hits, holding the same | held | requests per CPU second |", "|---|---|---|---|---|---|", *rows])


def stampede(told):
    if not told:
        return ""
    rows = [f"| {name} | {median(one['reached_origin_each']):g} | {one['latency_us']['p50'] / 1e3:,.0f} | "
            f"{one['latency_us']['p99'] / 1e3:,.0f} | {one['failed']} |" for name, one in told.items()]
    return "\n".join([
        "## A stampede on a cold key", "",
        f"{STAMPEDE['connections']:,} clients ask at once for what nobody has asked for; the backend takes 200 ms.", "",
        "| | backend asked | p50, ms | p99, ms | failed |", "|---|---|---|---|---|", *rows])


def drain(told):
    if not told:
        return ""
    rows = [f"| {name} | {triple(one['calm'])} | {triple(one)} | {one['failed']} | {one['last_end_seconds']:.1f} s | "
            + ", ".join(f"{end} {count:,}" for end, count in one["ends"].items()) + " |" for name, one in told.items()]
    return "\n".join([
        "## A healthy client while tunnels drain", "",
        f"{DRAIN['tunnels']:,} idle tunnels are drained while somebody else asks for {DRAIN['rate']:,} kept answers a second. "
        "Latencies in microseconds, p50 / p99 / p99.9.", "",
        "| | before | meanwhile | failed | last end | ends |", "|---|---|---|---|---|---|", *rows])


def listing(told):
    if not told:
        return ""
    one = next(iter(told.values()))
    rows = [f"| {often} | {part['lists']} | {triple(part['calm'])} | {triple(part)} |"
            for often, part in ((f"{LISTS_A_SECOND} times a second", one["paced"]), ("without a pause", one["endless"]))]
    return "\n".join([
        "## Listing", "",
        f"{LIST['tunnels']:,} tunnels are listed by the admin API for {LIST['seconds']} seconds, while somebody sends {LIST['rate']:,} "
        "messages a second. Latencies in microseconds, p50 / p99 / p99.9.", "",
        "| listed | lists | before | meanwhile |", "|---|---|---|---|", *rows])


def triple(told):
    return " / ".join(f"{told['latency_us'][key]:,.0f}" for key in ("p50", "p99", "p99.9"))


def knobs(results):
    rows = []
    for knob in KNOBS:
        samples = results["knobs"].get(knob.name, {})
        if len(samples) == 2:
            found = ratios(samples, OURS, "ours-variant")
            rows.append(f"| {knob.title} | {knob.scenario} | **{median(found):.2f}** ({min(found):.2f}–{max(found):.2f}) |")
    if not rows:
        return ""
    return "\n".join(["## Our own knobs", "", "Work per CPU second with the knob turned, as a ratio to without.", "",
                      "| | | ratio |", "|---|---|---|", *rows])


def remarks(results):
    if not results["remarks"]:
        return ""
    return "## Remarks of the run\n\n" + "\n".join(f"- {remark}" for remark in results["remarks"])
