// Draws the report's pictures with ECharts, in the reader's colours and width. The address may say more:
// #theme=dark, and #only=CHART to show one picture alone (the README's pictures are made so).
"use strict";
(() => {
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = event.message; });
  const wanted = new URLSearchParams(location.hash.slice(1));
  const charts = new Map(JSON.parse(document.getElementById("charts").textContent).map((chart) => [chart.id, chart]));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  if (wanted.get("theme")) root.dataset.theme = wanted.get("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);

  const symbols = ["circle", "rect", "triangle", "diamond", "roundRect", "pin"];
  const named = {
    mutex: "mutex", dashmap: "dashmap", actor: "actor", lockfree: "lockfree", redis: "redis", valkey: "valkey",
    off: "redis", "thread-local": "dashmap", sharded: "actor", longest: "mutex", p99: "dashmap",
  };
  const order = ["dashmap", "mutex", "actor", "redis", "lockfree", "valkey"];
  const color = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
  const colorOf = (name, index) => color(named[name.split(",")[0]] || order[index % order.length]);

  const short = (value) => {
    if (value === 0) return "0";
    const digits = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(Math.abs(value)))));
    return value.toLocaleString("en", { maximumFractionDigits: digits });
  };
  const nines = (x) => (x <= 1 ? "0%" : (100 - 100 / x).toFixed(Math.max(0, Math.round(Math.log10(x)) - 2)) + "%");
  const axisType = (axis) => (axis === "linear" ? "value" : "log");

  function axis(kind, name, isX, compact) {
    return {
      type: axisType(kind), name, nameLocation: "middle", nameGap: isX ? 28 : compact ? 42 : 50,
      nameTextStyle: { color: color("soft"), fontSize: 12 },
      axisLabel: { color: color("soft"), hideOverlap: true, formatter: kind === "nines" ? nines : short },
      axisLine: { show: isX, lineStyle: { color: color("line") } },
      splitLine: { show: !isX, lineStyle: { color: color("line") } },
      minorTick: { show: false },
      ...(isX && kind === "linear" ? { min: "dataMin", max: "dataMax" } : {}),
    };
  }

  function base(chart, names, compact) {
    return {
      animation: false, aria: { enabled: true, label: { description: chart.title + ". " + chart.caption } },
      textStyle: { fontFamily: getComputedStyle(document.body).fontFamily },
      legend: {
        show: names.length > 1, data: names, top: 0, type: "plain", itemWidth: 18, itemHeight: 9, itemGap: compact ? 8 : 14,
        textStyle: { color: color("ink"), fontSize: 12 },
      },
      grid: { left: compact ? 54 : 64, right: 16, top: names.length > (compact ? 3 : 5) ? 58 : 38, bottom: 48 },
      tooltip: {
        confine: true, backgroundColor: color("card"), borderColor: color("line"), textStyle: { color: color("ink"), fontSize: 12 },
      },
    };
  }

  function band(series, fill, index) {
    return {
      type: "custom", name: series.name, color: fill, silent: true, z: 1, tooltip: { show: false }, clip: true,
      // Every point is there for the axis to have room; the first draws the whole band.
      data: series.points.map((point) => [point.x, point.low, point.high]),
      renderItem: (params, api) => params.dataIndex > 0 ? { type: "group", children: [] } : ({
        type: "polygon",
        shape: {
          points: [...series.points.map((point) => api.coord([point.x, point.high])),
            ...[...series.points].reverse().map((point) => api.coord([point.x, point.low]))],
        },
        style: { fill, opacity: 0.16 },
      }),
      encode: { x: 0, y: [1, 2] }, id: "band" + index,
    };
  }

  function lines(chart, compact) {
    const { x, y, series, marks } = chart.drawing;
    const names = series.map((one) => one.name);
    const drawn = [];
    series.forEach((one, index) => {
      const tint = colorOf(one.name, index);
      const isFit = one.name.endsWith("fitted");
      drawn.push({
        type: "line", name: one.name, z: 2, data: one.points.map((point) => [point.x, point.median, point.low, point.high]),
        encode: { x: 0, y: 1 }, symbol: one.is_curve ? "none" : symbols[index % symbols.length], symbolSize: 7, color: tint,
        lineStyle: { width: isFit ? 1.5 : 2, type: isFit ? "dotted" : "solid", color: tint }, itemStyle: { color: tint },
        markArea: index > 0 || !marks.length ? undefined : {
          silent: true, itemStyle: { color: color("soft"), opacity: 0.15 },
          label: { color: color("soft"), position: "insideTop", fontSize: 11 },
          data: marks.map((mark) => [{ name: mark.name, xAxis: mark.from }, { xAxis: mark.to }]),
        },
      });
      // Behind its line, and after it in the list: the legend shows the first of a name.
      if (!one.is_curve && one.points.length > 1) drawn.push(band(one, tint, index));
    });
    const place = x === "nines" ? nines : short;
    const shown = (items) => {
      const rows = items.filter((item) => item.seriesType === "line").map((item) => {
        const [, median, low, high] = item.data;
        const interval = low === high ? "" : ` (${short(low)} to ${short(high)})`;
        return `${item.marker}${item.seriesName}: <b>${short(median)}</b>${interval}`;
      });
      return rows.length ? `${place(items[0].data[0])} ${chart.x_name}<br>${rows.join("<br>")}` : "";
    };
    const option = base(chart, names, compact);
    return {
      ...option, tooltip: { ...option.tooltip, trigger: "axis", formatter: shown },
      xAxis: axis(x, chart.x_name, true, compact), yAxis: axis(y, chart.y_name, false, compact), series: drawn,
    };
  }

  function bars(chart, compact) {
    const { categories, series } = chart.drawing;
    const names = series.map((one) => one.name);
    const layout = { barGap: "8%", barCategoryGap: "28%" };
    const drawn = series.flatMap((one, index) => {
      const tint = colorOf(one.name, index);
      const at = (category) => one.points.find((point) => point.x === category);
      const values = categories.map((_, category) => at(category)?.median ?? null);
      return [
        { type: "bar", name: one.name, data: values, ...layout, color: tint, itemStyle: { color: tint, borderRadius: [3, 3, 0, 0] } },
        {
          type: "custom", name: one.name, silent: true, z: 5, tooltip: { show: false }, data: one.points.map((point) => [point.x, point.low, point.high]),
          encode: { x: 0, y: [1, 2] },
          renderItem: (_, api) => {
            const place = api.barLayout({ ...layout, count: series.length })[index];
            const x = api.coord([api.value(0), 0])[0] + place.offsetCenter;
            const [low, high] = [api.coord([0, api.value(1)])[1], api.coord([0, api.value(2)])[1]];
            const half = Math.min(5, place.width / 3);
            const stroke = { stroke: color("ink"), lineWidth: 1.2, opacity: 0.75 };
            const bar = (x1, y1, x2, y2) => ({ type: "line", shape: { x1, y1, x2, y2 }, style: stroke });
            return { type: "group", children: [bar(x, low, x, high), bar(x - half, low, x + half, low), bar(x - half, high, x + half, high)] };
          },
        },
      ];
    });
    const shown = (items) => {
      const rows = items.filter((item) => item.seriesType === "bar" && item.value != null).map((item) => {
        const point = series.find((one) => one.name === item.seriesName).points.find((one) => one.x === item.dataIndex);
        return `${item.marker}${item.seriesName}: <b>${short(point.median)}</b> (${short(point.low)} to ${short(point.high)})`;
      });
      return `${items[0].name}<br>${rows.join("<br>")}`;
    };
    const option = base(chart, names, compact);
    const isCrowded = categories.length > (compact ? 3 : 7);
    return {
      ...option, grid: { ...option.grid, bottom: isCrowded ? 84 : 36 },
      tooltip: { ...option.tooltip, trigger: "axis", axisPointer: { type: "shadow" }, formatter: shown },
      xAxis: {
        type: "category", data: categories, axisTick: { show: false }, axisLine: { lineStyle: { color: color("line") } },
        axisLabel: { color: color("soft"), interval: 0, rotate: isCrowded ? 40 : 0, fontSize: 11 },
      },
      yAxis: axis("linear", chart.y_name, false, compact), series: drawn,
    };
  }

  function heat(chart, compact) {
    const { columns, rows, values } = chart.drawing;
    const most = Math.max(1, ...values.map((value) => value[2]));
    const option = base(chart, [], compact);
    return {
      ...option, grid: { left: compact ? 108 : 128, right: 16, top: 12, bottom: 92 },
      tooltip: { ...option.tooltip, formatter: ({ data }) => `${rows[data[1]]}<br>shards from ${columns[data[0]]}: <b>${short(10 ** data[2] - 1)}</b> ${chart.y_name}` },
      xAxis: { type: "category", data: columns, name: chart.x_name, nameLocation: "middle", nameGap: 26, nameTextStyle: { color: color("soft") }, axisLabel: { color: color("soft") }, axisLine: { show: false }, axisTick: { show: false } },
      yAxis: { type: "category", data: rows, inverse: true, axisLabel: { color: color("soft"), fontSize: compact ? 10 : 11 }, axisLine: { show: false }, axisTick: { show: false } },
      visualMap: {
        type: "continuous", min: 0, max: Math.log10(most + 1), calculable: false, orient: "horizontal", left: "center", bottom: 0, itemWidth: 12, itemHeight: compact ? 110 : 180,
        text: [short(most) + " " + chart.y_name, "0"], textStyle: { color: color("soft") }, inRange: { color: [color("heat-0"), color("heat-1"), color("heat-2")] },
      },
      series: [{ type: "heatmap", data: values.map(([column, row, value]) => [column, row, Math.log10(value + 1)]), itemStyle: { borderColor: color("card"), borderWidth: 1 } }],
    };
  }

  const makers = { lines, bars, heat };
  const plots = [...document.querySelectorAll(".plot")];
  const drawnCharts = new Map();
  function draw(plot) {
    const chart = charts.get(plot.dataset.chart);
    const instance = drawnCharts.get(plot) || echarts.init(plot, null, { renderer: "svg" });
    drawnCharts.set(plot, instance);
    instance.resize();
    instance.setOption(makers[chart.drawing.kind](chart, plot.clientWidth < 480), true);
  }
  function drawAll() {
    const only = wanted.get("only");
    plots.filter((plot) => !only || plot.dataset.chart === only).forEach(draw);
    const visible = plots.filter((plot) => plot.querySelector("svg path")).length;
    Object.assign(root.dataset, {
      charts: plots.length, drawn: visible, shown: isDark() ? "dark" : "light", paper: getComputedStyle(document.body).backgroundColor,
      width: innerWidth, overflow: Math.max(0, document.documentElement.scrollWidth - innerWidth),
    });
  }
  if (wanted.get("only")) {
    document.body.classList.add("single");
    const chosen = document.getElementById(wanted.get("only"));
    chosen.classList.add("chosen");
    for (let parent = chosen.parentElement; parent !== document.body; parent = parent.parentElement) parent.classList.add("has-single");
  }
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    drawAll();
  });
  dark.addEventListener("change", drawAll);
  drawAll();
  const sizes = new Map(plots.map((plot) => [plot, plot.clientWidth + "x" + plot.clientHeight]));
  const observer = new ResizeObserver((entries) => {
    const changed = entries.map((entry) => entry.target).filter((plot) => sizes.get(plot) !== plot.clientWidth + "x" + plot.clientHeight);
    changed.forEach((plot) => sizes.set(plot, plot.clientWidth + "x" + plot.clientHeight));
    if (changed.length) drawAll();
  });
  plots.forEach((plot) => observer.observe(plot));
})();
