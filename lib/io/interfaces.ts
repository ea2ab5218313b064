/** Names and indexes of the network interfaces, from /sys/class/net of our network namespace. */
import { readdirSync, readFileSync } from 'node:fs';

const folder = '/sys/class/net';

/** Index of every interface by name; interfaces that vanish while they are listed are left out. */
export function interfaceIndexes(): Map<string, number> {
  const indexes = new Map<string, number>();
  for (const name of interfaceFiles()) {
    try {
      const index = Number.parseInt(readFileSync(`${folder}/${name}/ifindex`, 'utf8'), 10);
      if (Number.isInteger(index)) indexes.set(name, index);
    } catch {
      // It vanished, or is no interface (bonding_masters).
    }
  }
  return indexes;
}

/** Index of one interface, null while there is none of that name. */
export function interfaceIndex(name: string): number | null {
  try {
    return Number.parseInt(readFileSync(`${folder}/${name}/ifindex`, 'utf8'), 10) || null;
  } catch {
    return null;
  }
}

/** A name is believed for so long: interfaces are renamed. */
const believedMillis = 60_000;

/** Looks names up by index; reads the list again when an index is new, at most once a second, and when it is old. */
export class InterfaceNames {
  #names = new Map<number, string>();
  #readAt = 0;

  /** Null for index 0 and for an interface that is gone. */
  name(index: number): string | null {
    if (index === 0) return null;
    const known = this.#names.get(index);
    const age = Date.now() - this.#readAt;
    if (known !== undefined && age < believedMillis && age >= 0) return known;
    if (known === undefined && age < 1000 && age >= 0) return null;
    this.#readAt = Date.now();
    this.#names = new Map([...interfaceIndexes()].map(([name, number]) => [number, name]));
    return this.#names.get(index) ?? null;
  }
}

/** Empty where /sys is not mounted: interfaces then have no names. */
function interfaceFiles(): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
