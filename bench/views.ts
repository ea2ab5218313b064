/** Views as the engine would show them, for detectors that are timed alone. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { View, Yes, type Detector } from '../detectors/detector.js';
import { parseFixture, runDetector } from '../detectors/harness.js';
import { repositoryPath } from '../lib/testing.js';
import type { Payload } from './payloads.js';

/** Copies of a payload at different offsets, as packets lie in a read block; a power of two. */
export const viewCopies = 16;
const spacing = 1600;
const noOpening = new Uint8Array(0);

/** A payload as the first packet of its side, `viewCopies` times. */
export function missViews({ bytes, transport, fromStart }: Payload): View[] {
  const block = new Uint8Array(viewCopies * spacing + 64);
  return Array.from({ length: viewCopies }, (_, copy) => {
    const start = copy * spacing + 54;
    block.set(bytes, start);
    const view = new View();
    view.bytes = block;
    view.start = start;
    view.end = start + bytes.length;
    view.wireLength = bytes.length;
    view.fromStart = fromStart;
    view.sourcePort = 50_000 + copy;
    view.destinationPort = 443;
    const opening = transport === 'tcp';
    view.opening = opening ? block : noOpening;
    view.openingStart = opening ? view.start : 0;
    view.openingEnd = opening ? view.end : 0;
    view.openingWireLength = opening ? bytes.length : 0;
    view.other = noOpening;
    return view;
  });
}

export interface Hit {
  readonly fixture: string;
  readonly views: View[];
}

/** The views that the detector answers Yes to, one for each of its match fixtures. */
export function hitViews(detector: Detector): Hit[] {
  const folder = repositoryPath('fixtures', 'detectors', detector.name, 'match');
  return fixtureNames(folder).flatMap((fixture) => {
    const view = decidingView(detector, readFileSync(join(folder, fixture), 'utf8'));
    return view === null ? [] : [{ fixture, views: Array.from({ length: viewCopies }, () => moved(view)) }];
  });
}

function fixtureNames(folder: string): string[] {
  try {
    return readdirSync(folder).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** What the detector was shown when it said Yes; null if the fixture does not match (its own tests tell). */
function decidingView(detector: Detector, text: string): View | null {
  let shown: View | null = null;
  const spy: Detector = {
    ...detector,
    inspect: (view) => {
      shown = moved(view);
      return detector.inspect(view);
    },
  };
  return runDetector(spy, parseFixture(text)).outcome === Yes ? shown : null;
}

/** A view of the same contents in memory of its own. */
export function moved(from: View): View {
  const bytes = from.bytes.slice();
  const view = Object.assign(new View(), from, {
    infoHash: new Uint8Array(from.infoHash.length),
    client: new Uint8Array(from.client.length),
    turnBytes: from.turnBytes.slice(),
    bytes,
    // A first segment is its own opening.
    opening: from.opening === from.bytes ? bytes : from.opening.slice(),
    other: from.other.slice(),
  });
  view.reset();
  return view;
}

/** Views of the same first payload at `viewCopies` places of one block. */
export function placed(from: View): View[] {
  const payload = from.bytes.slice(from.start, from.end);
  const block = new Uint8Array(viewCopies * spacing + 64);
  const isOpening = from.opening === from.bytes;
  return Array.from({ length: viewCopies }, (_, copy) => {
    const view = moved(from);
    view.bytes = block;
    view.start = copy * spacing + 54;
    view.end = view.start + payload.length;
    block.set(payload, view.start);
    if (!isOpening) return view;
    view.opening = block;
    view.openingStart = view.start;
    view.openingEnd = view.end;
    return view;
  });
}
