"""The results of efficiency.sh as a picture (SVG) and, on standard output, as a table in Markdown.

    python3 bench/efficiency_plot.py RESULTS.jsonl PICTURE.svg
"""
import json
import sys

LAYERS = {"t5-small": 6, "t5-base": 12, "t5-large": 24, "t5-3b": 24}
COLOURS = ["#8a8371", "#c9c2ae", "#e0b48f", "#cf8350", "#b3541e"]
PANELS = [("time of a training step", "train", "step_median_s"), ("time of generation", "eval", "step_median_s"),
          ("kept for the backward pass", "train", "activation_gb"), ("peak memory of training", "train", "peak_rss_gb")]


def read(path):
    """(what, shape, m, r) -> {key: value}; of two numbers of layers the line through both, at the shape's own number."""
    points = {}
    for line in open(path, encoding="utf-8"):
        run = json.loads(line)
        points.setdefault((run["what"], run["shape"], run["m"], run["r"]), {})[run["layers"]] = run
    results = {}
    for which, runs in points.items():
        (few, low), (many, high) = min(runs.items()), max(runs.items())
        results[which] = {key: high[key] if few == many else
                          high[key] + (high[key] - low[key]) * (LAYERS[which[1]] - many) / (many - few)
                          for key in ("step_median_s", "peak_rss_gb", "activation_gb") if key in high}
        results[which]["continued"] = few != many
    return results


def order(results):
    shapes = list(dict.fromkeys(shape for _, shape, _, _ in results))
    prompts = list(dict.fromkeys((m, r) for _, _, m, r in results))
    return shapes, prompts


def picture(results):
    shapes, prompts = order(results)
    width, height, left, group = 880, 150, 40, 200
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {30 + len(PANELS) * (height + 50)}" '
           'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="12">',
           "<title>Time and memory of shorter prompts, as shares of those of 100 prompt tokens</title>",
           f'<rect width="{width}" height="{30 + len(PANELS) * (height + 50)}" fill="#fff"/>']
    for i, (m, r) in enumerate(prompts):
        out.append(f'<rect x="{left + i * 110}" y="8" width="12" height="12" fill="{COLOURS[i]}"/>'
                   f'<text x="{left + i * 110 + 18}" y="18" fill="#222">m {m} r {r}</text>')
    for p, (title, what, key) in enumerate(PANELS):
        floor = 30 + p * (height + 50) + height + 24
        out.append(f'<text x="{left}" y="{floor - height - 8}" fill="#222" font-weight="bold">{title}, m 100 r 0 = 100 %</text>')
        out.append(f'<line x1="{left}" y1="{floor}" x2="{width - 20}" y2="{floor}" stroke="#8a8371"/>')
        for s, shape in enumerate(shapes):
            whole = results[what, shape, *prompts[0]][key]
            for i, prompt in enumerate(prompts):
                share = results[what, shape, *prompt][key] / whole
                x, tall = left + 10 + s * group + i * 36, share * (height - 20)
                out.append(f'<rect x="{x}" y="{floor - tall:.1f}" width="32" height="{tall:.1f}" fill="{COLOURS[i]}"/>'
                           f'<text x="{x + 16}" y="{floor - tall - 3:.1f}" text-anchor="middle" font-size="10" fill="#222">'
                           f'{share * 100:.0f}</text>')
            out.append(f'<text x="{left + 10 + s * group + 88}" y="{floor + 15}" text-anchor="middle" fill="#555">{shape}</text>')
    return "\n".join(out + ["</svg>\n"])


def table(results):
    shapes, prompts = order(results)
    lines = ["| | " + " | ".join(f"m {m} r {r}" for m, r in prompts) + " |", "|---" * (len(prompts) + 1) + "|"]
    for shape in shapes:
        for title, what, key in PANELS:
            cells = [results[what, shape, *prompt] for prompt in prompts]
            unit = "s" if key.endswith("_s") else "GB"
            mark = "*" if cells[0]["continued"] else ""
            lines.append(f"| {shape}{mark}, {title} | " + " | ".join(
                f"{cell[key]:.2f} {unit} ({cell[key] / cells[0][key] * 100:.0f} %)" for cell in cells) + " |")
    return "\n".join(lines)


def main():
    results = read(sys.argv[1])
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(picture(results))
    print(table(results))


if __name__ == "__main__":
    main()
