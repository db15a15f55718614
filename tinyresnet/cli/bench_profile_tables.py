"""The tables of `tinyresnet bench --device cuda-host`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import console

if TYPE_CHECKING:
    from tinyresnet_kernels.cuda.registers import Row
    from tinyresnet_kernels.host import Launch, Site

    from ..bench.profile import Profile

CARD = "h100"  # of the ladders' tables
SIDE_BY_SIDE = 2  # launches of a table
WORST = 6  # lines of a kernel that are shown
TOLERABLE = 1.25  # times the least that a line may move without being called bad
BESIDE_CODE, LEAST_CODE = (
    68,
    24,
)  # characters of a row of lines without its code, and of the code, if it is shown at all

LEGEND = """\
asked     32-byte sectors that warps ask for: times the least, where every input is read and every result written once
DRAM      what caches let through of them (a model), likewise
bytes     that threads use of each sector; above 32 where lanes share them
conflicts the share of passes over shared memory that bank conflicts cost
ns        nanoseconds on a {card} at best, by a model from the counts: nothing was measured there
bound     by what takes that long: L1 stands for the path of 128 bytes a clock that global and shared memory have in common"""


def show_ladder(rungs: Sequence[Profile]) -> None:
    """A row a rung, all on the same problem."""
    from tinyresnet_kernels.host.cards import CARDS

    heads = ("rung", "MFLOP", "asked", "DRAM", "bytes", "conflicts", "ns", "bound")
    rows = []
    for rung in rungs:
        c, model = rung.counts, rung.model(CARDS[CARD])
        conflicts = f"{100 * c.bank_conflicts / c.shared_wavefronts:.0f} %" if c.shared_wavefronts else "-"
        cells = (_short(c.flops / 1e6), _short(rung.requested), _short(rung.dram), f"{c.coalescing:.1f}", conflicts)
        rows.append((rung.subject.name, *cells, _short(1e9 * model.seconds), model.bound))
    first = rungs[0]
    console.table(f"{first.subject.op}, {first.problem}: at least {_kilo(first.minimum)} kB must move", heads, rows)
    print("\n".join(f"  {rung.subject.name}: {rung.subject.says}" for rung in rungs), end="\n\n")


def show_legend() -> None:
    """What the ladders' columns mean."""
    from tinyresnet_kernels.host.cards import CARDS

    print(LEGEND.format(card=CARDS[CARD].name))


def show_profiles(profiles: Sequence[Profile], registers: Sequence[Row]) -> None:
    """All about one subject, on each of its problems."""
    print(f"{profiles[0].subject.name}: {profiles[0].subject.says}")
    for profile in profiles:
        right = f"right, it differs by {profile.difference:.1g} from the readable form" if profile.right else "WRONG"
        print(f"\n== {profile.problem}: {right}\n")
        for first in range(0, len(profile.launches), SIDE_BY_SIDE):
            _show_launches(profile.launches[first : first + SIDE_BY_SIDE])
        _show_traffic(profile)
        _show_lines(profile.sites)
    if registers:
        _show_block_needs(registers)
    _show_cards(profiles)


def _show_launches(launches: Sequence[Launch]) -> None:
    for launch in launches:
        grid, block = (" x ".join(map(str, sizes)) for sizes in (launch.grid, launch.block))
        print(f"{launch.kernel}: grid {grid}, block {block}, {launch.shared_mem:,} bytes of dynamic shared memory")
    columns = [_launch(launch) for launch in launches]
    rows = [(name, *(column[i][1] for column in columns)) for i, (name, _) in enumerate(columns[0])]
    console.table("", ("", *(launch.kernel for launch in launches)), rows)


def _launch(launch: Launch) -> list[tuple[str, str]]:
    """What is shown of a launch: names and cells."""
    c = launch.counts
    sites = [site for site in launch.sites if site.memory == "global"]
    moved, ideal = sum(site.moved for site in sites), sum(site.ideal for site in sites)
    return [
        ("MFLOP (a multiply-add is 2)", _short(c.flops / 1e6)),
        ("loads: requests of a warp", f"{c.load_requests:,}"),
        ("  kB that threads asked for", _kilo(c.load_bytes)),
        ("  kB moved, in 32-byte sectors", _kilo(32 * c.load_sectors)),
        ("stores: requests of a warp", f"{c.store_requests:,}"),
        ("  kB that threads wrote", _kilo(c.store_bytes)),
        ("  kB moved, in 32-byte sectors", _kilo(32 * c.store_sectors)),
        ("bytes used of a 32-byte sector", f"{c.coalescing:.1f}"),
        ("sectors moved, times the ideal", _short(moved / max(1, ideal))),
        ("through L2, kB (modelled)", _kilo(c.l2_bytes)),
        ("through DRAM, kB (modelled)", _kilo(c.dram_bytes)),
        ("shared memory: requests", f"{c.shared_requests:,}"),
        ("  passes (wavefronts)", f"{c.shared_wavefronts:,}"),
        ("  of them by bank conflicts", f"{c.bank_conflicts:,}"),
        ("barriers, all blocks together", f"{c.barriers:,}"),
        ("atomics", f"{c.atomics:,}"),
    ]


