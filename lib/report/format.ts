/** How numbers, times and addresses are written in every report, so that two reports of one scan read alike. */
export { HostTable, hostOf, isLocalAddress } from './hosts.js';

const byteUnits = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Bytes with SI units and three significant digits: "512 bytes", "34.1 MB", "1.20 GB". */
export function bytesText(bytes: number): string {
  if (bytes === 1) return '1 byte';
  let value = bytes;
  let unit = 0;
  // 999.5 and not 1000: a value that rounds up to 1000 belongs to the next unit.
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit++;
  }
  if (unit === 0) return `${value} bytes`;
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${byteUnits[unit]!}`;
}

/** A whole number with thousands separated: "1,234,567". */
export function countText(count: number): string {
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** "1 flow", "12 flows". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

/** A share that never claims "0 %" or "100 %" when it is not so. */
export function percentText(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return '0 %';
  const percent = (100 * part) / whole;
  if (percent < 0.1) return 'under 0.1 %';
  if (percent < 9.95) return `${percent.toFixed(1)} %`;
  if (part < whole && percent > 99) return 'over 99 %';
  return `${Math.min(100, Math.round(percent))} %`;
}

/** A length of time: "320 ms", "3.2 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
export function durationText(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '0 s';
  if (seconds < 0.0995) return `${(seconds * 1000).toFixed(seconds < 0.00995 ? 1 : 0)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  const hours = Math.round(minutes / 60);
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Largest time that a Date can hold, microseconds; a capture with nonsense times must not throw. */
const timeMicrosMax = 8.64e18;

/** ISO 8601 UTC with microseconds: "2026-01-31T12:34:56.123456Z". */
export function isoMicros(micros: number): string {
  const bounded = Math.min(Math.max(Math.floor(micros), -timeMicrosMax), timeMicrosMax);
  const millis = Math.floor(bounded / 1000);
  const rest = bounded - millis * 1000;
  return `${new Date(millis).toISOString().slice(0, -1)}${String(rest).padStart(3, '0')}Z`;
}

/** For people: "2026-01-31 12:34:56 UTC". */
export function clockText(micros: number): string {
  return `${isoMicros(micros).slice(0, 19).replace('T', ' ')} UTC`;
}

/** Microseconds since 1970 of an ISO text with microseconds; NaN if it is none. */
export function parseIsoMicros(iso: string): number {
  const fraction = /\.(\d{3})(\d{3})Z$/.exec(iso);
  return Date.parse(iso) * 1000 + (fraction ? Number(fraction[2]) : 0);
}

/** Address and port: "192.0.2.1:6881", "[2001:db8::1]:6881". */
export function endpointText(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
