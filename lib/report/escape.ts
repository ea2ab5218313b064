/**
 * Text from the wire is hostile wherever it is shown: a peer names its own client software, and a file name is chosen
 * by whoever sent the capture. Every writer passes such text through here before a terminal, a browser or a
 * spreadsheet sees it.
 */

/** Longest piece of foreign text that is shown; peers may not fill the screen. */
export const shownCharactersMax = 200;

/**
 * Control characters, format characters (bidi overrides, zero width, soft hyphen, tags), line and paragraph
 * separators, halves of surrogate pairs and private use: none of them may reach a terminal or reorder a line.
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;
const onlyPlainAscii = /^[\x20-\x7e]*$/;

function visible(character: string): string {
  const code = character.codePointAt(0)!;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** The text with everything unprintable written as a visible escape, cut to `max` characters. */
export function printable(text: string, max = shownCharactersMax): string {
  const cut = text.length > max ? `${text.slice(0, max - 1)}…` : text;
  return onlyPlainAscii.test(cut) ? cut : cut.replace(unprintable, visible);
}

/** The text, line by line, with everything unprintable written as a visible escape. */
export function printableLines(text: string): string {
  return text
    .split('\n')
    .map((line) => printable(line, Infinity))
    .join('\n');
}

const htmlEntities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '`': '&#96;',
};

/** The text for HTML content and for quoted attribute values. */
export function escapeHtml(text: string, max = shownCharactersMax): string {
  return printable(text, max).replace(/[&<>"'`]/g, (character) => htmlEntities[character]!);
}

/**
 * One cell of RFC 4180 text. A cell that a spreadsheet would take for a formula gets a leading apostrophe
 * (OWASP "CSV injection").
 */
export function csvCell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const shown = printable(value, Infinity);
  const harmless = /^[=+\-@\t\r]/.test(value) ? `'${shown}` : shown;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** What JSON allows unescaped although a terminal acts on it: DEL, C1 controls, bidi and zero-width characters. */
const riskyInJson = /[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/;
const everyRisky = new RegExp(riskyInJson, 'g');

/** JSON on one line that is safe to print; parses back to the same value. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value);
  // Nearly all text passes the test, and a test costs less than a replacement that finds nothing.
  return riskyInJson.test(text) ? text.replace(everyRisky, escapedUnit) : text;
}

function escapedUnit(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
