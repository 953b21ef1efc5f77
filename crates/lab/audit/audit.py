"""Recomputes every number and every verdict of a run from its raw data and the rules, and compares with its report.

    python audit.py DIRECTORY RULES.toml

Nothing here is shared with the program that wrote the report: another language, numpy and scipy for all statistics, and
the rules as they stand in the file. What differs is listed; the exit code says whether anything does.
"""

import csv
import hashlib
import itertools
import json
import math
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy import optimize, special, stats

import histogram

CLOSE = 1e-9
# Each cell has these, where its trials have them.
FIGURES = ["server-us", "cores-used", "requests-per-core-second", "throughput", "p50", "p99", "p999"]
FIGURES += ["bytes-per-key", "cost-per-million", "unsteadiness"]
# Figures of a trial are kept with four digits.
ROUNDED = 1e-3
DECIDES_MIN, INFORMS_MIN = 10, 6
FAILED_MAX = 0.1
DISTURBED = 0.15


class Audit:
    def __init__(self, directory, rules_path):
        self.directory = Path(directory)
        text = Path(rules_path).read_bytes()
        self.rules = tomllib.loads(text.decode())
        self.limits = self.rules["limits"]
        self.run = json.loads((self.directory / "run.json").read_text())
        self.report = json.loads((self.directory / "report.json").read_text())
        self.matrix = self.run["matrix"]
        self.trials = defaultdict(list)
        lines = (self.directory / "trials.jsonl").read_text().splitlines()
        for line in lines:
            trial = json.loads(line)
            self.trials[trial["cell"]].append(trial)
        self.checked, self.wrong = 0, []
        self.same("the hash of the rules in run.json", self.run["rules"], hashlib.sha256(text).hexdigest())
        self.same("the hash of the rules in report.json", self.report["rules"], self.run["rules"])

    # What is compared.

    def same(self, what, stated, found):
        self.checked += 1
        if stated != found:
            self.wrong.append(f"{what}: the report says {stated}, the raw data {found}")

    def close(self, what, stated, found, tolerance=CLOSE):
        self.checked += 1
        if (stated is None) != (found is None):
            self.wrong.append(f"{what}: the report says {stated}, the raw data {found}")
        # Whatever is compared with NaN is false: what is close must be shown, not what is far.
        elif stated is not None and not abs(stated - found) <= tolerance * max(abs(stated), abs(found), 1e-12):
            self.wrong.append(f"{what}: the report says {stated}, the raw data {found}")

    def interval(self, what, stated, found):
        if stated is None or found is None:
            self.same(what, stated, found)
        else:
            for name in ("low", "median", "high"):
                self.close(f"{what}, {name}", stated[name], found[name])
            self.same(f"{what}, count", stated["count"], found["count"])

    # The machine.

    def generators(self):
        return max(1, self.matrix["cores"] // 2)

    def room(self):
        cores = self.matrix["cores"]
        return cores if self.matrix["is_generator_elsewhere"] else max(1, cores - self.generators())

    def threads(self, name):
        cores = self.matrix["cores"]
        default = max(1, cores - 1)
        parts = {"quarter": max(1, cores // 4), "half": max(1, cores // 2), "cores": cores, "twice": 2 * cores}
        return {"one": 1, "room": self.room(), "default": default, **parts}[name]

    def has_server(self, name):
        if name in ("redis", ""):
            return True
        return self.matrix["has_valkey"] if name == "valkey" else name in self.matrix["engines"]

    def cell(self, spec):
        """The identity of a cell that the rules name."""
        kind, server = spec["kind"], spec.get("server", "")
        options = "".join(f", {o[2:]}" if o.startswith("--") else f" {o}" for o in spec.get("options", []))
        threads = self.threads(spec.get("threads", "room"))
        label = f"{server}{options}" if server in ("redis", "valkey") else f"{server} T{threads}{options}"
        workload, clients = spec.get("workload", ""), spec.get("clients", 0)
        pipeline = spec.get("pipeline", 1)
        generators = min(spec.get("generators", self.generators()), max(clients, 1))
        if kind == "tcp":
            return f"tcp {label}, {workload}, {clients} clients, P{pipeline}, G{generators}"
        if kind == "tail":
            share = f"{spec['percent']}% of {spec['peak']}"
            return f"tail {label}, {workload}, {clients} clients, {share}, G{generators}"
        if kind == "snapshot":
            return f"snapshot {label}, {spec['rate']}/s"
        if kind == "in-process":
            name = f"one {spec['lock']} lock" if "lock" in spec else server
            measured = ", lock waits measured" if spec.get("contention") else ""
            metrics = spec.get("metrics", "off")
            return f"in-process {name} T{threads}, metrics {metrics}, {workload}, B{pipeline}{measured}"
        if kind == "reference":
            return f"{spec['tool']}, {workload}, {clients} clients, P{pipeline}"
        return f"fairness {label}, {spec['case']}"

    def wants(self, spec):
        """Threads that want a core at the same time."""
        kind = spec["kind"]
        own = self.threads(spec.get("threads", "room"))
        options = spec.get("options", [])
        io = int(options[options.index("--io-threads") + 1]) if "--io-threads" in options else 1
        serving = io if spec.get("server") in ("redis", "valkey") else own
        if kind == "in-process":
            return own
        if kind == "reference":
            return 2
        if self.matrix["is_generator_elsewhere"]:
            return serving
        if kind in ("tcp", "tail"):
            return serving + min(spec.get("generators", self.generators()), max(spec.get("clients", 0), 1))
        return serving + 1

    def is_oversubscribed(self, spec):
        return self.wants(spec) > max(self.matrix["cores"], 2)

    # Figures.

    def measured(self, cell):
        found = self.trials.get(cell, [])
        return [((t["session"], t["round"]), t["outcome"]["measured"]) for t in found if "measured" in t["outcome"]]

    def value(self, measure, figure):
        main, more = measure["main"], measure.get("more", {})
        rate = main["rate"]
        server_us = measure["server_cores"] * 1e6 / rate if rate > 0 else 0.0
        phases = {}
        for phase in measure.get("phases", []):
            phases.setdefault(phase["name"], phase["p999_us"])
        try:
            value = {
                "server-us": lambda: server_us,
                "cores-used": lambda: measure["server_cores"],
                "requests-per-core-second": lambda: 1e6 / server_us,
                "throughput": lambda: rate,
                "p50": lambda: main["p50_us"],
                "p99": lambda: main["p99_us"],
                "p999": lambda: main["p999_us"],
                "bytes-per-key": lambda: measure["server_bytes"] / more["keys"],
                "cost-per-million": lambda: server_us / 3600.0 * self.limits["dollars_per_core_hour"],
                "unsteadiness": lambda: self.unsteadiness(measure),
                "contended": lambda: more["lock_contended"] / max(more["lock_acquisitions"], 1.0),
                "switches": lambda: (more["switches_voluntary"] + more["switches_involuntary"])
                * 1e3
                / max(main["requests"], 1),
                "calm-p999": lambda: phases["before"],
                "snapshot-p999": lambda: phases["BGSAVE"],
                "rewrite-p999": lambda: phases["BGREWRITEAOF"],
                "longest-wait": lambda: main["max_us"],
                "wait-p999": lambda: main["p999_us"],
            }[figure]()
        except (KeyError, ZeroDivisionError):
            return None
        return value if value is not None and math.isfinite(value) and value > 0 else None

    def unsteadiness(self, measure):
        rates = np.array([slice[0] for slice in measure.get("slices", [])], dtype=float)
        if len(rates) < self.limits["slices"]:
            return None
        return float(np.std(rates, ddof=1) / np.mean(rates)) if np.mean(rates) else 0.0

    def series(self, cell, figure):
        found = {key: self.value(measure, figure) for key, measure in self.measured(cell)}
        return {key: value for key, value in found.items() if value is not None}

    # Statistics.

    def ranks(self, count):
        covered = lambda rank: 1 - 2 * stats.binom.cdf(rank - 1, count, 0.5)
        confidence, most = self.limits["confidence"], -(-count // 2)
        rank = max([r for r in range(1, most + 1) if covered(r) >= confidence], default=1)
        if covered(rank) <= 0.97 or rank >= most:
            return rank, 0.0, covered(rank)
        share = (covered(rank) - confidence) / (covered(rank) - covered(rank + 1))
        return rank, (count - rank) * share / (rank + (count - 2 * rank) * share), confidence

    def of_median(self, values):
        values = np.sort(np.array(list(values), dtype=float))
        count = len(values)
        if count == 0:
            return None
        rank, between, _ = self.ranks(count)
        inner = min(rank, count - 1)
        low, high = values[rank - 1], values[count - rank]
        low += between * (values[inner] - low)
        high += between * (values[count - 1 - inner] - high)
        return {"low": low, "median": float(np.median(values)), "high": high, "count": count}

    # The rules.

    def statements(self):
        for claim in self.rules["claim"]:
            for row in claim.get("statement", []):
                for chosen in combinations(row.get("each", {})):
                    common = row.get("cell", {})
                    sides = [filled({**common, **row.get(side, {})}, chosen) for side in ("left", "right")]
                    yield row, chosen, sides

    def check_statements(self):
        judged = [(f["number"], j) for f in self.report["findings"] for j in f["statements"]]
        stated = {j["id"]: j for _, j in judged}
        self.same("the statements", sorted(j["id"] for _, j in judged), sorted(stated))
        for number, j in judged:
            self.same(f"statement {j['id']}, claim", number, int(j["id"].split(".")[0]))
        cases = [self.case(*parts) for parts in self.statements()]
        if len(self.run["sessions"]) > 1:
            self.combine_sessions(cases)
        deciding = [case for case in cases if case["decides"]]
        for case in cases:
            case["verdict"], case["p"] = self.conclude(case, len(deciding) if case["decides"] else 1)
            case["adjusted"] = case["p"]
        order = sorted(deciding, key=lambda case: 1.0 if case["p"] is None else case["p"])
        greatest = 0.0
        for place, case in enumerate(order):
            p = 1.0 if case["p"] is None else case["p"]
            greatest = min(1.0, max(greatest, p * (len(order) - place)))
            if case["p"] is not None:
                case["adjusted"] = greatest
        for case in cases:
            judged = stated.get(case["id"])
            if judged is None:
                continue
            verdict = case["verdict"]
            if case["p"] is not None and case["adjusted"] > 1 - self.limits["confidence"] + 1e-15:
                verdict = "undecided"
            name = f"statement {case['id']}"
            case["verdict"] = verdict
            self.same(f"{name}, verdict", judged["verdict"], verdict)
            for field in ("text", "article", "effect", "figure", "right_figure", "direction"):
                self.same(f"{name}, {field}", judged[field], case[field])
            if verdict in ("undecided", "untestable"):
                self.same(f"{name}, has a reason", bool(judged["note"]), True)
            self.same(f"{name}, cells", [judged["left"], judged["right"]], case["cells"])
            self.same(f"{name}, decides", judged["decides"], case["decides"])
            self.close(f"{name}, needed", judged["needed"], case["needed"])
            self.interval(f"{name}, ratio", judged["ratio"], case["interval"])
            self.interval(f"{name}, left", judged["left_value"], self.of_median(case["left"].values()))
            self.interval(f"{name}, right", judged["right_value"], self.of_median(case["right"].values()))
            self.close(f"{name}, seconds apart", judged["apart_s"], self.apart(case["cells"]), 1e-5)
            self.close(f"{name}, p", judged["p"], case["p"], 1e-6)
            self.close(f"{name}, adjusted p", judged["p_adjusted"], case["adjusted"], 1e-6)
        of_claims = defaultdict(list)
        for case in cases:
            of_claims[int(case["id"].split(".")[0])].append(case)
        planned = [number for number, own in of_claims.items() if all(self.is_planned(case) for case in own)]
        self.same("the claims", sorted(f["number"] for f in self.report["findings"]), sorted(planned))
        for number in planned:
            own = [case["id"] for case in of_claims[number]]
            self.same(f"claim {number}, statements", sorted(set(own) - set(stated)), [])
        rows = {claim["number"]: claim for claim in self.rules["claim"]}
        for finding in self.report["findings"]:
            row = rows[finding["number"]]
            for field in ("title", "claim"):
                self.same(f"claim {finding['number']}, {field}", finding[field], row[field])
            self.same(f"claim {finding['number']}, notes", set(row.get("notes", [])) <= set(finding["notes"]), True)
            own = [case for case in of_claims[finding["number"]] if case["decides"]]
            self.same(f"claim {finding['number']}, sentence", finding["sentence"], sentence(own))

    def is_planned(self, case):
        """Whether the run has the statement's cells, or need not."""
        return case["needless"] or all(cell in self.run["cells"] for cell in case["cells"])

    def apart(self, cells):
        """Seconds between the starts of both sides, the median of the rounds."""
        left, right = [{(t["session"], t["round"]): t["unix_ms"] for t in self.trials.get(c, [])} for c in cells]
        apart = [abs(start - right[key]) / 1e3 for key, start in left.items() if key in right]
        return float(np.median(apart)) if apart else None

    def case(self, row, chosen, sides):
        figure = text(row["figure"], chosen)
        right_figure = text(row.get("right_figure", figure), chosen)
        cells = [self.cell(side) for side in sides]
        left, right = self.series(cells[0], figure), self.series(cells[1], right_figure)
        ratios = {key: value / right[key] for key, value in left.items() if key in right}
        difference, effect = self.limits["difference"], row.get("effect")
        needed = {
            "more": max(difference, (1 + effect) / 2) if effect else difference,
            "less": min(1 / difference, (1 + effect) / 2) if effect else 1 / difference,
            "same": difference,
        }[row["direction"]]
        case = {
            "id": text(row["id"], chosen),
            "text": text(row["text"], chosen),
            "article": row.get("article", "–"),
            "effect": effect,
            "figure": figure,
            "right_figure": right_figure,
            "direction": row["direction"],
            "decides": row.get("decides", True),
            "needed": needed,
            "cells": cells,
            "left": left,
            "right": right,
            "ratios": ratios,
            "interval": self.of_median(ratios.values()),
            "sessions": None,
        }
        case["needless"] = (
            ("needs" in row and row["needs"]["room"] > self.room())
            or (cells[0] == cells[1] and figure == right_figure)
            or not all(self.has_server(side.get("server", "")) for side in sides)
        )
        case["untestable"] = self.untestable(row, case, sides, right_figure)
        return case

    def untestable(self, row, case, sides, right_figure):
        cells, figure = case["cells"], case["figure"]
        if "needs" in row and row["needs"]["room"] > self.room():
            return True
        if cells[0] == cells[1] and figure == right_figure:
            return True
        if case["decides"] and any(self.is_oversubscribed(side) for side in sides):
            return True
        for side, cell in zip(sides, cells):
            failed = [t for t in self.trials.get(cell, []) if "failed" in t["outcome"]]
            if not self.has_server(side.get("server", "")) or not self.measured(cell):
                return True
            if len(failed) > FAILED_MAX * len(self.trials[cell]):
                return True
        if len(case["ratios"]) < (DECIDES_MIN if case["decides"] else INFORMS_MIN):
            return True
        over_tcp = [cell for side, cell in zip(sides, cells) if side["kind"] in ("tcp", "tail")]
        if figure in ("throughput", "unsteadiness"):
            most = self.limits["machine_bound"] * self.matrix["cores"]
            for cell in over_tcp:
                for _, m in self.measured(cell):
                    used = m["server_cores"] + m["foreign_cores"]
                    used += 0.0 if self.matrix["is_generator_elsewhere"] else m["generator_cores"]
                    if used >= most or m["generator_busiest"] >= self.limits["generator_bound"]:
                        return True
        if figure in ("p50", "p99", "p999"):
            asked = [{k: m.get("more", {}).get("rate_asked") for k, m in self.measured(cell)} for cell in cells]
            for key in case["ratios"]:
                if asked[0].get(key) is None or asked[0].get(key) != asked[1].get(key):
                    return True
            for cell, name in zip(cells, (figure, right_figure)):
                late = [
                    m.get("late_p99_us", 0.0) > self.limits["lateness"] * self.value(m, name)
                    for _, m in self.measured(cell)
                    if self.value(m, name)
                ]
                if sum(late) * 2 > len(self.measured(cell)):
                    return True
        return False

    def conclude(self, case, family):
        if case["untestable"]:
            return "untestable", None
        values, sessions = np.array(list(case["ratios"].values())), case["sessions"]
        move = self.limits["session"]

        def beyond(limit, sign):
            if sessions:
                mean, error, freedom = sessions
                t = sign * (mean - math.log(limit)) / error
                return 2 * stats.t.sf(t, freedom) if t > 0 else 1.0
            limit *= move**sign
            against = np.sum(sign * (values - limit) <= 0)
            return min(1.0, 2 * stats.binom.cdf(against, len(values), 0.5))

        above, below = (lambda limit: beyond(limit, 1)), (lambda limit: beyond(limit, -1))
        d, needed = self.limits["difference"], case["needed"]
        same = max(below(d), above(1 / d))
        surely = (1 - self.limits["confidence"]) / family
        if case["direction"] == "same":
            found = [("holds", same), ("other-way-round", above(d)), ("other-way-round", below(1 / d))]
        else:
            towards, away = (above, below) if case["direction"] == "more" else (below, above)
            limit = d if case["direction"] == "more" else 1 / d
            first = ("holds-less", towards(limit))
            if abs(math.log(needed / limit)) < 1e-9:
                first = ("holds", towards(limit))
            elif towards(needed) <= surely:
                first = ("holds", towards(needed))
            found = [first, ("other-way-round", away(1 / limit)), ("no-difference", same)]
        return min(found, key=lambda pair: pair[1])

    def combine_sessions(self, cases):
        by_figure = defaultdict(list)
        for case in cases:
            if case["untestable"]:
                continue
            sessions = defaultdict(list)
            for (session, _), ratio in case["ratios"].items():
                sessions[session].append(math.log(ratio))
            if len(sessions) < 2:
                case["untestable"] = True
                continue
            medians = np.array([np.median(logs) for logs in sessions.values()])
            by_figure[case["figure"]].append((case, medians))
        if not by_figure:
            return
        # The moderated t-test (Smyth, 2004), with the weight of the prior over all figures together.
        logs_of, halves, squares, left = {}, [], 0.0, 0
        for figure, several in by_figure.items():
            half = np.array([(len(m) - 1) / 2 for _, m in several])
            own = np.array([max(m.var(ddof=1), 1e-12) for _, m in several])
            logs = np.log(own) - special.digamma(half) + np.log(half)
            logs_of[figure] = logs
            halves.extend(special.polygamma(1, half))
            squares += float(np.sum((logs - logs.mean()) ** 2))
            left += len(logs) - 1
        spread = squares / max(left, 1) - float(np.mean(halves))
        weight = 1000.0
        if left and spread > 0:
            root = optimize.brentq(lambda x: special.polygamma(1, x) - spread, 1e-6, 1e6, xtol=1e-12, rtol=1e-14)
            weight = min(2 * root, 1000.0)
        for figure, several in by_figure.items():
            known = sum(len(m) - 1 for _, m in several)
            if weight < 1000.0:
                prior = math.exp(logs_of[figure].mean() + special.digamma(weight / 2) - math.log(weight / 2))
            else:
                prior = sum((len(m) - 1) * m.var(ddof=1) for _, m in several) / known
            of_prior = min(weight, known) / 2
            for case, medians in several:
                own = len(medians) - 1
                freedom = of_prior + own
                moderated = (of_prior * prior + own * medians.var(ddof=1)) / freedom
                error = max(math.sqrt(moderated / len(medians)), 1e-12)
                mean = medians.mean()
                case["sessions"] = (mean, error, freedom)
                half = stats.t.ppf(0.5 + self.limits["confidence"] / 2, freedom) * error
                case["interval"] = {
                    "low": math.exp(mean - half),
                    "median": math.exp(mean),
                    "high": math.exp(mean + half),
                    "count": len(case["ratios"]),
                }

    def check_cells(self):
        self.same("the cells", sorted(self.report["cells"]), sorted(self.run["cells"]))
        for cell, figures in self.report["cells"].items():
            self.same(f"{cell}, figures", sorted(figures), sorted(f for f in FIGURES if self.series(cell, f)))
            for figure, stated in figures.items():
                found = self.of_median(self.series(cell, figure).values())
                for index, name in enumerate(("low", "median", "high")):
                    self.close(f"{cell}, {figure}, {name}", stated[index], found and found[name])

    def check_charts(self):
        drawn = {chart["id"]: chart for f in self.report["findings"] for chart in f["charts"]}
        for claim in self.rules["claim"]:
            for row in claim.get("chart", []):
                chart = drawn.get(row["id"])
                if chart:
                    self.check_chart(row, chart)
                elif any(f["number"] == claim["number"] for f in self.report["findings"]):
                    self.same(f"{row['id']}, points", 0, len(self.points(row)))

    def points(self, row):
        """Series and cells that have something to draw: on a small machine several places are one cell."""
        more = lambda place: {name: value for name, value in place.items() if name != "name"}
        found = set()
        for series in row["series"]:
            for place in row["places"]:
                cell = self.cell({**row["cell"], **more(series), **more(place)})
                values = self.series(cell, row["figure"])
                if "base" in row:
                    base = next(other for other in row["series"] if other["name"] == row["base"])
                    base = self.series(self.cell({**row["cell"], **more(base), **more(place)}), row["figure"])
                    values = {key: value for key, value in values.items() if key in base}
                found |= {(series["name"], cell)} if values else set()
        return found

    def check_chart(self, row, chart):
        more = lambda place: {name: value for name, value in place.items() if name != "name"}
        cells = {
            series["name"]: [self.cell({**row["cell"], **more(series), **more(place)}) for place in row["places"]]
            for series in row["series"]
        }
        for field in ("title", "x_name", "y_name"):
            self.same(f"{row['id']}, {field}", chart[field], row.get(field, ""))
        self.same(f"{row['id']}, caption", chart["caption"].startswith(row["caption"]), True)
        drawn = sum(len(series["points"]) for series in chart["drawing"]["series"])
        self.same(f"{row['id']}, points", drawn, len(self.points(row)))
        for series in chart["drawing"]["series"]:
            for point in series["points"]:
                names = [place["name"] for place in row["places"]]
                if row.get("is_bars"):
                    index = names.index(chart["drawing"]["categories"][int(point["x"])])
                else:
                    index = [float(name) for name in names].index(point["x"])
                values = self.series(cells[series["name"]][index], row["figure"])
                if "base" in row:
                    base = self.series(cells[row["base"]][index], row["figure"])
                    values = {key: value / base[key] for key, value in values.items() if key in base}
                found = self.of_median(values.values())
                for name in ("low", "median", "high"):
                    stated = found and found[name] * row.get("scale", 1.0)
                    self.close(f"{row['id']}, {series['name']} at {point['x']}, {name}", point[name], stated)

    def check_trials(self):
        for name in ("seed", "machine", "versions"):
            self.same(f"{name} in report.json", self.report[name], self.run[name])
        for cell, trials in self.trials.items():
            self.same(f"{cell}, is planned", cell in self.run["cells"], True)
            keys = [(trial["session"], trial["round"]) for trial in trials]
            self.same(f"{cell}, repetitions", len(keys), len(set(keys)))
            self.same(f"{cell}, sessions", [k for k in keys if k[0] >= len(self.run["sessions"])], [])
            for trial in trials:
                self.check_counts(cell, trial)
                measure = trial["outcome"].get("measured")
                for span in [measure["main"], *measure.get("phases", [])] if measure else []:
                    if not span.get("histogram"):
                        continue
                    found = histogram.Histogram(span["histogram"])
                    for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999), ("max_us", 1.0)):
                        self.close(f"{cell}, {name}", span[name], found.at(share) / 1e3, ROUNDED)

    def check_counts(self, cell, trial):
        measure = trial["outcome"].get("measured")
        if not measure:
            return
        main = measure["main"]
        self.same(f"{cell}, errors", measure.get("errors", 0), 0)
        self.same(f"{cell}, misses", measure.get("misses", 0), 0)
        if cell.startswith(("tcp", "tail", "fairness", "snapshot", "in-process")):
            tolerance = ROUNDED if cell.startswith("in-process") else CLOSE
            self.close(f"{cell}, rate", main["rate"], main["requests"] / main["seconds"], tolerance)
        if cell.startswith("tcp"):
            self.same(f"{cell}, latencies", histogram.Histogram(main["histogram"]).total, main["requests"])

    def check_csv(self):
        """Each trial is a line, with the figures that it has."""
        with open(self.directory / "trials.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.same("lines of trials.csv", len(rows), sum(len(trials) for trials in self.trials.values()))
        by_key = {(t["cell"], t["session"], t["round"]): t for own in self.trials.values() for t in own}
        for row in rows:
            key = (row["cell"], int(row["session"]), int(row["round"]))
            measure = by_key[key]["outcome"].get("measured") if key in by_key else None
            self.same(f"trials.csv, {key}, is measured", row["outcome"] == "measured", measure is not None)
            if not measure or row["outcome"] != "measured":
                continue
            main = measure["main"]
            of = {"requests_per_s": main["rate"], "server_cores": measure["server_cores"]}
            of |= {name: main[name] for name in ("requests", "seconds", "p50_us", "p99_us", "p999_us", "max_us")}
            for name, found in of.items():
                self.close(f"trials.csv, {key}, {name}", float(row[name]), found)

    def check_markdown(self):
        """Each statement is a line of report.md, with the ratio and the verdict of report.json."""
        lines = defaultdict(int)
        for line in (self.directory / "report.md").read_text().splitlines():
            lines[" | ".join(line.strip("| ").split(" | ")[:5])] += 1
        for finding in self.report["findings"]:
            for judged in finding["statements"]:
                self.same(f"statement {judged['id']} in report.md", lines[row_of(judged)] > 0, True)

    def check_peaks(self):
        full = 2 if self.matrix["scale"] == "full" else 1
        rounds = self.limits["rounds"]["calibration"] * full
        for number, session in enumerate(self.run["sessions"]):
            for peak in self.rules["peak"]:
                rates, names = [], []
                for chosen in combinations(peak.get("each", {})):
                    series = self.series(self.cell(filled(peak["cell"], chosen)), "throughput")
                    own = [rate for (of, round), rate in series.items() if of == number and round < rounds]
                    rates += [float(np.median(own))] if own else []
                    names += [self.cell(filled(peak["cell"], chosen))] if own else []
                is_told = peak["name"] in session["peaks"]
                self.same(f"the peak {peak['name']} of session {number} is told", is_told, bool(rates))
                if not is_told or not rates:
                    continue
                stated = session["peaks"][peak["name"]]["rate"]
                self.close(f"the peak {peak['name']} of session {number}", stated, min(rates))
                slowest = names[rates.index(min(rates))]
                self.same(f"whose the peak {peak['name']} is", session["peaks"][peak["name"]]["cell"], slowest)
                for cell, trials in self.trials.items():
                    if cell.startswith("tail") and f"% of {peak['name']}," in cell:
                        percent = int(cell.split("% of ")[0].split()[-1])
                        for trial in trials:
                            if trial["session"] == number and "measured" in trial["outcome"]:
                                asked = trial["outcome"]["measured"]["more"]["rate_asked"]
                                self.close(f"{cell}, rate", asked, stated * percent / 100, 1.0 / asked)


def sentence(cases):
    """How many statements became what."""
    if not cases:
        return "No statement decides."
    counts = defaultdict(int)
    for verdict in WORDS:
        for case in cases:
            if case["verdict"] == verdict:
                counts[verdict_words(case)] += 1
    told = ", ".join(f"{count} {words}" for words, count in counts.items())
    return f"Of {len(cases)} statements that decide: {told}."


WORDS = {
    "holds": "holds",
    "holds-less": "holds less",
    "no-difference": "no difference of a tenth",
    "other-way-round": "the other way round",
    "undecided": "undecided",
    "untestable": "untestable here",
}


def verdict_words(case):
    differ = case["direction"] == "same" and case["verdict"] == "other-way-round"
    return "they differ" if differ else WORDS[case["verdict"]]


def times(ratio):
    return f"{ratio:.{0 if ratio >= 100 else 1 if ratio >= 10 else 2}f}×"


def row_of(judged):
    """A statement's line in report.md, but for its note."""
    ratio, needed = judged["ratio"], times(judged["needed"])
    ours = f"{times(ratio['median'])} ({times(ratio['low'])} to {times(ratio['high'])})" if ratio else "not measured"
    rule = {
        "more": f"at least {needed}",
        "less": f"at most {needed}",
        "same": f"within {times(1 / judged['needed'])} and {needed}",
    }[judged["direction"]]
    verdict = f"**{verdict_words(judged)}**" if judged["decides"] else verdict_words(judged)
    return " | ".join([judged["text"], judged["article"], ours, rule, verdict])


def combinations(each):
    names = sorted(each)
    return [dict(zip(names, values)) for values in itertools.product(*(each[name] for name in names))]


def text(template, chosen):
    for name, value in chosen.items():
        template = template.replace("{" + name + "}", str(value))
    return template


def filled(table, chosen):
    def value(old):
        if isinstance(old, list):
            return [value(item) for item in old]
        if not isinstance(old, str):
            return old
        return chosen[old[1:-1]] if old.startswith("{") and old[1:-1] in chosen else text(old, chosen)

    return {name: value(old) for name, old in table.items()}


def main():
    audit = Audit(*sys.argv[1:3])
    audit.check_trials()
    audit.check_peaks()
    audit.check_cells()
    audit.check_charts()
    audit.check_statements()
    audit.check_csv()
    audit.check_markdown()
    for line in audit.wrong[:50]:
        print(line)
    print(f"{audit.checked - len(audit.wrong)} passed, {len(audit.wrong)} failed")
    return 1 if audit.wrong or audit.checked == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
