/** The timeline as inline SVG: BitTorrent below, everything else stacked on top of it. */
import { bytesText, clockText, durationText } from './format.js';
import type { Timeline } from './timeline.js';

const width = 1000;
const height = 180;
const barHeightMin = 2;

/** Axis label: the date only where the span makes it necessary. */
function axisText(micros: number, spanMicros: number): string {
  const text = clockText(micros);
  return spanMicros > 86_400e6 ? text.slice(0, 16) : text.slice(11, 19);
}

function bar(x: number, barWidth: number, from: number, size: number, className: string): string {
  return `<rect class="${className}" x="${x.toFixed(2)}" y="${from.toFixed(2)}" width="${barWidth.toFixed(2)}" height="${size.toFixed(2)}"/>`;
}

/** The section's content, or a sentence when there is nothing to draw. */
export function timelineHtml(timeline: Timeline): string {
  const buckets = timeline.list();
  const top = Math.max(0, ...buckets.map((bucket) => bucket.bittorrent + bucket.other));
  if (top === 0) return '<p class="quiet">No flows, so there is nothing to draw.</p>';
  const step = width / buckets.length;
  const barWidth = Math.max(0.5, step - (step > 4 ? 1 : 0));
  const bars = buckets.map((bucket, index) => {
    const low = visible((height * bucket.bittorrent) / top);
    const high = Math.min(visible((height * bucket.other) / top), height - low);
    const title = `${clockText(bucket.startMicros)}: BitTorrent ${bytesText(Math.round(bucket.bittorrent))}, other ${bytesText(Math.round(bucket.other))}`;
    const parts =
      (low > 0 ? bar(index * step, barWidth, height - low, low, 'bt') : '') +
      (high > 0 ? bar(index * step, barWidth, height - low - high, high, 'ot') : '');
    return parts === '' ? '' : `<g><title>${title}</title>${parts}</g>`;
  });
  const first = buckets[0]!.startMicros;
  const span = buckets.length * timeline.widthMicros;
  const each = durationText(timeline.widthMicros / 1e6);
  return `<figure>
<p class="legend"><span class="key bt"></span>BitTorrent <span class="key ot"></span>other traffic <span class="quiet">· highest bar ${bytesText(Math.round(top))} in ${each}</span></p>
<svg viewBox="0 0 ${width} ${height + 1}" preserveAspectRatio="none" role="img" aria-labelledby="tl-title">
<title id="tl-title">Bytes over time, BitTorrent and other traffic, from ${clockText(first)} for ${durationText(span / 1e6)}</title>
<line class="axis" x1="0" y1="${height}" x2="${width}" y2="${height}"/>
${bars.join('')}
</svg>
<p class="ticks" aria-hidden="true"><span>${axisText(first, span)}</span><span>${axisText(first + span / 2, span)}</span><span>${axisText(first + span, span)}</span></p>
<figcaption>${buckets.length === 1 ? 'One interval' : `${buckets.length} intervals`} of ${each} from ${clockText(first)}. The bytes of a flow are spread evenly over its life.</figcaption>
</figure>`;
}

/** What is there is seen, however little it is beside the highest bar. */
function visible(units: number): number {
  return units > 0 ? Math.max(units, barHeightMin) : 0;
}
