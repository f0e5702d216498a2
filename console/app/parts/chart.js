// A chart over days, with the same numbers as a table for whoever cannot see it.
import { html, useEffect, useRef } from "../core/html.js";
import UPlot from "../../vendor/uplot.js";

const HEIGHT = 200;

/** `days`: YYYY-MM-DD. `series`: [{title, values, format(value), colour: a custom property's name}]. */
export function DayChart({ title, days, series }) {
  const box = useRef(null);
  useEffect(() => {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--muted");
    const axis = { stroke: ink, grid: { stroke: style.getPropertyValue("--line"), width: 1 } };
    const plot = new UPlot({
      width: box.current.clientWidth, height: HEIGHT, legend: { show: false }, cursor: { show: false }, scales: { x: { time: true } },
      series: [{}, ...series.map((each) => ({ label: each.title, stroke: style.getPropertyValue(each.colour), width: 2, points: { show: days.length < 15 } }))],
      axes: [axis, { ...axis, size: 70, values: (_plot, ticks) => ticks.map((tick) => series[0].format(tick)) }],
    }, [days.map((day) => Date.parse(day) / 1000), ...series.map((each) => each.values)], box.current);
    const watcher = new ResizeObserver(() => plot.setSize({ width: box.current?.clientWidth ?? 0, height: HEIGHT }));
    watcher.observe(box.current);
    return () => {
      watcher.disconnect();
      plot.destroy();
    };
  }, [JSON.stringify([days, series.map((each) => each.values)])]);
  return html`<figure><figcaption>${title}</figcaption>
    <div class="chart" ref=${box} role="img" aria-label="${title}, by day; the table below has the numbers"></div>
    <details><summary>Show as a table</summary><table class="rows"><thead><tr><th scope="col">Day</th>
      ${series.map((each) => html`<th scope="col" class="number">${each.title}</th>`)}</tr></thead>
      <tbody>${days.map((day, at) => html`<tr><td data-label="Day">${day}</td>
        ${series.map((each) => html`<td class="number" data-label=${each.title}>${each.values[at] === null ? "—" : each.format(each.values[at])}</td>`)}</tr>`)}
      </tbody></table></details></figure>`;
}