def _show_traffic(profile: Profile) -> None:
    rows = [
        (name, _kilo(times * profile.minimum), _short(times))
        for name, times in (
            ("at least: inputs read once, results written once", 1.0),
            ("asked for by warps, in sectors of 32 bytes", profile.requested),
            ("to and from DRAM behind the caches (modelled)", profile.dram),
        )
    ]
    console.table("global memory, all launches", ("", "kB", "times the least"), rows)


def _show_lines(sites: Sequence[Site]) -> None:
    """The lines that move most beyond the ideal, or where none does, most; and a sentence on those that are bad."""
    from ..bench.profile import code

    shown, room = sites[:WORST], shutil.get_terminal_size((120, 24)).columns - BESIDE_CODE
    heads = ["line", "access", "memory", "requests", "moved", "ideal", *(["code"] if room >= LEAST_CODE else [])]
    for file in dict.fromkeys(site.file for site in shown):
        rows = [
            (
                str(site.line),
                f"{'store' if site.write else 'load'} {site.size} B",
                site.memory,
                *(f"{number:,}" for number in (site.requests, site.moved, site.ideal)),
                *([code(site)[:room]] if room >= LEAST_CODE else []),
            )
            for site in shown
            if site.file == file
        ]
        console.table(f"worst lines of {file} (global memory: sectors, shared: passes)", heads, rows)
    bad = [site for site in shown if site.moved > TOLERABLE * site.ideal]
    for site in bad:
        what, unit = ("is uncoalesced: it moves", "sectors")
        if site.memory == "shared":
            what, unit = ("has bank conflicts: it takes", "passes")
        print(f"{site.file}:{site.line} {what} {_short(site.moved / site.ideal)} times the {unit} that its bytes need")
    print("" if bad else "No line moves much more than its bytes need.\n")


def _show_block_needs(rows: Sequence[Row]) -> None:
    table = [
        (
            row.kernel,
            row.arch,
            str(row.usage.registers),
            str(row.usage.spill),
            f"{row.usage.static_shared + row.dynamic_shared:,}",
            str(row.occupancy.blocks),
            f"{100 * row.occupancy.share:.0f} %",
            row.occupancy.bound,
        )
        for row in rows
    ]
    heads = ("kernel", "for", "registers", "spilled", "shared", "blocks", "warps", "full of")
    console.table("what a block takes of an SM, and how many fit, by NVIDIA's compiler", heads, table)


def _show_cards(profiles: Sequence[Profile]) -> None:
    from tinyresnet_kernels.host.cards import CARDS

    rows = []
    for card in CARDS.values():
        models = [profile.model(card) for profile in profiles]
        shares = [
            100 * p.counts.flops / m.seconds / card.float32 if m.seconds else 0.0
            for p, m in zip(profiles, models, strict=True)
        ]
        cells = [f"{_short(1e6 * m.seconds)}, {m.bound}, {s:.0f} %" for m, s in zip(models, shares, strict=True)]
        rows.append((card.name, *cells))
    heads = ("card", *(re.sub(r", \d+ pictures?$", "", profile.problem) for profile in profiles))
    console.table("A MODEL, not measured: microseconds at best, bound by, share of peak FLOP/s", heads, rows)
    print("It knows no latency, no launches (some 3 us each), and no SMs that a small problem leaves idle.")


def show_registers(rows: Sequence[Row]) -> None:
    """What every kernel takes of every architecture, and what is wrong with it."""
    architectures = list(dict.fromkeys(row.arch for row in rows))
    cells = {(row.real, row.kernel, row.arch): row for row in rows}
    for real in dict.fromkeys(row.real for row in rows):
        table = []
        for kernel in dict.fromkeys(row.kernel for row in rows if row.real == real):
            found = [cells[real, kernel, arch] for arch in architectures]
            shared = found[0].usage.static_shared + found[0].dynamic_shared
            table.append((kernel, f"{shared:,}", *map(_registers, found)))
        title = f"{real}: shared bytes; registers a thread (+ bytes spilled) / share of an SM's warps"
        console.table(title, ("kernel", "shared", *architectures), table)
    faults = [f"{row.kernel}, {row.real}, {row.arch}: {row.fault}" for row in rows if row.fault]
    print("\n".join(faults or ["Nothing spills, and every kernel keeps its budget."]))


def _registers(row: Row) -> str:
    spilled = row.usage.spill + row.usage.stack
    return f"{row.usage.registers}{f'+{spilled}B' if spilled else ''}/{row.occupancy.share:.0%}"


def _short(number: float) -> str:
    """Three digits."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _kilo(size: float) -> str:
    return f"{size / 1000:,.1f}" if size < 1e5 else f"{size / 1000:,.0f}"
