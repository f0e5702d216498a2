// A chart of days as bars, with the same numbers as a table for whoever cannot see it.
import { html } from "../core/html.js";

/** `days`: YYYY-MM-DD. `values`: one for each day, null without any. `format(value)` writes one. `top`: the scale's end. `least`: percent of it that a bar has at least. */
export function DayChart({ title, days, values, format, top = Math.max(1, ...values), least = 0, tone = "" }) {
  const written = (at) => (values[at] === null ? "—" : format(values[at]));
  const height = (value) => Math.max(least, (100 * value) / top);
  return html`<figure class=${tone}><figcaption>${title}</figcaption>
    <div class="chart"><span>${format(top)}</span>
      <svg viewBox="0 0 ${days.length} 100" preserveAspectRatio="none" role="img" aria-label="${title}, by day; the table below has the numbers">
        ${days.map((day, at) => values[at] !== null && html`<rect x=${at + 0.1} width="0.8" y=${100 - height(values[at])} height=${height(values[at])}>
          <title>${day}: ${written(at)}</title></rect>`)}</svg>
      <span>${days[0]}</span><span>${days.at(-1)}</span></div>
    <details><summary>Show as a table</summary><table class="rows"><thead><tr><th scope="col">Day</th><th scope="col" class="number">${title}</th></tr></thead>
      <tbody>${days.map((day, at) => html`<tr><td data-label="Day">${day}</td><td class="number" data-label=${title}>${written(at)}</td></tr>`)}</tbody></table></details></figure>`;
}
